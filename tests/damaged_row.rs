//! One row of the log is damaged on the disk: what else was said is still read, and the damage is told.

mod world;

use serde_json::{Value, json};
use world::{Agent, World, eventually};

/// Makes the stored message with this text unreadable, in every copy that the file has of it. The daemon must not run.
fn damage(place: &std::path::Path, text: &str) {
    let path = place.join(".toq/state.redb");
    let mut bytes = std::fs::read(&path).expect("the log");
    let kind = b"message.send";
    let ends: Vec<usize> = find(&bytes, text.as_bytes());
    assert!(!ends.is_empty(), "the log holds the message");
    for end in ends {
        // A row says the kind of its message some way before the body.
        if let Some(start) = find(&bytes[..end], kind).pop().filter(|start| end - start < 1024) {
            bytes[start..start + kind.len()].copy_from_slice(b"garbage.gone");
        }
    }
    std::fs::write(path, bytes).expect("written back");
}

fn find(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    bytes.windows(what.len()).enumerate().filter(|(_, window)| *window == what).map(|(place, _)| place).collect()
}

fn texts(answer: &Value) -> Vec<String> {
    answer["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|message| message["body"]["text"].as_str().map(str::to_owned))
        .collect()
}

fn send(from: &Agent, to: &Agent, text: &str) {
    let body = json!({"to": to.address(), "thread_id": "talk", "body": {"text": text}});
    assert_eq!(from.post("/v1/messages?wait=true", &body.to_string()).json()["status"], "delivered");
}

#[test]
fn history_threads_and_commands_go_around_it_and_say_so() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open")]));
    for text in ["the first", "the damaged one", "the last"] {
        send(&alice, &bob, text);
    }
    assert!(bob.toq(&["down"]).status.success());
    damage(&bob.place, "the damaged one");
    assert!(world.up(&bob.place).status.success());

    let (history, thread) = (bob.get("/v1/messages/history").json(), bob.get("/v1/threads/talk").json());
    let command = bob.toq(&["messages"]);

    for answer in [&history, &thread] {
        assert_eq!(texts(answer), ["the first", "the last"], "{answer}");
        assert_eq!(answer["unreadable"].as_array().map(Vec::len), Some(1), "{answer}");
    }
    assert_eq!(bob.get("/v1/threads").json()["threads"][0]["thread_id"], "talk");
    assert!(command.status.success());
    let (shown, noted) = (String::from_utf8_lossy(&command.stdout), String::from_utf8_lossy(&command.stderr));
    assert!(shown.contains("the first") && shown.contains("the last"), "{shown}");
    assert!(noted.contains("1 message(s) cannot be read"), "{noted}");

    send(&alice, &bob, "another");
    assert_eq!(texts(&bob.get("/v1/messages/history").json()), ["the first", "the last", "another"]);
    assert_eq!(alice.get("/v1/messages/history?outgoing=true").json().get("unreadable"), None, "where all is well nothing is said");
}

#[test]
fn one_that_waits_to_be_sent_holds_up_nothing_behind_it_and_its_end_is_told() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open")]));
    let address = bob.address();
    assert!(bob.toq(&["down"]).status.success());
    for text in ["the damaged one", "the last"] {
        let body = json!({"to": address, "thread_id": "talk", "body": {"text": text}});
        assert_eq!(alice.post("/v1/messages?wait=false", &body.to_string()).status, 202);
    }
    assert!(alice.toq(&["down"]).status.success());
    damage(&alice.place, "the damaged one");
    assert!(world.up(&bob.place).status.success());
    assert!(world.up(&alice.place).status.success());

    eventually("what is behind it arrives", || (texts(&bob.get("/v1/messages/history").json()) == ["the last"]).then_some(()));
    assert_eq!(alice.first_event("/v1/events?since=0&type=log.unreadable")["type"], "log.unreadable");
}

#[test]
fn a_rule_that_cannot_be_read_keeps_the_daemon_from_starting_rather_than_letting_everybody_in() {
    const BLOCKED: &str = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let world = World::new();
    let alice = world.agent("alice", &[("connection_mode", "open")]);
    assert!(alice.toq(&["block", "--key", BLOCKED]).status.success());
    assert!(alice.toq(&["down"]).status.success());
    let path = alice.place.join(".toq/state.redb");
    let mut bytes = std::fs::read(&path).expect("the log");
    let rules = find(&bytes, format!("blockkey{BLOCKED}").as_bytes());
    assert!(!rules.is_empty(), "the log holds the rule");
    for start in rules {
        bytes[start + "blockkey".len()..][..7].copy_from_slice(b"garbage");
    }
    std::fs::write(&path, &bytes).expect("written back");

    let output = world.up(&alice.place);

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the rules of who may come in cannot be read") && said.contains("toq import"), "{said}");
}

#[test]
fn readers_with_a_place_and_without_go_around_it_and_say_so_once() {
    let world = World::new();
    let program = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", program.local_addr().expect("bound"));
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open"), ("adapter.http.callback_url", &url)]));
    send(&alice, &bob, "the damaged one");
    send(&alice, &bob, "the last");
    // The program takes nothing yet.
    let (waiting, _) = program.accept().expect("called");
    assert!(bob.toq(&["down"]).status.success());
    drop(waiting);
    damage(&bob.place, "the damaged one");
    assert!(world.up(&bob.place).status.success());

    let text = |messages: &[Value]| messages.iter().map(|message| message["body"]["text"].clone()).collect::<Vec<_>>();
    assert_eq!(text(&bob.reads("/v1/messages?since=0", |messages| !messages.is_empty())), ["the last"]);
    assert_eq!(text(&bob.reads("/v1/messages?consumer=program&since=0", |messages| !messages.is_empty())), ["the last"]);
    let (mut called, _) = program.accept().expect("called");
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    while find(&request, b"the last").is_empty() {
        let read = std::io::Read::read(&mut called, &mut piece).expect("the request");
        assert!(read > 0, "{}", String::from_utf8_lossy(&request));
        request.extend_from_slice(&piece[..read]);
    }

    let told = bob.get("/v1/consumers/program").json();
    assert_eq!(told["pending"], 1, "{told}");
    let events = bob.reads("/v1/events?since=0&type=log.unreadable", |events| !events.is_empty());
    assert_eq!(events.len(), 1, "{events:?}");
}
