//! The published protocol's own vectors: what they accept is accepted, byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::card::Card;
use toq_protocol::compression::Encoding;
use toq_protocol::dns::{Record, query_name};
use toq_protocol::envelope::{Envelope, Unverified};
use toq_protocol::frame::Decoder;
use toq_protocol::handshake::{self, parse_hello, parse_reply};
use toq_protocol::key::{Identity, PeerKey, Signature};
use toq_protocol::policy::Pattern;
use toq_protocol::sealed_body::SealedBody;
use toq_protocol::session::Greeting;

fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors are in the repository")).expect("JSON")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is text in {value}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn identity(name: &str) -> Identity {
    let seed = bytes(text(&vectors("keys")["keys"][name], "seed_hex"));
    Identity::from_seed(&seed.try_into().expect("32 bytes"))
}

#[test]
fn keys_and_signatures_match() {
    let keys = vectors("keys");
    for name in ["alice", "bob"] {
        assert_eq!(identity(name).public().to_string(), text(&keys["keys"][name], "public_key"));
    }
    for case in keys["signatures"].as_array().expect("list") {
        let signature = identity(text(case, "signer")).sign(&bytes(text(case, "message_hex")));
        assert_eq!(signature.to_string(), text(case, "signature"));
    }
}

#[test]
fn a_rotation_proof_verifies() {
    let rotation = vectors("rotation");
    let old = PeerKey::parse(text(&rotation, "old_public_key")).expect("key");
    let new = PeerKey::parse(text(&rotation, "new_public_key")).expect("key");
    let proof = Signature::parse(text(&rotation, "rotation_proof")).expect("signature");

    assert!(old.verifies(new.as_bytes(), &proof));
}

#[test]
fn sealed_bodies_open_and_are_made_alike() {
    let vectors = vectors("e2e");
    let (alice, bob) = (identity("alice"), identity("bob"));
    assert_eq!(alice.exchange_key().to_vec(), bytes(text(&vectors, "alice_x25519_public_hex")));
    assert_eq!(bob.exchange_key().to_vec(), bytes(text(&vectors, "bob_x25519_public_hex")));
    for case in vectors["cases"].as_array().expect("list") {
        let nonce = STANDARD.decode(text(case, "nonce_b64")).expect("base64").try_into().expect("12 bytes");
        let sealed = SealedBody { nonce: text(case, "nonce_b64").to_owned(), body: text(case, "ciphertext_b64").to_owned() };
        let plain = text(case, "plaintext_utf8").as_bytes();

        assert_eq!(sealed.open(&bob, &alice.public()).expect("opens"), plain);
        assert_eq!(SealedBody::seal(&alice, &bob.public(), nonce, plain).expect("seals"), sealed);
    }
}

#[test]
fn compressed_bytes_expand_alike() {
    let vectors = vectors("compression");
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let short = bytes(text(&vectors, &format!("{}_hex", encoding.as_str())));

        assert_eq!(encoding.expand(&short, 1024).expect("expands"), text(&vectors, "input_utf8").as_bytes());
        assert_eq!(encoding.compress(text(&vectors, "input_utf8").as_bytes()), short, "{encoding:?}");
    }
}

#[test]
fn numbers_have_one_spelling() {
    for case in vectors("numbers")["cases"].as_array().expect("list") {
        let parsed = Json::parse(text(case, "json_text"));
        if case.get("parse_error").is_some() {
            assert!(parsed.is_err(), "{case}");
            continue;
        }
        let json = parsed.expect("a number");
        assert_eq!(json.as_str(), text(case, "canonical"), "{case}");
    }
}

#[test]
fn addresses_parse_and_print_alike() {
    for case in vectors("addresses")["cases"].as_array().expect("list") {
        let parsed = Address::parse(text(case, "input"));
        if case.get("error").is_some() {
            assert!(parsed.is_err(), "{case}");
            continue;
        }
        let address = parsed.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(address.to_string(), text(case, "display"), "{case}");
        assert_eq!(address.host(), text(case, "host"), "{case}");
        assert_eq!(address.agent().as_str(), text(case, "agent"), "{case}");
        assert_eq!(u64::from(address.port()), case["port"].as_u64().expect("number"), "{case}");
        assert_eq!(address.wants_dns_port(), case["dns_lookup_for_port"].as_bool().expect("bool"), "{case}");
    }
}

#[test]
fn envelopes_are_signed_and_framed_alike() {
    let alice = identity("alice");
    for case in vectors("envelopes")["cases"].as_array().expect("list") {
        // The input has an empty signature; anything well-formed lets it parse.
        let mut input = case["input"].clone();
        let signature = case.get("signature").and_then(Value::as_str).map_or_else(|| alice.sign(b"").to_string(), str::to_owned);
        input["signature"] = Value::from(signature);
        let parsed = Unverified::parse(input.to_string().as_bytes());
        if case.get("parse_error").is_some() {
            assert!(parsed.is_err(), "{case}");
            continue;
        }
        let envelope: Envelope =
            parsed.and_then(|envelope| envelope.verify(&alice.public())).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        assert_eq!(envelope.canonical(), bytes(text(case, "canonical_hex")), "{}", case["name"]);
        assert_eq!(String::from_utf8(envelope.sign(&alice)).expect("UTF-8"), text(case, "wire_json"), "{}", case["name"]);
    }
}

