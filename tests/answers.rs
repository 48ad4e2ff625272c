//! Automatic answers from outside: what peers can make a daemon do, and where that ends.

mod world;

use serde_json::{Value, json};
use world::{Agent, World, eventually};

const OPEN: &[(&str, &str)] = &[("connection_mode", "open"), ("graceful_shutdown_timeout", "1")];

fn add(agent: &Agent, definition: &Value) {
    let answer = agent.post("/v1/handlers", &definition.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn send(from: &Agent, to: &Agent, thread: &str, text: &str, wait: &str) -> Value {
    let request = json!({"to": to.address(), "thread_id": thread, "body": {"text": text}});
    let sent = from.post(&format!("/v1/messages?wait={wait}&timeout=60"), &request.to_string());
    assert_eq!(sent.status, 200, "{sent:?}");
    sent.json()
}

fn events(agent: &Agent, kind: &str, count: usize) -> Vec<Value> {
    let is_it = |event: &&Value| event["type"] == kind;
    let all = agent.reads("/v1/events?since=0", |events| events.iter().filter(is_it).count() >= count);
    all.into_iter().filter(|event| event["type"] == kind).collect()
}

fn handler(agent: &Agent) -> Value {
    agent.get("/v1/handlers").json()["handlers"][0].clone()
}

#[test]
fn answers_to_an_address_that_nobody_reaches_do_not_fill_the_queue() {
    let world = World::new();
    let bob = world.agent("bob", &[OPEN, &[("limits.answers_per_address", "2")]].concat());
    let mallory = world.agent("mallory", &[OPEN, &[("advertise", "127.0.0.1:1")]].concat());
    let alice = world.agent("alice", OPEN);
    add(&bob, &json!({"name": "echo", "command": "cat > /dev/null; echo \"$TOQ_TEXT\"", "reply": "stdout"}));

    for number in 0..5 {
        send(&mallory, &bob, &format!("t{number}"), "answer me", "true");
    }
    let answered = send(&alice, &bob, "t", "hello", "reply");

    assert_eq!(answered["reply"]["body"]["text"], "hello");
    let told = events(&bob, "handler.set_aside", 3);
    assert!(
        told.iter().all(|event| event["reason"].as_str().is_some_and(|why| why.contains("2 messages wait for that address"))),
        "{told:?}"
    );
    let state = eventually("all is done", || Some(handler(&bob)).filter(|state| state["pending"] == 0));
    assert_eq!(state["set_aside"], 3);
}
