//! What another implementation of RFC 9420 makes of suite 1 is what we make of it: a passive member follows a group of its.
//!
//! The working group's own vectors have the same form and are in no package that we could name here; see `vectors/independent.mjs`
//! for what made these.

use mls_rs::mls_rs_codec::MlsEncode as _;
use mls_rs_core::crypto::HpkeSecretKey;
use mls_rs_core::key_package::KeyPackageData;
use serde_json::Value;
use toq_channels::ChannelName;
use toq_channels::group::{Agent, Group, Memory, Received, Shelf, view_key_package};
use zeroize::Zeroizing;

/// After the message's version and kind, two bytes each, stands the key package (RFC 9420, section 6).
const HEAD: usize = 4;

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().expect("hex");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn vector() -> Value {
    serde_json::from_str(include_str!("../vectors/independent.json")).expect("json")
}

/// The member of the vector, as a directory of ours would have it.
fn member(vector: &Value) -> (Agent, Memory) {
    let package = bytes(&vector["key_package"]);
    let view = view_key_package(&package).expect("a key package");
    let signer = [bytes(&vector["signature_priv"]), view.signature_key.clone()].concat();
    let mut row = vec![0x84];
    for field in [&view.identity, &signer, &view.signature_key, &Vec::new()] {
        // A byte string of CBOR with its length in one byte (RFC 8949, section 3).
        row.extend([0x58, u8::try_from(field.len()).expect("short")]);
        row.extend_from_slice(field);
    }
    let key = |name: &str| HpkeSecretKey::from(bytes(&vector[name]));
    let kept = KeyPackageData::new(package[HEAD..].to_vec(), key("init_priv"), key("encryption_priv"), view.not_after);
    let mut memory = Memory::default();
    memory.0.insert((Shelf::Identity, b"agent".to_vec()), Zeroizing::new(row));
    memory.0.insert((Shelf::KeyPackage, view.reference), Zeroizing::new(kept.mls_encode_to_vec().expect("short")));
    (Agent::load(&memory).expect("readable").expect("an agent"), memory)
}

#[test]
fn a_passive_member_of_another_implementations_group_comes_to_its_secrets_and_reads_its_messages() {
    let vector = vector();
    assert_eq!(vector["cipher_suite"], 1);
    let name = ChannelName::parse(vector["channel"].as_str().expect("text")).expect("a name");
    let (agent, mut memory) = member(&vector);

    let (mut group, rows) = Group::join(&agent, &name, &bytes(&vector["welcome"]), &memory).expect("a welcome");
    memory.commit(rows);
    assert_eq!(group.authenticator().expect("a member"), bytes(&vector["initial_epoch_authenticator"]));

    let epochs = vector["epochs"].as_array().expect("a list");
    assert_eq!(epochs.len(), 5);
    for (number, epoch) in epochs.iter().enumerate() {
        for message in epoch["proposals"].as_array().expect("a list").iter().chain([&epoch["commit"]]) {
            let (received, rows) = group.receive(&bytes(message));
            memory.commit(rows);
            assert!(matches!(received, Received::Committed(_) | Received::Proposed { .. }), "epoch {number}: {received:?}");
        }
        assert_eq!(group.authenticator().expect("a member"), bytes(&epoch["epoch_authenticator"]), "epoch {number}");
        for message in epoch["messages"].as_array().expect("a list") {
            let (received, rows) = group.receive(&bytes(&message["message"]));
            memory.commit(rows);
            let Received::Message { payload, .. } = received else { panic!("epoch {number}: {received:?}") };
            assert_eq!(Some(payload.as_slice()), message["text"].as_str().map(str::as_bytes));
        }
        // As after a restart: nothing of it was in memory alone.
        group = Group::load(&agent, &name, &memory).expect("readable").expect("a member");
    }
    let members: Vec<_> = group.members().iter().map(|member| member.identity.as_slice()).collect();
    assert_eq!(members, [b"alice".as_slice(), b"bob", b"carol"]);
}

#[test]
fn a_bit_of_another_implementations_commit_or_welcome_that_is_another_is_noticed() {
    let vector = vector();
    let name = ChannelName::parse(vector["channel"].as_str().expect("text")).expect("a name");
    let (agent, memory) = member(&vector);
    let mut welcome = bytes(&vector["welcome"]);
    *welcome.last_mut().expect("bytes") ^= 1;
    assert!(Group::join(&agent, &name, &welcome, &memory).is_err());

    let (mut group, _) = Group::join(&agent, &name, &bytes(&vector["welcome"]), &memory).expect("a welcome");
    let commit = bytes(&vector["epochs"][0]["commit"]);
    for at in [commit.len() / 2, commit.len() - 1] {
        let mut other = commit.clone();
        other[at] ^= 1;
        let (received, _) = group.receive(&other);
        assert!(!matches!(received, Received::Committed(_)), "byte {at}: {received:?}");
    }
    let (received, _) = group.receive(&commit);
    assert!(matches!(received, Received::Committed(_)), "{received:?}");
}
