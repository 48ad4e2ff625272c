//! What published members see of ours, and what they send.

use serde_json::Value;
use toq_channels::frame::{self, Kind};
use toq_channels::group::{Admission, Intent, KeyPackageKind, PACKAGE_LIFETIME, Received, view_key_package};

use crate::party::{NOW, Party, channel, name};

/// Bytes that skytale-sdk 0.3.0 made.
fn sample(which: &str) -> (Vec<u8>, Value) {
    let samples: Value = serde_json::from_str(include_str!("../vectors/mls-samples.json")).expect("json");
    let sample = samples[which].clone();
    let hex = sample["hex"].as_str().expect("hex");
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect();
    (bytes, sample)
}

#[test]
fn a_published_key_package_is_read_added_and_unproven() {
    let (bytes, sample) = sample("key_package");
    let view = view_key_package(&bytes).expect("a key package");
    assert_eq!(view.identity, sample["identity"].as_str().expect("a name").as_bytes());
    assert_eq!((view.proven, view.is_last_resort), (None, false));
    let made = view.not_after - sample["lifetime_seconds"].as_u64().expect("seconds");

    // It lasts a year, and can be added on its first day and its last.
    for now in [made, view.not_after] {
        let mut owner = Party::creator("owner");
        let (staged, rows) = owner.group_mut().stage(&Intent::Add(vec![bytes.clone()]), None, now).expect("a commit");
        owner.memory.commit(rows);
        let Received::Committed(change) = owner.read(&staged.commit) else { panic!("not committed") };
        assert!(!change.added[0].is_native && change.added[0].proven.is_none());
    }
    // A clock that is an hour behind is forgiven, and not more.
    let mut owner = Party::creator("owner");
    assert!(owner.group_mut().stage(&Intent::Add(vec![bytes.clone()]), None, made - 3601).is_err());
    assert!(owner.group_mut().stage(&Intent::Add(vec![bytes.clone()]), None, view.not_after + 1).is_err());
    assert!(owner.group_mut().stage(&Intent::Add(vec![bytes]), None, made - 3600).is_ok());
}

#[test]
fn published_commits_and_messages_are_what_ours_are() {
    let (commit, sample_commit) = sample("commit_add_public_message");
    let (message, sample_message) = sample("application_private_message");
    let theirs = (frame::peek(&commit).expect("a frame"), frame::peek(&message).expect("a frame"));

    let mut parties = channel(1);
    let package = Party::new("bob").package();
    let staged = parties[0].stage(&Intent::Add(vec![package]));
    let _ = parties[0].read(&staged.commit);
    let written = parties[0].write("x");
    let ours = (frame::peek(&staged.commit).expect("a frame"), frame::peek(&written).expect("a frame"));

    assert_eq!(
        (theirs.0.kind, theirs.0.is_private, theirs.0.epoch),
        (Kind::Commit, false, sample_commit["epoch"].as_u64().expect("a number"))
    );
    assert_eq!((ours.0.kind, ours.0.is_private, ours.0.epoch), (Kind::Commit, false, 0));
    assert_eq!(
        (theirs.1.kind, theirs.1.is_private, theirs.1.epoch),
        (Kind::Application, true, sample_message["epoch"].as_u64().expect("a number"))
    );
    assert_eq!((ours.1.kind, ours.1.is_private, ours.1.epoch), (Kind::Application, true, 1));
    assert_eq!(ours.0.group_id, name().id());
    // Theirs have 190 bytes for so short a text; ours carry a stamp of 26 bytes beside it.
    assert_eq!((message.len(), written.len()), (190, 216));
}

#[test]
fn our_key_package_has_the_published_profile_and_announces_two_extensions() {
    let mut party = Party::new("bob");
    let package = party.package();
    let (theirs, _) = sample("key_package");
    let (ours_extensions, none) = ([4, 0xf7, 0x0a, 0xf7, 0x0b], [0]);

    // MLSMessage of a key package of suite 1; one length more than theirs, which announce nothing.
    assert_eq!(package[..8], theirs[..8]);
    assert_eq!(package.len(), theirs.len() + 4);
    let versions_and_suites = [2, 0, 1, 8, 0, 2, 0, 7, 0, 1, 0, 3];
    let has = |bytes: &[u8], extensions: &[u8]| {
        let wanted = [versions_and_suites.as_slice(), extensions, &[0, 2, 0, 1]].concat();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    };
    assert!(has(&theirs, &none) && has(&package, &ours_extensions));
    let view = view_key_package(&package).expect("a view");
    assert_eq!(view.not_after - (NOW - 3600), PACKAGE_LIFETIME);
}

#[test]
fn a_group_for_everybody_has_no_extensions_and_one_for_the_proven_is_not_for_published_members() {
    let (bytes, _) = sample("key_package");
    let mut owner = Party::proven("owner", 1);
    owner.create(Admission::Proven);
    let error = owner.group_mut().stage(&Intent::Add(vec![bytes]), None, 1_795_000_000).expect_err("no proof");
    assert!(error.to_string().starts_with("not allowed in this channel"), "{error}");
}

#[test]
fn a_last_resort_package_can_be_used_by_two_groups_and_says_so() {
    let mut guest = Party::new("guest");
    let (package, rows) = guest.agent.key_package(NOW, KeyPackageKind::LastResort).expect("a package");
    guest.memory.commit(rows);

    for owner in ["one", "two"] {
        let mut owner = Party::creator(owner);
        let staged = owner.stage(&Intent::Add(vec![package.message.clone()]));
        let _ = owner.read(&staged.commit);
        guest.join(&staged.welcome.expect("a welcome"));
        assert_eq!(guest.authenticator(), owner.authenticator());
    }
}
