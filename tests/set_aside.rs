//! What a handler failed on is listed, and tried again when its owner says so, also across a crash.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use serde_json::{Value, json};
use world::{Agent, World, eventually};

const OPEN: &[(&str, &str)] = &[("connection_mode", "open"), ("graceful_shutdown_timeout", "1")];

fn handler(agent: &Agent) -> Value {
    agent.get("/v1/handlers/picky").json()
}

fn aside(agent: &Agent) -> Vec<String> {
    let answer = agent.get("/v1/handlers/picky/set-aside").json();
    answer["messages"].as_array().unwrap().iter().map(|aside| aside["message"]["body"]["text"].as_str().unwrap().to_owned()).collect()
}

fn got(agent: &Agent) -> Vec<String> {
    std::fs::read_to_string(agent.place.join("got")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn send(from: &Agent, to: &Agent, text: &str) -> String {
    let body = json!({"to": to.address(), "body": {"text": text}, "thread_id": "t"});
    let answer = from.post("/v1/messages?wait=true&timeout=20", &body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn kill(agent: &Agent) {
    let state: Value = serde_json::from_slice(&std::fs::read(agent.place.join(".toq/state.json")).unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(state["pid"].as_i64().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("the daemon is gone", || std::net::TcpStream::connect(("127.0.0.1", agent.port)).is_err().then_some(()));
}

/// bob, who fails on everything as long as there is no file `ok`, and the ids of three messages that he failed on.
fn scene(world: &World) -> (Agent, Agent, [String; 3]) {
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    let definition = json!({"name": "picky", "command": "test -e ok && echo \"$TOQ_TEXT\" >> got", "max_attempts": 1});
    assert_eq!(bob.post("/v1/handlers", &definition.to_string()).status, 200);
    let ids = ["one", "two", "three"].map(|text| send(&alice, &bob, text));
    eventually("all are set aside", || (handler(&bob)["set_aside"] == 3 && handler(&bob)["pending"] == 0).then_some(()));
    (alice, bob, ids)
}

#[test]
fn one_message_or_all_are_tried_again_and_each_once() {
    let world = World::new();
    let (alice, bob, [_, two, _]) = scene(&world);

    // It fails again, and is where it was.
    assert_eq!(bob.post("/v1/handlers/picky/retry", &json!({"ids": [two]}).to_string()).json(), json!({"name": "picky", "retried": 1}));
    eventually("it is set aside again", || (aside(&bob) == ["one", "two", "three"]).then_some(()));

    std::fs::write(bob.place.join("ok"), "").unwrap();
    let told = bob.toq(&["handler", "retry", "picky", &two]);
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "Handler 'picky' tries 1 message(s) again", "{told:?}");
    eventually("it is done", || (got(&bob) == ["two"] && handler(&bob)["pending"] == 0).then_some(()));
    assert_eq!(aside(&bob), ["one", "three"]);

    assert!(bob.toq(&["handler", "retry", "picky", "--all"]).status.success());
    send(&alice, &bob, "four");
    eventually("all are done", || (got(&bob).len() == 4 && handler(&bob)["pending"] == 0).then_some(()));
    assert!(aside(&bob).is_empty());
    // They are of one conversation, so they go in the order in which they came.
    assert_eq!(got(&bob), ["two", "one", "three", "four"]);
}

#[test]
fn what_is_to_be_tried_again_survives_a_crash_and_what_was_done_is_not_done_twice() {
    let world = World::new();
    let (_alice, bob, [one, two, _]) = scene(&world);
    std::fs::write(bob.place.join("ok"), "").unwrap();
    assert_eq!(bob.post("/v1/handlers/picky/retry", &json!({"ids": [one]}).to_string()).status, 200);
    eventually("it is done", || (got(&bob) == ["one"] && handler(&bob)["pending"] == 0).then_some(()));
    // Paused, so that it begins nothing before the crash.
    assert_eq!(bob.post("/v1/handlers/picky/pause", "").status, 200);
    assert_eq!(bob.post("/v1/handlers/picky/retry", &json!({"ids": [two]}).to_string()).status, 200);
    assert_eq!((handler(&bob)["pending"].clone(), aside(&bob)), (json!(1), vec!["three".to_owned()]));

    kill(&bob);
    assert!(world.up(&bob.place).status.success());
    let bob = world.running("bob", &bob.place);

    eventually("it is done", || (got(&bob) == ["one", "two"] && handler(&bob)["pending"] == 0).then_some(()));
    assert_eq!(aside(&bob), ["three"]);
}

#[test]
fn what_cannot_be_tried_again_is_said_with_what_to_do() {
    let world = World::new();
    let (_alice, bob, [one, ..]) = scene(&world);

    let unknown = bob.post("/v1/handlers/picky/retry", r#"{"ids":["00000000-0000-4000-8000-000000000000"]}"#);
    assert_eq!((unknown.status, unknown.code()), (404, "not_found".to_owned()));
    assert_eq!(bob.post("/v1/handlers/nobody/retry", "{}").status, 404);
    assert_eq!(bob.toq(&["handler", "retry", "picky"]).status.code(), Some(2), "neither an id nor --all");
    assert!(bob.toq(&["handler", "disable", "picky"]).status.success());
    let off = bob.post("/v1/handlers/picky/retry", &json!({"ids": [one]}).to_string());
    assert_eq!((off.status, off.code()), (409, "conflict".to_owned()));
    assert!(off.body.contains("toq handler enable"), "{off:?}");
    assert_eq!(aside(&bob).len(), 3, "nothing was lost");
}
