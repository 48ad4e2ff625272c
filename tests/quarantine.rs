//! What an agent sent before it was blocked, and nobody has read yet.

mod world;

use serde_json::json;
use world::{Agent, World};

fn send(from: &Agent, to: &Agent, text: &str) {
    let sent = from.post("/v1/messages?wait=true", &json!({"to": to.address(), "body": {"text": text}}).to_string());
    assert_eq!(sent.status, 200, "{sent:?}");
}

#[test]
fn what_a_blocked_agent_sent_is_offered_to_nobody_and_holds_nobody_up() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let mallory = world.agent("mallory", &[]);
    let alice = world.agent("alice", &[]);
    send(&mallory, &bob, "evil");
    let key = mallory.get("/v1/status").json()["public_key"].as_str().expect("a key").to_owned();
    assert!(bob.toq(&["block", "--key", &key]).status.success());
    send(&alice, &bob, "good");

    for reader in ["/v1/messages?since=0", "/v1/messages?consumer=program&since=0"] {
        let first = bob.first_event(reader);
        assert_eq!(first["body"]["text"], "good", "{reader}");
    }
    let history = bob.get("/v1/messages/history").json();
    let texts: Vec<_> = history["messages"].as_array().expect("a list").iter().map(|message| &message["body"]["text"]).collect();
    assert_eq!(texts, ["evil", "good"], "the owner finds both");
}
