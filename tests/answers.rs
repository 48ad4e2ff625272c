//! Automatic answers from outside: what peers can make a daemon do, and where that ends.

#[path = "../net/tests/provider/mod.rs"]
mod provider;
mod world;

use provider::{Provider, Step, open};
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

/// An answer in two pieces, as a provider writes it.
fn in_pieces(text: &str) -> Vec<Step> {
    let piece = |text: &str| Step::Write(format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]})).into_bytes());
    vec![open("text/event-stream"), piece("The "), piece(text), Step::Write(b"data: [DONE]\n\n".to_vec())]
}

#[test]
fn a_streamed_answer_is_said_once_even_if_the_daemon_is_killed_behind_it() {
    let world = World::new();
    let provider = Provider::answering(|count, _| Some(in_pieces(&format!("answer {count}"))));
    let place = world.workspace("bob", OPEN);
    std::fs::write(place.join(".toq/handlers.toml"), "[[handlers]]\nname = \"bot\"\nprovider = \"openai\"\nmodel = \"m1\"\n")
        .expect("written");
    let variables = [("OPENAI_BASE_URL", format!("{}/v1", provider.base)), ("OPENAI_API_KEY", "k".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let bob = world.start_with("bob", &place, &variables);
    let alice = world.agent("alice", OPEN);
    let texts = |messages: &[Value]| -> Vec<String> {
        let stored = messages.iter().filter(|message| message["type"] != "message.stream.chunk");
        stored.map(|message| message["body"]["text"].as_str().unwrap_or_default().to_owned()).collect()
    };

    send(&alice, &bob, "t", "one", "true");
    alice.reads("/v1/messages?since=0", |messages| texts(messages).len() == 1);
    bob.kill();
    let bob = world.start_with("bob", &place, &variables);
    send(&alice, &bob, "t", "two", "true");
    let answers = alice.reads("/v1/messages?since=0", |messages| texts(messages).contains(&"The answer 2".to_owned()));

    assert_eq!((texts(&answers), provider.asked().len()), (vec!["The answer 1".to_owned(), "The answer 2".to_owned()], 2));
    let thread = bob.get("/v1/threads/t").json()["messages"].as_array().expect("a list").clone();
    let sent: Vec<&Value> = thread.iter().filter(|message| message["from"].as_str().is_some_and(|from| from.ends_with("/bob"))).collect();
    assert_eq!(sent.len(), 2, "{thread:?}");
}

#[test]
fn who_says_the_same_again_and_again_is_left_alone_whether_or_not_it_keeps_the_mark() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    add(&bob, &json!({"name": "echo", "command": "cat > /dev/null; echo \"$TOQ_TEXT\"", "reply": "stdout", "max_repeats": 3}));

    for text in ["Acknowledged.", "acknowledged", "ACKNOWLEDGED!", " acknowledged\n", "Acknowledged"] {
        send(&alice, &bob, "t", text, "true");
    }
    send(&alice, &bob, "other", "Acknowledged.", "reply");
    send(&alice, &bob, "t", "something else", "reply");

    let told = events(&bob, "thread.paused", 2);
    assert!(told.iter().all(|event| event["id"] == "t" && event["reason"] == "identical_content"), "{told:?}");
    assert_eq!((told.len(), alice.has_received(5).len()), (2, 5), "three of five, and both others");
}

#[test]
fn a_peer_has_its_runs_of_an_hour_and_no_more_also_across_a_restart() {
    let world = World::new();
    let (alice, carol, bob) = (world.agent("alice", OPEN), world.agent("carol", OPEN), world.agent("bob", OPEN));
    add(
        &bob,
        &json!({"name": "count", "command": "cat > /dev/null; echo run >> runs.txt; echo done", "reply": "stdout", "peer_runs_per_hour": 2}),
    );
    let is_idle = |agent: &Agent| eventually("all is done", || Some(handler(agent)).filter(|state| state["pending"] == 0));

    // Should an hour end meanwhile, the peer has twice as many; it never has more.
    for number in 0..3 {
        send(&alice, &bob, &format!("t{number}"), &format!("message {number}"), "true");
    }
    is_idle(&bob);
    let place = bob.place.clone();
    drop(bob);
    assert!(world.up(&place).status.success());
    let bob = world.running("bob", &place);
    for number in 3..6 {
        send(&alice, &bob, &format!("t{number}"), &format!("message {number}"), "true");
    }
    assert_eq!(send(&carol, &bob, "c", "hello", "reply")["reply"]["body"]["text"], "done");

    let set_aside = is_idle(&bob)["set_aside"].as_u64().expect("a number");
    assert!((2..=4).contains(&set_aside), "{set_aside}");
    let told = events(&bob, "thread.paused", 2);
    assert!(told.iter().all(|event| event["reason"] == "budget_exhausted"), "{told:?}");
    let runs = std::fs::read_to_string(place.join("runs.txt")).expect("written").lines().count();
    assert_eq!(runs as u64, 6 - set_aside + 1);
}
