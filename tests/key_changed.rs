//! An agent that was known comes back with another key: its owner's mistake or somebody else. Nothing is sent to it and
//! nothing of it is delivered until the owner of this side has decided.

mod world;

use std::net::TcpListener;

use serde_json::{Value, json};
use world::{Agent, World};

fn send(from: &Agent, to: &str, text: &str) -> world::Answer {
    from.post("/v1/messages?wait=true&timeout=10", &json!({"to": to, "body": {"text": text}}).to_string())
}

fn texts(agent: &Agent, count: usize) -> Vec<String> {
    agent.has_received(count).iter().map(|message| message["body"]["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_changed_key_is_held_in_both_directions_until_the_owner_accepts_it() {
    let world = World::new();
    let alice = world.agent("alice", &[("connection_mode", "open")]);
    // Not one of the ports that a daemon takes by itself: it must be free again for the second start.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port().to_string();
    let bob = world.agent("bob", &[("connection_mode", "open"), ("port", &port)]);
    let address = bob.address();
    assert_eq!(send(&alice, &address, "before").status, 200);
    let old_key = bob.get("/v1/status").json()["public_key"].clone();
    let place = bob.place.clone();
    drop(bob);
    std::fs::remove_dir_all(place.join(".toq")).expect("bob loses everything");

    let bob = world.agent("bob", &[("connection_mode", "open"), ("port", &port)]);
    let refused = send(&alice, &address, "secret");

    assert_eq!(refused.status, 502, "{refused:?}");
    assert!(refused.body.contains("another key") && refused.body.contains("toq approve ed25519:"), "{refused:?}");
    let question = &alice.get("/v1/approvals").json()["approvals"][0];
    assert_eq!((&question["kind"], &question["previous_key"]), (&json!("key_changed"), &old_key));
    let shown = String::from_utf8(alice.toq(&["approvals"]).stdout).expect("text");
    let words = question["words"].as_str().expect("words");
    assert!(shown.contains("KEY CHANGED") && shown.contains(words) && shown.contains(question["previous_words"].as_str().expect("words")));

    let own = String::from_utf8(bob.toq(&["whoami"]).stdout).expect("text");
    assert!(own.contains(words), "bob reads the same words to alice: {own}");

    // The new key does not get in either, though alice lets everybody in.
    let back = bob.post("/v1/messages", &json!({"to": alice.address(), "body": {"text": "it is me"}}).to_string());
    assert_eq!(back.status, 202);
    alice.first_event("/v1/events?since=0&type=peer.key_changed");
    assert_eq!(alice.get("/v1/messages/history").json()["messages"], json!([]));

    let key = question["public_key"].as_str().expect("a key");
    for said in ["1", "bob", &address] {
        let refused = alice.toq(&["approve", said]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && told.contains(&format!("toq approve {key}")), "{refused:?}");
    }
    let all = alice.toq(&["approve", "--all"]);
    let told = String::from_utf8_lossy(&all.stdout).into_owned();
    assert!(told.contains("Approved nobody") && !told.contains("No pending approvals"), "{all:?}");
    assert!(alice.toq(&["approve", key]).status.success());
    assert_eq!(send(&alice, &address, "welcome back").status, 200);
    assert_eq!(texts(&bob, 1), ["welcome back"]);
    assert_eq!(texts(&alice, 1), ["it is me"]);
    assert_eq!(alice.get("/v1/approvals").json()["approvals"], Value::Array(Vec::new()));
    let message = &alice.get("/v1/messages/history").json()["messages"][0];
    assert_eq!((&message["verified"], &message["verified_by"]), (&json!(true), &json!("pinned")));
}
