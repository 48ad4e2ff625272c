//! What published members were seen to do, byte for byte.

use serde_json::Value;
use toq_channels::ChannelName;
use toq_channels::frame::{Kind, peek};

fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors are in the repository")).expect("JSON")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is text in {value}"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value[name].as_array().unwrap_or_else(|| panic!("{name} is a list in {value}"));
    assert!(!list.is_empty());
    list
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn names_are_split_and_hashed_alike() {
    for case in list(&vectors("names"), "valid") {
        let name = ChannelName::parse(text(case, "name")).expect("a name");

        let (org, namespace, service) = name.parts();
        assert_eq!(serde_json::json!([org, namespace, service]), case["components"]);
        assert_eq!(hex(&name.id()), text(case, "channel_id_sha256_hex"));
    }
}

#[test]
fn what_is_no_name_is_refused_in_the_same_words() {
    let names = vectors("names");
    for name in list(&names, "invalid") {
        let name = name.as_str().expect("text");

        let error = ChannelName::parse(name).expect_err("not a name");

        assert_eq!(error.to_string(), text(&names, "error_template").replace("{name}", name));
    }
}

#[test]
fn heads_of_messages_that_a_published_member_made_are_read() {
    let samples = vectors("mls-samples");
    for (sample, kind, is_private) in
        [("commit_add_public_message", Kind::Commit, false), ("application_private_message", Kind::Application, true)]
    {
        let sample = &samples[sample];
        let message = bytes(text(sample, "hex"));

        let frame = peek(&message).expect("a message");

        assert_eq!(frame.group_id, ChannelName::parse(text(sample, "channel")).expect("a name").id());
        assert_eq!(Some(frame.epoch), sample["epoch"].as_u64());
        assert_eq!((frame.kind, frame.is_private), (kind, is_private));
    }
    let key_package = bytes(text(&samples["key_package"], "hex"));
    assert_eq!(peek(&key_package).expect("a message").kind, Kind::KeyPackage);
}
