//! What published members were seen to do, byte for byte.

use serde_json::Value;
use toq_channels::frame::{Kind, peek};
use toq_channels::members::Members;
use toq_channels::translate::translate;
use toq_channels::{ChannelName, Envelope, Protocol};

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

fn metadata(case: &Value) -> Option<Value> {
    Some(case["metadata"].clone()).filter(|metadata| !metadata.is_null() && *metadata != serde_json::json!({}))
}

fn metadata_of(envelope: &Envelope) -> Option<Value> {
    envelope.metadata.as_ref().map(|metadata| serde_json::from_str(&metadata.to_json()).expect("JSON"))
}

fn envelope(case: &Value) -> Envelope {
    Envelope {
        protocol: Protocol::parse(text(case, "protocol")).expect("a protocol"),
        content_type: text(case, "content_type").to_owned(),
        metadata: metadata(case).map(|metadata| Members::parse(&metadata.to_string()).expect("an object")),
        payload: bytes(text(case, "payload_hex")),
    }
}

#[test]
fn envelopes_have_the_same_bytes() {
    for case in list(&vectors("envelope"), "encode") {
        let wire = bytes(text(case, "wire_hex"));

        assert_eq!(hex(&envelope(case).encode().expect("short")), hex(&wire), "{case}");
        let read = Envelope::decode(&wire).expect("an envelope");
        assert_eq!(metadata_of(&read), metadata(case));
        assert_eq!(Envelope { metadata: None, ..read }, Envelope { metadata: None, ..envelope(case) });
    }
}

#[test]
fn envelopes_in_another_spelling_are_read() {
    for case in list(&vectors("envelope"), "decode_only") {
        assert_eq!(Envelope::decode(&bytes(text(case, "wire_hex"))).expect("an envelope"), envelope(case));
    }
}

#[test]
fn what_is_no_envelope_is_refused() {
    for case in list(&vectors("envelope"), "reject") {
        assert!(Envelope::decode(&bytes(text(case, "wire_hex"))).is_err(), "{case}");
    }
}

#[test]
fn translations_are_those_of_published_bridges() {
    for case in list(&vectors("bridge"), "cases") {
        let (source, expected) = (envelope(&case["source"]), &case["result"]);
        let to = Protocol::parse(text(case, "target_protocol")).expect("a protocol");

        let translated = translate(source.clone(), to, &mut || "<uuid4>".to_owned());

        assert_eq!(
            (translated.protocol.as_str(), translated.content_type.as_str()),
            (text(expected, "protocol"), text(expected, "content_type"))
        );
        assert_eq!(metadata_of(&translated), metadata(expected), "{case}");
        match &expected["payload_json"] {
            Value::Null => {
                assert_eq!(expected["payload_unchanged"], true);
                assert_eq!(translated.payload, source.payload);
            }
            json => assert_eq!(&serde_json::from_slice::<Value>(&translated.payload).expect("JSON"), json, "{case}"),
        }
    }
}
