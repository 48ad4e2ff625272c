//! Killed between any two steps, a rotation leaves the old key or the new one. Needs a build with crash points:
//! `cargo test --features faults --test rotation_crash`.
#![cfg(feature = "faults")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use std::net::TcpListener;
use std::process::Command;

use serde_json::json;
use world::{Agent, TOQ, World, eventually};

fn key(agent: &Agent) -> String {
    agent.get("/v1/status").json()["public_key"].as_str().unwrap().to_owned()
}

#[test]
fn killed_at_any_point_a_rotation_leaves_the_old_key_or_the_new_one_and_peers_follow() {
    let world = World::new();
    let bob = world.agent("bob", &[]);
    for (point, is_committed) in
        [("rotate-before-keep", false), ("rotate-before-record", false), ("rotate-before-commit", false), ("rotate-after-commit", true)]
    {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
        let alice = world.agent(&format!("alice-{point}"), &[("port", &port), ("delivery.retry_max_s", "1")]);
        let old = key(&alice);
        assert_eq!(bob.post("/v1/approve", &json!({"key": old}).to_string()).status, 200);
        assert!(alice.toq(&["down"]).status.success());
        let mut up = Command::new(TOQ);
        up.args(["up"]).current_dir(&alice.place).env_clear().env("HOME", world.home()).env("TOQ_CRASH_POINT", point);
        assert!(up.output().unwrap().status.success());

        let killed = alice.post("/v1/keys/rotate", "");

        assert_eq!(killed.status, 0, "{point}: {killed:?}");
        eventually("the daemon starts again", || world.up(&alice.place).status.success().then_some(()));
        assert_eq!(key(&alice) != old, is_committed, "{point}");
        let sent = alice.post("/v1/messages?wait=true&timeout=20", &json!({"to": bob.address(), "body": {"text": point}}).to_string());
        assert_eq!(sent.status, 200, "{point}: {sent:?}");
        // A rotation that never happened is in nobody's way.
        assert_eq!(alice.post("/v1/keys/rotate", "").status, 200, "{point}");
        let sent = alice.post("/v1/messages?wait=true&timeout=20", &json!({"to": bob.address(), "body": {"text": "again"}}).to_string());
        assert_eq!(sent.status, 200, "{point}: {sent:?}");
    }
}