#[test]
fn wire_forms_verify_exactly_where_published_peers_verify_them() {
    for case in vectors("verify")["cases"].as_array().expect("list") {
        let name = text(case, "name");
        let signer = if name == "wrong_key" { identity("bob") } else { identity("alice") };
        let result = Unverified::parse(text(case, "wire").as_bytes()).and_then(|envelope| envelope.verify(&signer.public()));
        assert_eq!(result.is_ok(), text(case, "result") == "accepted", "{name}: {result:?}");
    }
}

#[test]
fn handshakes_are_read_alike() {
    let vectors = vectors("handshake");
    let hello = bytes(text(&vectors, "initiator_frame_hex"));
    let mut stream = bytes(text(&vectors, "magic_hex"));
    stream.extend(&hello);
    let greeted = Greeting::new().read(&stream).expect("a greeting").expect("complete");
    assert_eq!(greeted.credentials.target_agent.as_deref(), Some("bob"));

    let reply = bytes(text(&vectors, "receiver_frame_hex"));
    let credentials = parse_reply(&reply[4..]).expect("credentials");
    assert_eq!(credentials.key, identity("bob").public());

    let refusal = bytes(text(&vectors, "wrong_target_reply_hex"));
    assert_eq!(handshake::no_such_agent("carol", "bob"), refusal[4..]);
    assert!(parse_reply(&refusal[4..]).is_err());

    for case in vectors["receiver_acceptance"].as_array().expect("list").iter().filter(|case| case["initiator_payload"].is_object()) {
        let accepted = parse_hello(case["initiator_payload"].to_string().as_bytes());
        let expected = case["receiver_result"].to_string().contains("accepted");
        assert_eq!(accepted.is_ok(), expected, "{}: {accepted:?}", case["name"]);
    }
}

#[test]
fn cards_are_accepted_alike() {
    let vectors = vectors("card");
    let key = identity("alice").public();
    for case in vectors["acceptance"].as_array().expect("list") {
        let card = match &case["card"] {
            Value::String(_) => {
                serde_json::json!({"name": "x", "description": "d".repeat(70_000), "public_key": key.to_string(), "protocol_version": "0.1"})
            }
            card => card.clone(),
        };
        let result = Card::from_body(Some(&Json::from_value(&card)), &key);
        assert_eq!(result.is_ok(), text(case, "result") == "ok", "{}: {result:?}", case["name"]);
    }
    for name in ["default_daemon_card_wire", "full_card_wire"] {
        let wire = text(&vectors, name);
        let card = Card::from_body(Some(&Json::parse(wire).expect("JSON")), &key).expect("a card");
        assert_eq!(serde_json::to_string(&card).expect("plain data"), wire);
    }
}

#[test]
fn dns_records_parse_alike() {
    let vectors = vectors("dns");
    for case in vectors["cases"].as_array().expect("list") {
        let parsed = Record::parse(text(case, "txt"));
        if let Some(error) = case["error"].as_str() {
            let refusal = parsed.expect_err("refused").to_string();
            assert_eq!(format!("invalid address: {refusal}"), error, "{case}");
            continue;
        }
        let record = parsed.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(record.agent, text(case, "agent"), "{case}");
        assert_eq!(record.key, text(case, "key"), "{case}");
        assert_eq!(u64::from(record.port), case["port"].as_u64().expect("a number"), "{case}");
    }
    assert_eq!(query_name("example.com").as_deref(), vectors["query_name_for_example.com"].as_str());
}

/// We differ from the published matcher in three places, on purpose: a pattern without a port matches any
/// port, hosts compare without regard to case, and a wildcard may be a part of a label.
#[test]
fn patterns_match_alike_but_for_ports_case_and_parts_of_labels() {
    let ours = [
        ("toq://h/*", "toq://h:9010/a"),
        ("toq://127.0.0.1/*", "toq://127.0.0.1:19002/bob"),
        ("toq://h/a", "toq://H/a"),
        ("toq://*.example.com/*", "toq://x.example.com/a"),
        ("toq://h*/a", "toq://host/a"),
        ("toq://h/a*", "toq://h/alice"),
    ];
    for case in vectors("policy")["cases"].as_array().expect("list") {
        let (pattern, address) = (text(case, "pattern"), text(case, "address"));
        let expected = case["matches"].as_bool().expect("bool") || ours.contains(&(pattern, address));
        assert_eq!(Pattern::new(pattern).matches_text(address), expected, "{case}");
    }
}

#[test]
fn recorded_sessions_with_the_published_daemon_verify_frame_by_frame() {
    let transcript = vectors("transcript");
    for (side, initiator, receiver) in [("daemon_as_receiver", "alice", "bob"), ("daemon_as_initiator", "alice", "bob")] {
        for entry in transcript[side].as_array().expect("list") {
            let what = text(entry, "what");
            if what == "magic" {
                continue;
            }
            let mut decoder = Decoder::new();
            decoder.push(&bytes(text(entry, "hex")));
            let payload = decoder.next_frame(65_536).expect("small").expect("whole");
            match what {
                "credentials" => drop(parse_hello(&payload).expect("credentials")),
                "credentials reply" => drop(parse_reply(&payload).expect("credentials")),
                _ => {
                    let signer = if text(entry, "dir") == "initiator->receiver" { initiator } else { receiver };
                    let result = Unverified::parse(&payload).and_then(|envelope| envelope.verify(&identity(signer).public()));
                    assert!(result.is_ok(), "{what}: {result:?}");
                }
            }
        }
    }
}
