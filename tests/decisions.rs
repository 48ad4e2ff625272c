//! Two owners who did not know each other: one decides, and the other's message goes on its way.

mod world;

use serde_json::{Value, json};
use world::{Agent, World, eventually};

/// The first pause after a failed attempt is half a minute at least, and a test gives up after one.
const PATIENT: &[(&str, &str)] = &[("delivery.retry_initial_ms", "60000")];

fn waiting(agent: &Agent) -> Option<String> {
    let open = agent.get("/v1/approvals").json();
    open["approvals"].as_array()?.first()?["public_key"].as_str().map(str::to_owned)
}

fn state(agent: &Agent, id: &str) -> String {
    agent.get(&format!("/v1/messages/{id}")).json()["state"].as_str().unwrap_or_default().to_owned()
}

/// Sends to somebody who has to ask first; the message's id and the key that waits there.
fn knock(alice: &Agent, bob: &Agent) -> (String, String) {
    let sent = alice.post("/v1/messages?wait=false", &json!({"to": bob.address(), "body": {"text": "hello"}}).to_string());
    let id = sent.json()["id"].as_str().expect("accepted").to_owned();
    (id, eventually("bob is asked", || waiting(bob)))
}

#[test]
fn a_message_goes_through_when_the_owner_approves_and_not_when_its_sender_tries_again() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
    let (id, key) = knock(&alice, &bob);

    assert!(bob.toq(&["approve", &key]).status.success());
    let received = bob.has_received(1);

    assert_eq!(received[0]["body"]["text"], "hello");
    eventually("alice knows", || (state(&alice, &id) == "delivered").then_some(()));
    let events = alice.reads("/v1/events?since=0", |events| events.iter().any(|event| event["type"] == "message.delivered"));
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["approval.granted", "message.delivered"], "what bob said comes first");
    assert_eq!(events[0]["id"], bob.get("/v1/status").json()["public_key"]);
    assert_eq!(waiting(&alice), None, "to be told is no question to alice's owner");
}

#[test]
fn a_no_is_told_and_the_message_goes_on_waiting() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
    let (id, key) = knock(&alice, &bob);

    assert!(bob.toq(&["deny", &key]).status.success());
    let is_no = |event: &Value| event["type"] == "approval.denied";
    let events = alice.reads("/v1/events?since=0", |events| events.iter().any(is_no));

    // The default port may be written or not.
    let plain = |address: &str| address.replace(":9009/", "/");
    let to = events.iter().find(|event| is_no(event)).and_then(|event| event["to"].as_str()).expect("just seen");
    assert_eq!(plain(to), plain(&bob.address()));
    assert_eq!(state(&alice, &id), "accepted");
    assert_eq!(bob.get("/v1/messages/history").json()["messages"], json!([]));
}
