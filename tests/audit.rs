//! Whatever is decided about rules, keys, handlers and settings is recorded, and nobody takes it out unnoticed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use world::{Agent, TOQ, World, eventually};

const KEY: &str = "ed25519:A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

fn run(world: &World, place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(TOQ);
    command.args(arguments).current_dir(place).env_clear().env("HOME", world.home()).env("PATH", "/usr/bin:/bin");
    command.env("TOQ_PASSPHRASE", "words").stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Who, what and to whom, of every decision so far.
fn decisions(agent: &Agent) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let records = agent.get("/v1/audit?limit=1000").json()["records"].as_array().unwrap().clone();
    records.iter().map(|record| (word(&record["who"]), word(&record["what"]), word(&record["subject"]))).collect()
}

fn has(agent: &Agent, who: &str, what: &str, subject: &str) {
    let all = decisions(agent);
    let is_one = |(by, did, to): &&(String, String, String)| by == who && did == what && to == subject;
    assert_eq!(all.iter().filter(is_one).count(), 1, "{who} {what} {subject} in {all:?}");
}

fn key(agent: &Agent) -> String {
    agent.get("/v1/status").json()["public_key"].as_str().unwrap().to_owned()
}

#[test]
fn each_decision_is_recorded_once_with_who_what_and_when_and_survives_a_restart() {
    let world = World::new();
    let bob = world.agent("bob", &[]);
    let old = key(&bob);
    let post = |path: &str, body: &Value| assert_eq!(bob.post(path, &body.to_string()).status, 200, "{path}");

    post("/v1/approve", &json!({"key": KEY}));
    post("/v1/revoke", &json!({"key": KEY}));
    post("/v1/block", &json!({"from": "toq://bad.example/*"}));
    post("/v1/handlers", &json!({"name": "sh", "command": "echo canary-command"}));
    assert!(bob.toq(&["handler", "disable", "sh"]).status.success());
    let patched = bob.request("PATCH", "/v1/config", &[], Some(r#"{"connection_mode":"allowlist","log_level":"info"}"#));
    assert_eq!(patched.status, 200);
    let new = bob.post("/v1/keys/rotate", "").json()["new_public_key"].as_str().unwrap().to_owned();
    let backup = world.path().join("bob.backup");
    assert!(run(&world, &bob.place, &["export", backup.to_str().unwrap()]).status.success());

    has(&bob, "daemon", "key.loaded", &old);
    has(&bob, "daemon", "config.loaded", "bob");
    has(&bob, "owner", "rule.approved", KEY);
    has(&bob, "owner", "rule.revoked", KEY);
    has(&bob, "owner", "rule.blocked", "toq://bad.example/*");
    has(&bob, "owner", "config.changed", "connection_mode, log_level");
    has(&bob, "owner", "key.rotated", &new);
    has(&bob, "owner", "agent.exported", &new);
    let handlers: Vec<_> = decisions(&bob).into_iter().filter(|(_, what, _)| what == "handlers.changed").collect();
    assert_eq!(handlers.len(), 2, "added and disabled: {handlers:?}");
    let before = decisions(&bob);
    assert!(!format!("{before:?}").contains("canary"));
    let shown = text(&bob.toq(&["audit", "show", "--limit", "1000"]));
    assert_eq!(shown.lines().count(), before.len());
    assert!(shown.contains(&format!("owner  rule.approved  {KEY}")) && shown.contains("(connection_mode = allowlist)"), "{shown}");

    // A start with everything as it was adds only what the file says otherwise than the start before.
    assert!(bob.toq(&["down"]).status.success() && world.up(&bob.place).status.success());
    let bob = world.running("bob", &bob.place);
    assert_eq!(decisions(&bob)[..before.len()], before);
    has(&bob, "owner", "key.rotated", &new);
    let after = decisions(&bob);
    assert!(bob.toq(&["down"]).status.success() && world.up(&bob.place).status.success());
    let bob = world.running("bob", &bob.place);
    assert_eq!(decisions(&bob), after, "nothing has changed, so nothing is recorded");
}

#[test]
fn what_is_changed_while_no_daemon_runs_is_recorded_too() {
    let world = World::new();
    let bob = world.agent("bob", &[]);
    let old = key(&bob);
    assert!(bob.toq(&["down"]).status.success());

    let rotated = run(&world, &bob.place, &["rotate-keys", "--json"]);
    let new = serde_json::from_slice::<Value>(&rotated.stdout).unwrap()["new_public_key"].as_str().unwrap().to_owned();
    assert!(run(&world, &bob.place, &["config", "set", "connection_mode", "open"]).status.success());
    assert!(run(&world, &bob.place, &["handler", "add", "late", "--command", "true"]).status.success());
    let shown = text(&run(&world, &bob.place, &["audit", "show"]));
    assert!(shown.contains(&format!("owner  key.rotated  {new} (in place of {old})")), "{shown}");
    assert!(world.up(&bob.place).status.success());
    let bob = world.running("bob", &bob.place);

    has(&bob, "daemon", "handlers.loaded", "late");
    let modes = bob.get("/v1/audit?limit=1000").json()["records"].as_array().unwrap().clone();
    let modes: Vec<_> = modes.iter().filter(|record| record["what"] == "config.loaded").map(|record| record["detail"].clone()).collect();
    assert_eq!(modes, ["connection_mode = approval", "connection_mode = open"]);
    assert_eq!(decisions(&bob).iter().filter(|(_, what, _)| what == "key.loaded").count(), 1, "the new key was recorded when it was made");
}

#[test]
fn an_import_and_a_peer_that_follows_are_recorded_where_they_happen() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[("connection_mode", "open")]), world.agent("bob", &[("connection_mode", "open")]));
    let sent = alice.post("/v1/messages?wait=true", &json!({"to": bob.address(), "body": {"text": "hello"}}).to_string());
    assert_eq!(sent.status, 200, "{sent:?}");
    let old = key(&alice);

    let new = alice.post("/v1/keys/rotate", "").json()["new_public_key"].as_str().unwrap().to_owned();

    eventually("bob follows", || decisions(&bob).contains(&(format!("peer {old}"), "key.followed".to_owned(), new.clone())).then_some(()));
    let backup = world.path().join("alice.backup");
    assert!(run(&world, &alice.place, &["export", backup.to_str().unwrap()]).status.success());
    assert!(alice.toq(&["down"]).status.success() && bob.toq(&["down"]).status.success());
    assert!(run(&world, &bob.place, &["import", backup.to_str().unwrap(), "--yes"]).status.success());
    assert!(world.up(&bob.place).status.success());
    let moved = world.running("alice", &bob.place);
    has(&moved, "import", "agent.imported", &new);
    has(&moved, "daemon", "key.loaded", &new);
    assert_eq!(moved.get("/v1/audit/verify").json()["ok"], true, "the record goes on where it was");
}

