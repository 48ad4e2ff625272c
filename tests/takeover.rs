//! Workspaces in the published form become ours once, whatever opens them first and wherever that is cut short. With
//! crash points: `cargo test --features faults --test takeover`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use world::{Agent, World, toq};

const BOB: &str = "ed25519:vlDi0Dq6adY9EixPq3JWGZ28kmNm2jn1CiWlQJavYwQ=";
const CAROL: &str = "ed25519:zTaQFZBcGBHl7HYSUsqikP7JC5VZjnoFuj0rHOoEd0A=";

/// A workspace with the files of a published daemon, which received this many messages of ten kilobytes each.
fn published(world: &World, name: &str, messages: usize) -> PathBuf {
    let place = world.workspace(name, &[]);
    let dir = place.join(".toq");
    toq_vault::Keys::open(&dir.join("keys")).unwrap();
    fs::set_permissions(dir.join("keys"), fs::Permissions::from_mode(0o755)).unwrap();
    let rules = format!("[[approved]]\ntype = \"key\"\nvalue = \"{BOB}\"\n[[blocked]]\ntype = \"key\"\nvalue = \"{CAROL}\"\n");
    fs::write(dir.join("permissions.toml"), rules).unwrap();
    let seen = "2026-11-21T07:59:40.663898259Z";
    let bob = format!(r#"{{"address":"toq://127.0.0.1:9010/bob","first_seen":"{seen}","last_seen":"{seen}"}}"#);
    fs::write(dir.join("peers.json"), format!(r#"{{"peers":{{"{BOB}":{bob}}}}}"#)).unwrap();
    let mut history = String::new();
    for number in 0..messages {
        let text = format!("{number} {}", "x".repeat(10_000));
        writeln!(
            history,
            r#"{{"id":"19bed429-20e0-4242-bf18-{number:012x}","type":"message.send","from":"toq://127.0.0.1:9010/bob","body":{{"text":"{text}"}},"thread_id":"t","timestamp":"{seen}"}}"#
        )
        .unwrap();
    }
    fs::write(dir.join("messages.jsonl"), history).unwrap();
    place
}

/// The number at the beginning of each message, in the order of the history.
fn numbers(agent: &Agent) -> Vec<usize> {
    let history = agent.get("/v1/messages/history?limit=1000").json();
    let text = |entry: &serde_json::Value| entry["body"]["text"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    history["messages"].as_array().unwrap().iter().map(text).collect()
}

fn assert_whole(agent: &Agent, messages: usize) {
    assert_eq!(numbers(agent), (0..messages).collect::<Vec<_>>());
    let rules = agent.get("/v1/permissions").json();
    assert_eq!(rules["approved"][0]["value"], BOB);
    assert_eq!(rules["blocked"][0]["value"], CAROL);
    assert_eq!(agent.get("/v1/peers").json()["peers"].as_array().unwrap().len(), 1);
}

#[test]
fn a_message_sent_before_the_first_start_does_not_cost_the_rules_and_the_history() {
    let world = World::new();
    let place = published(&world, "alice", 3);

    let sent = toq(&world.home(), &place, &["send", "toq://127.0.0.1:1/nobody", "hello", "--no-wait"]);

    assert!(sent.status.success(), "{sent:?}");
    assert!(String::from_utf8_lossy(&sent.stderr).contains("rules: 2, pending approvals: 0, peers: 1, messages: 3"), "{sent:?}");
    let up = world.up(&place);
    assert!(up.status.success() && !String::from_utf8_lossy(&up.stderr).contains("Taken over"), "{up:?}");
    assert_whole(&world.running("alice", &place), 3);
}

#[test]
fn what_came_of_it_is_still_told_later() {
    let world = World::new();
    let place = published(&world, "alice", 2);
    let history = place.join(".toq/messages.jsonl");
    fs::write(&history, fs::read_to_string(&history).unwrap() + "{broken\n").unwrap();

    assert!(world.up(&place).status.success());

    let alice = world.running("alice", &place);
    let told = alice.reads("/v1/events?since=0", |events| events.len() >= 2);
    assert_eq!(told[0]["type"], "workspace.left_out");
    assert!(told[0]["id"].as_str().unwrap().contains("messages.jsonl:3: not a message"), "{told:?}");
    let counts = "rules: 2, pending approvals: 0, peers: 1, messages: 2";
    assert_eq!(
        (told[1]["type"].as_str(), told[1]["reason"].as_str()),
        (Some("workspace.taken_over"), Some(format!("{counts}, left out: 1").as_str()))
    );
    for _ in 0..2 {
        let doctor = String::from_utf8(alice.toq(&["doctor"]).stdout).unwrap();
        assert!(doctor.contains(&format!("[--] takeover: from the published daemon: {counts}; left out:")), "{doctor}");
        assert!(doctor.contains("messages.jsonl:3"), "{doctor}");
        alice.toq(&["down"]);
    }
    assert_eq!(fs::metadata(place.join(".toq/takeover.json")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn files_that_appear_in_a_workspace_that_has_been_used_are_not_taken_over() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    assert_eq!(alice.post("/v1/block", &serde_json::json!({ "key": BOB }).to_string()).status, 200);
    assert!(alice.toq(&["down"]).status.success());
    fs::write(alice.place.join(".toq/permissions.toml"), format!("[[approved]]\ntype = \"key\"\nvalue = \"{CAROL}\"\n")).unwrap();

    assert!(world.up(&alice.place).status.success());

    // Meanwhile somebody else may have got its port.
    let rules = Agent::at("alice", &alice.place, &world).get("/v1/permissions").json();
    assert_eq!(rules["approved"].as_array().unwrap().len(), 0, "{rules}");
    assert_eq!(rules["blocked"][0]["value"], BOB);
}

#[test]
fn rules_that_others_can_write_are_not_taken_over() {
    let world = World::new();
    let place = published(&world, "alice", 0);
    fs::set_permissions(place.join(".toq/permissions.toml"), fs::Permissions::from_mode(0o666)).unwrap();

    let up = world.up(&place);

    assert_eq!(up.status.code(), Some(78), "{up:?}");
    assert!(String::from_utf8_lossy(&up.stderr).contains("chmod go-w"), "{up:?}");
}

#[cfg(feature = "faults")]
#[test]
fn killed_at_any_point_a_takeover_goes_on_where_it_was() {
    let world = World::new();
    // Three stretches of a mebibyte and a rest.
    let messages = 350;
    for point in
        ["takeover-before-begin", "takeover-begun", "takeover-stretch:1", "takeover-stretch:3", "takeover-stretch:4", "takeover-before-end"]
    {
        let name = point.replace(':', "-");
        let place = published(&world, &name, messages);
        let mut up = std::process::Command::new(world::TOQ);
        up.arg("up").current_dir(&place).env_clear().env("HOME", world.home()).env("TOQ_CRASH_POINT", point);

        let killed = up.output().unwrap();

        assert!(String::from_utf8_lossy(&killed.stderr).contains("crash point hit"), "{point}: {killed:?}");
        let up = world.up(&place);
        assert!(up.status.success(), "{point}: {up:?}");
        let told = String::from_utf8_lossy(&up.stderr).into_owned();
        assert!(told.contains(&format!("rules: 2, pending approvals: 0, peers: 1, messages: {messages}")), "{point}: {told}");
        assert_whole(&world.running(&name, &place), messages);
    }
}
