//! What an agent sent before it was blocked, and nobody has read yet.

mod world;

use serde_json::{Value, json};
use world::{Agent, World, eventually};

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

/// bob, who has a handler and a consumer that have read nothing yet, and what mallory and alice have sent him.
fn unread(world: &World) -> (Agent, Agent, Agent) {
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let mallory = world.agent("mallory", &[]);
    let alice = world.agent("alice", &[]);
    let command = "cat > /dev/null; printf '%s\\n' \"$TOQ_TEXT\" >> handled.txt";
    assert_eq!(bob.post("/v1/handlers", &json!({"name": "h", "command": command, "concurrency": 1}).to_string()).status, 200);
    assert_eq!(bob.post("/v1/handlers/h/pause", "").status, 200);
    for (sender, text) in [(&mallory, "evil"), (&alice, "good"), (&mallory, "worse"), (&alice, "better")] {
        send(sender, &bob, text);
    }
    (bob, mallory, alice)
}

fn key(agent: &Agent) -> String {
    agent.get("/v1/status").json()["public_key"].as_str().expect("a key").to_owned()
}

/// What the handler and a consumer get, and why they do not get the rest.
fn heard(bob: &Agent) -> (String, Vec<String>, Vec<String>) {
    assert_eq!(bob.post("/v1/handlers/h/resume", "").status, 200);
    let text = |event: &Value| event["body"]["text"].as_str().unwrap_or_default().to_owned();
    let offered = bob.reads("/v1/messages?consumer=program&since=0", |messages| messages.iter().any(|message| text(message) == "better"));
    let is_done = |state: &Value| state["pending"] == 0;
    eventually("the handler is done", || Some(bob.get("/v1/handlers").json()["handlers"][0].clone()).filter(is_done));
    let handled = std::fs::read_to_string(bob.place.join("handled.txt")).expect("something was handled");
    let set_aside = bob.get("/v1/handlers/h/set-aside").json()["messages"].as_array().expect("a list").clone();
    let why = set_aside.iter().map(|row| format!("{}: {}", text(&row["message"]), row["reason"].as_str().unwrap_or_default()));
    (handled, offered.iter().map(text).collect(), why.collect())
}

#[test]
fn a_block_keeps_what_is_stored_and_not_handled_from_handlers_and_consumers() {
    let world = World::new();
    let (bob, mallory, _alice) = unread(&world);

    assert!(bob.toq(&["block", "--key", &key(&mallory)]).status.success());
    let (handled, offered, why) = heard(&bob);

    assert_eq!((handled.as_str(), offered), ("good\nbetter\n", vec!["good".to_owned(), "better".to_owned()]));
    assert_eq!(why, ["evil: handler h: the sender is blocked", "worse: handler h: the sender is blocked"]);
}

#[test]
fn a_change_of_mode_keeps_what_strangers_sent_before_from_handlers_and_consumers() {
    let world = World::new();
    let (bob, _mallory, alice) = unread(&world);

    assert!(bob.toq(&["approve", "--key", &key(&alice)]).status.success());
    assert!(bob.toq(&["config", "set", "connection_mode", "allowlist"]).status.success());
    let (handled, offered, why) = heard(&bob);

    assert_eq!((handled.as_str(), offered), ("good\nbetter\n", vec!["good".to_owned(), "better".to_owned()]));
    assert_eq!(why, ["evil: handler h: the sender is not let in any more", "worse: handler h: the sender is not let in any more"]);
}