#[test]
fn a_flipped_byte_in_the_file_is_found_with_its_place_by_api_and_command() {
    let world = World::new();
    let bob = world.agent("bob", &[]);
    for name in ["a", "b", "c"] {
        assert_eq!(bob.post("/v1/block", &json!({"from": format!("toq://{name}.example/*")}).to_string()).status, 200);
    }
    let records = bob.get("/v1/audit").json()["records"].as_array().unwrap().clone();
    let place = records.iter().find(|record| record["subject"] == "toq://b.example/*").unwrap()["place"].as_u64().unwrap();
    let head = bob.get("/v1/audit/verify").json()["head"].as_str().unwrap().to_owned();
    assert!(text(&bob.toq(&["audit", "verify"])).contains(&format!("head: {head}")));
    assert!(bob.toq(&["down"]).status.success());
    let path = bob.place.join(".toq/state.redb");
    let whole = std::fs::read(&path).unwrap();
    // One letter of the address: `b` becomes `c`, wherever the record has been in the file.
    let mut changed = whole.clone();
    let (verb, address) = (b"rule.blocked", b"toq://b.example/*");
    for at in 0..whole.len() - 64 {
        let subject = at + verb.len() + 1;
        if whole[at..].starts_with(verb) && whole[subject..].starts_with(address) {
            changed[subject + 6] = b'c';
        }
    }
    assert_ne!(changed, whole);
    std::fs::write(&path, &changed).unwrap();

    let found = run(&world, &bob.place, &["audit", "verify", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&found.stdout).unwrap();
    let fault = json!({"place": place, "message": format!("record {place} was changed")});
    assert_eq!((&told["ok"], &told["fault"], &told["records"]), (&json!(false), &fault, &json!(place - 1)));
    assert!(text(&run(&world, &bob.place, &["audit", "verify"])).contains("not whole"));
    assert!(world.up(&bob.place).status.success());
    let bob = world.running("bob", &bob.place);
    assert_eq!(bob.get("/v1/audit/verify").json()["fault"], fault);
    assert!(bob.toq(&["down"]).status.success());

    // Put back as it was, it is whole, and still has what was noted.
    std::fs::write(&path, &whole).unwrap();
    assert!(run(&world, &bob.place, &["audit", "verify", "--head", &head]).status.success());
    let (noted, hash) = head.split_once(':').unwrap();
    let other = format!("{noted}:{}", hash.chars().rev().collect::<String>());
    assert_eq!(run(&world, &bob.place, &["audit", "verify", "--head", &other]).status.code(), Some(1), "another head than was noted");
    let later = format!("{}:{hash}", noted.parse::<u64>().unwrap() + 1);
    assert_eq!(run(&world, &bob.place, &["audit", "verify", "--head", &later]).status.code(), Some(1), "more was noted than is there");
    assert_eq!(run(&world, &bob.place, &["audit", "verify", "--head", "nonsense"]).status.code(), Some(2));
}

/// What a message makes a handler try: to approve, to block, to add handlers, to read who decided what.
#[test]
fn a_run_that_tries_to_decide_leaves_no_decision_behind() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[("connection_mode", "open")]), world.agent("bob", &[("connection_mode", "open")]));
    let command = "echo \"$TOQ_URL\" > url.tmp; mv url.tmp url; while ! test -e go; do sleep 0.05; done";
    assert_eq!(bob.post("/v1/handlers", &json!({"name": "obeys", "command": command}).to_string()).status, 200);
    let before = decisions(&bob);
    let sent = alice.post("/v1/messages?wait=true", &json!({"to": bob.address(), "body": {"text": "approve me"}}).to_string());
    assert_eq!(sent.status, 200, "{sent:?}");
    let url = eventually("it runs", || std::fs::read_to_string(bob.place.join("url")).ok());
    let pass = url.trim().rsplit_once("/runs/").unwrap().1;

    let tries = json!({"key": KEY, "name": "x", "command": "true", "connection_mode": "open"}).to_string();
    for (method, path) in
        [("POST", "approve"), ("POST", "block"), ("POST", "handlers"), ("PATCH", "config"), ("POST", "keys/rotate"), ("GET", "audit")]
    {
        let body = (method != "GET").then_some(tries.as_str());
        assert_eq!(bob.request(method, &format!("/runs/{pass}/v1/{path}"), &[], body).status, 403, "{method} {path}");
    }

    std::fs::write(bob.place.join("go"), "").unwrap();
    assert_eq!(decisions(&bob), before);
    assert_eq!(bob.get("/v1/permissions").json()["approved"], json!([]));
}
