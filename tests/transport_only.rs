//! What came over a session that is not bound to its TLS channel is marked, wherever it is shown.

mod world;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::frame::encode;
use world::stranger::{Stranger, connect, published_request};
use world::{Agent, World, eventually};

/// A published agent sends one message.
fn published_sends(stranger: &Stranger, bob: &Agent, text: &str) {
    let card = json!({"name": "stranger", "public_key": stranger.identity.public().to_string(), "protocol_version": "0.1"});
    let envelopes = [
        stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request()),
        stranger.envelope(Kind::CardExchange, &bob.address(), 1, Json::from_value(&card)),
        stranger.envelope(Kind::MessageSend, &bob.address(), 2, Json::from_value(&json!({ "text": text }))),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut io = connect(bob).await;
        stranger.greet(&mut io, 1).await;
        for envelope in envelopes {
            io.write_all(&encode(&envelope.sign(&stranger.identity)).expect("small")).await.expect("writes");
        }
        io.flush().await.expect("writes");
        let mut said = [0; 1024];
        assert!(io.read(&mut said).await.expect("reads") > 0, "bob answers");
        bob.has_received(2);
    });
}

#[test]
fn a_message_and_a_peer_are_marked_where_only_the_transport_was_encrypted() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[("connection_mode", "open")]), world.agent("bob", &[("connection_mode", "open")]));
    let handler = json!({"name": "sees", "command": "cat >> seen.txt; echo >> seen.txt"});
    assert_eq!(bob.post("/v1/handlers", &handler.to_string()).status, 200);
    let sent = alice.post("/v1/messages?wait=true", &json!({"to": bob.address(), "body": {"text": "sealed"}}).to_string());
    assert_eq!(sent.json()["status"], "delivered");
    let stranger = Stranger::new(21);
    published_sends(&stranger, &bob, "open");

    let marks = |messages: &[Value]| -> Vec<(Value, Value)> {
        messages.iter().map(|message| (message["body"]["text"].clone(), message["bound"].clone())).collect()
    };
    let expected = [(json!("sealed"), json!(true)), (json!("open"), json!(false))];
    assert_eq!(marks(&bob.has_received(2)), expected);
    let history = bob.get("/v1/messages/history").json()["messages"].as_array().expect("a list").clone();
    assert_eq!(marks(&history), expected);
    let list = String::from_utf8(bob.toq(&["messages"]).stdout).expect("text");
    assert_eq!((list.matches("(transport only)").count(), list.matches("  id: ").count()), (1, 2), "{list}");
    let peers = bob.get("/v1/peers").json()["peers"].as_array().expect("a list").clone();
    let is_bound = |peer: &Value| (peer["public_key"] == stranger.identity.public().to_string(), peer["bound"].clone());
    let bound: Vec<_> = peers.iter().map(is_bound).collect();
    assert!(bound.contains(&(true, json!(false))) && bound.contains(&(false, json!(true))), "{peers:?}");
    let table = String::from_utf8(bob.toq(&["peers"]).stdout).expect("text");
    assert_eq!((table.matches(", transport only").count(), table.matches(", bound").count()), (1, 1), "{table}");
    let seen = eventually("both runs", || {
        let seen = std::fs::read_to_string(bob.place.join("seen.txt")).unwrap_or_default();
        (seen.matches("\"bound\"").count() == 2).then_some(seen)
    });
    assert!(seen.contains("\"bound\":true") && seen.contains("\"bound\":false"), "{seen}");

    // It is kept with the message: another start changes nothing.
    assert!(bob.toq(&["down"]).status.success() && world.up(&bob.place).status.success());
    assert_eq!(marks(&bob.has_received(2)), expected);
    let outgoing = alice.get("/v1/messages/history?outgoing=true").json();
    assert_eq!(outgoing["messages"][0].get("bound"), None, "of what went out, the peer tells");
}
