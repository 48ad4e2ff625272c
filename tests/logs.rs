//! The daemon's log: one, structured, bounded, and no place of messages.

mod world;

use std::io::{Read as _, Write as _};

use world::{Agent, World};

fn refused(agent: &Agent) {
    assert_eq!(agent.request("GET", "/v1/status", &[("Origin", "http://evil.example")], None).status, 403);
}

fn entries(agent: &Agent) -> Vec<serde_json::Value> {
    agent.get("/v1/logs").json()["entries"].as_array().expect("a list").clone()
}

#[test]
fn the_api_and_the_command_line_show_the_same_entries() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    refused(&alice);

    let entries = entries(&alice);
    let printed = String::from_utf8(alice.toq(&["--json", "logs"]).stdout).expect("text");

    let last = entries.last().expect("the refusal is logged");
    assert_eq!((last["level"].as_str(), last["message"].as_str()), (Some("warn"), Some("a local request was refused")), "{last}");
    assert_eq!(last["fields"]["path"], "/v1/status");
    let printed: Vec<serde_json::Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(printed, entries);
}

#[test]
fn a_followed_log_gives_new_lines_only() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    refused(&alice);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", alice.port)).expect("connects");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("set");
    write!(stream, "GET /v1/logs?follow=true HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", alice.port).expect("writes");
    let mut seen = String::new();
    let mut read_until = |end: &str| {
        let mut buffer = [0; 4096];
        while !seen.contains(end) {
            let read = stream.read(&mut buffer).expect("a line comes");
            seen += &String::from_utf8_lossy(&buffer[..read]);
        }
        seen.clone()
    };
    read_until("\r\n\r\n");

    assert_eq!(alice.request("GET", "/v1/peers", &[("Origin", "http://evil.example")], None).status, 403);

    let seen = read_until("/v1/peers");
    assert!(!seen.contains("/v1/status"), "{seen}");
}

#[test]
fn clearing_the_logs_leaves_every_message() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open")]));
    let body = format!(r#"{{"to":"{}","body":{{"text":"kept"}}}}"#, bob.address());
    assert_eq!(alice.post("/v1/messages?wait=true", &body).status, 200);

    for clear in [
        |bob: &Agent| assert_eq!(bob.request("DELETE", "/v1/logs", &[], None).status, 200),
        |bob: &Agent| {
            assert!(bob.toq(&["clear-logs"]).status.success());
        },
    ] {
        refused(&bob);
        assert!(!entries(&bob).is_empty());
        clear(&bob);
        assert!(entries(&bob).is_empty());
    }

    assert_eq!(bob.get("/v1/messages/history").json()["messages"][0]["body"]["text"], "kept");
    refused(&bob);
    assert_eq!(entries(&bob).len(), 1, "the daemon goes on writing");
}

#[test]
fn a_stranger_who_causes_the_same_line_a_thousand_times_does_not_fill_the_log() {
    let world = World::new();
    let alice = world.agent("alice", &[]);

    (0..1_000).for_each(|_| refused(&alice));

    let size = std::fs::metadata(alice.place.join(".toq/logs/toq.log")).expect("there").len();
    assert!(size < 300 * 256, "{size} bytes");
}

#[test]
fn the_level_changes_at_once_and_what_does_not_is_named() {
    let world = World::new();
    let alice = world.agent("alice", &[]);

    let live = alice.request("PATCH", "/v1/config", &[], Some(r#"{"log_level":"error"}"#)).json();
    let later = alice.request("PATCH", "/v1/config", &[], Some(r#"{"api":{"max_concurrent_requests":7}}"#)).json();
    refused(&alice);

    assert_eq!(live["needs_restart"], serde_json::Value::Null);
    assert_eq!(later["needs_restart"][0], "api.max_concurrent_requests");
    assert_eq!(later["config"]["api"]["access"], "same-user", "a table keeps its other keys");
    assert!(entries(&alice).iter().all(|entry| entry["level"] == "error"));
}
