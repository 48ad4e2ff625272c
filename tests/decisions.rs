//! Two owners who did not know each other: one decides, and the other's message goes on its way.

mod world;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use toq_protocol::envelope::Kind;
use toq_protocol::frame::encode;
use world::rulings::waiting;
use world::stranger::{Stranger, closed, connect, published_request};
use world::{Agent, World, eventually};

/// The first pause after a failed attempt is half a minute at least, and a test gives up after one.
const PATIENT: &[(&str, &str)] = &[("delivery.retry_initial_ms", "60000")];

fn state(agent: &Agent, id: &str) -> String {
    agent.get(&format!("/v1/messages/{id}")).json()["state"].as_str().unwrap_or_default().to_owned()
}

/// Sends to somebody who has to ask first; the message's id and the key that waits there.
fn knock(alice: &Agent, bob: &Agent) -> (String, String) {
    let sent = alice.post("/v1/messages?wait=false", &json!({"to": bob.address(), "body": {"text": "hello"}}).to_string());
    let id = sent.json()["id"].as_str().expect("accepted").to_owned();
    let key = alice.get("/v1/status").json()["public_key"].as_str().expect("a key").to_owned();
    eventually("bob is asked", || waiting(bob).contains(&key).then_some(()));
    (id, key)
}

/// Somebody asks who cannot be dialled at the address that it claims; its key.
fn knock_from_nowhere(bob: &Agent) -> String {
    let stranger = Stranger::new(7);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut io = connect(bob).await;
        stranger.greet(&mut io, 1).await;
        let request = stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request());
        io.write_all(&encode(&request.sign(&stranger.identity)).expect("small")).await.expect("writes");
        io.flush().await.expect("writes");
        closed(&mut io).await;
    });
    let key = stranger.identity.public().to_string();
    assert!(waiting(bob).contains(&key));
    key
}

/// What became of questions, as events: who asked, and how it was answered.
fn resolved(agent: &Agent, count: usize) -> Vec<(String, String)> {
    let is_one = |event: &&Value| event["type"] == "approval.resolved";
    let events = agent.reads("/v1/events?since=0", |events| events.iter().filter(is_one).count() >= count);
    let words =
        |event: &Value| (event["id"].as_str().unwrap_or_default().to_owned(), event["reason"].as_str().unwrap_or_default().to_owned());
    events.iter().filter(is_one).map(words).collect()
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
    assert!(waiting(&alice).is_empty(), "to be told is no question to alice's owner");
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

#[test]
fn a_pattern_answers_everybody_whom_it_admits_and_they_are_told() {
    let world = World::new();
    let (alice, carol, bob) = (world.agent("alice", PATIENT), world.agent("carol", PATIENT), world.agent("bob", &[]));
    let asked = [knock(&alice, &bob), knock(&carol, &bob)];
    let nobody = knock_from_nowhere(&bob);

    assert!(bob.toq(&["approve", "--from", "toq://127.0.0.1/*"]).status.success());
    bob.has_received(2);

    for (agent, (id, key)) in [&alice, &carol].into_iter().zip(&asked) {
        eventually("it is known", || (state(agent, id) == "delivered").then_some(()));
        let events = agent.reads("/v1/events?since=0", |events| events.iter().any(|event| event["type"] == "message.delivered"));
        assert_eq!(events[0]["type"], "approval.granted", "{events:?}");
        assert!(resolved(&bob, 2).contains(&(key.clone(), "approved".to_owned())));
    }
    assert_eq!(resolved(&bob, 2).len(), 2, "each question is answered once");
    assert_eq!(waiting(&bob), [nobody], "an address that only its agent claims is not let in by a pattern");
}

#[test]
fn a_block_answers_everybody_whom_it_covers_and_they_are_told_no() {
    let world = World::new();
    let (alice, carol, bob) = (world.agent("alice", PATIENT), world.agent("carol", PATIENT), world.agent("bob", &[]));
    let ((id, _), (_, carols)) = (knock(&alice, &bob), knock(&carol, &bob));

    assert!(bob.toq(&["block", "--from", "toq://*/alice"]).status.success());
    alice.reads("/v1/events?since=0", |events| events.iter().any(|event| event["type"] == "approval.denied"));
    assert_eq!(waiting(&bob), std::slice::from_ref(&carols));

    assert!(bob.toq(&["block", "--key", &carols]).status.success());
    carol.reads("/v1/events?since=0", |events| events.iter().any(|event| event["type"] == "approval.denied"));
    assert!(waiting(&bob).is_empty());
    assert_eq!(state(&alice, &id), "accepted");
    assert_eq!(bob.get("/v1/messages/history").json()["messages"], json!([]));
}
