//! What an agent knows of other agents' keys moves with it, and overwrites nothing that is known where it comes to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use world::{Agent, TOQ, World};

const WORDS: &str = "words";

fn toq(world: &World, place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(TOQ);
    command.args(arguments).current_dir(place).env_clear().env("HOME", world.home()).env("TOQ_PASSPHRASE", WORDS);
    command.stdin(Stdio::null()).output().unwrap()
}

fn key(agent: &Agent) -> Value {
    agent.get("/v1/status").json()["public_key"].clone()
}

fn send(from: &Agent, to: &Agent, text: &str) -> world::Answer {
    from.post("/v1/messages?wait=true&timeout=10", &json!({"to": to.address(), "body": {"text": text}}).to_string())
}

/// A port outside the range from which agents take theirs, so that it is free again when its agent restarts.
fn free_port() -> String {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string()
}

fn export(world: &World, agent: &Agent) -> PathBuf {
    let path = world.path().join(format!("{}.backup", agent.name));
    let output = toq(world, &agent.place, &["export", path.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    path
}

fn rotate(agent: &Agent) -> Value {
    let answer = agent.post("/v1/keys/rotate", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["new_public_key"].clone()
}

#[test]
fn an_agent_that_moves_still_knows_whose_address_is_whose_and_its_peers_still_follow_it() {
    let world = World::new();
    let (here, there) = (free_port(), free_port());
    let alice = world.agent("alice", &[("port", &here), ("connection_mode", "open")]);
    let bob = world.agent("bob", &[("port", &there), ("delivery.retry_max_s", "1")]);
    assert_eq!(bob.post("/v1/approve", &json!({"key": key(&alice)}).to_string()).status, 200);
    rotate(&alice);
    assert_eq!(send(&alice, &bob, "under alice's second key").status, 200);
    let stolen = std::fs::read(bob.place.join(".toq/keys/identity.key")).unwrap();
    let bobs = rotate(&bob);
    assert_eq!(send(&alice, &bob, "to bob's second key").status, 200);
    let backup = export(&world, &alice);
    assert!(alice.toq(&["down"]).status.success());

    let place = world.workspace("elsewhere", &[]);
    let output = toq(&world, &place, &["import", backup.to_str().unwrap(), "--yes", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let plan = serde_json::from_slice::<Value>(&output.stdout).unwrap()["plan"].clone();
    assert_eq!((&plan["pins"], &plan["successions"], &plan["kept"]), (&json!(1), &json!(1), &Value::Null), "{plan}");
    assert!(world.up(&place).status.success());
    let moved = world.running("alice", &place);

    let peer = &moved.get("/v1/peers").json()["peers"][0];
    assert_eq!((&peer["public_key"], &peer["bound"], &peer["verified_by"]), (&bobs, &json!(true), &json!("dialled")), "{peer}");
    // bob has seen one rotation of alice: were they counted anew, the next would look like an old one.
    let alices = rotate(&moved);
    assert_eq!(send(&moved, &bob, "under alice's third key").status, 200);
    let approved = bob.get("/v1/permissions").json()["approved"].clone();
    assert!(approved.as_array().unwrap().iter().any(|rule| rule["value"] == alices), "{approved}");

    // Whoever has bob's first key gains nothing from an alice who has moved.
    assert!(bob.toq(&["down"]).status.success());
    std::fs::write(bob.place.join(".toq/keys/identity.key"), stolen).unwrap();
    std::fs::remove_file(bob.place.join(".toq/keys/rotations.json")).unwrap();
    assert!(world.up(&bob.place).status.success());
    let refused = send(&moved, &bob, "secret");
    assert_eq!(refused.status, 502, "{refused:?}");
    let question = &moved.get("/v1/approvals").json()["approvals"][0];
    assert_eq!((&question["kind"], &question["previous_key"]), (&json!("key_changed"), &bobs));
}

#[test]
fn a_key_that_is_known_here_stays_and_the_owner_is_told_which() {
    let world = World::new();
    let port = free_port();
    let settings = [("connection_mode", "open"), ("port", port.as_str())];
    let carol = world.agent("carol", &[]);
    let bob = world.agent("bob", &settings);
    let first = key(&bob);
    assert_eq!(send(&carol, &bob, "to the first").status, 200);
    let place = bob.place.clone();
    drop(bob);
    std::fs::remove_dir_all(place.join(".toq")).unwrap();
    let bob = world.agent("bob", &settings);
    let second = key(&bob);
    let alice = world.agent("alice", &[]);
    assert_eq!(send(&alice, &bob, "to the second").status, 200);
    let backup = export(&world, &alice);
    assert!(alice.toq(&["down"]).status.success());

    let told = toq(&world, &carol.place, &["import", backup.to_str().unwrap(), "--dry-run"]);
    let request = json!({"passphrase": WORDS, "data": std::fs::read_to_string(&backup).unwrap()});
    let plan = carol.post("/v1/backup/import", &json!({"dry_run": true, "passphrase": WORDS, "data": request["data"]}).to_string()).json();
    assert_eq!(carol.post("/v1/backup/import", &request.to_string()).status, 200);
    assert!(carol.toq(&["down"]).status.success() && world.up(&carol.place).status.success());

    let kept = json!([{"kind": "pin", "subject": bob.address(), "here": first, "backup": second}]);
    assert_eq!(plan["kept"], kept, "{plan}");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(&format!("kept:      pin of {} stays", bob.address())), "{told}");
    let moved = world.running("alice", &carol.place);
    let refused = send(&moved, &bob, "secret");
    assert_eq!(refused.status, 502, "{refused:?}");
    assert_eq!(moved.get("/v1/approvals").json()["approvals"][0]["previous_key"], first);
}
