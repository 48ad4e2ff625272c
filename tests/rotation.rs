//! A new identity key, from outside: both directions at once, peers follow, thieves do not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};
use toq_protocol::key::{PeerKey, Signature};
use world::{Agent, World, eventually};

fn rotate(agent: &Agent) -> Value {
    let answer = agent.post("/v1/keys/rotate", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn key(agent: &Agent) -> Value {
    agent.get("/v1/status").json()["public_key"].clone()
}

/// Sends and says whether it was delivered.
fn is_delivered(from: &Agent, to: &Agent, text: &str) -> bool {
    let body = json!({"to": to.address(), "body": {"text": text}});
    from.post("/v1/messages?wait=true&timeout=10", &body.to_string()).status == 200
}

fn approved(agent: &Agent) -> Value {
    rules(agent, "approved")
}

fn rules(agent: &Agent, list: &str) -> Value {
    let rules = agent.get("/v1/permissions").json();
    rules[list].as_array().unwrap().iter().map(|rule| json!({"type": rule["type"], "value": rule["value"]})).collect()
}

fn rule(key: &Value) -> Value {
    json!({"type": "key", "value": key})
}

/// A port of the system's choice, outside the range from which agents take theirs, so that nobody takes it while its
/// agent restarts.
fn free_port() -> String {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string()
}

/// alice, and bob, who asks before he lets anybody in and has let alice in.
fn acquainted(world: &World) -> (Agent, Agent) {
    let (here, there) = (free_port(), free_port());
    let alice = world.agent("alice", &[("port", &here), ("connection_mode", "open"), ("delivery.retry_max_s", "1")]);
    let bob = world.agent("bob", &[("port", &there), ("delivery.retry_max_s", "1")]);
    assert_eq!(bob.post("/v1/approve", &json!({"key": key(&alice)}).to_string()).status, 200);
    assert!(is_delivered(&alice, &bob, "before"));
    (alice, bob)
}

#[test]
fn both_directions_speak_with_the_new_key_at_once_and_the_proof_is_the_published_one() {
    let world = World::new();
    let (alice, bob) = acquainted(&world);
    let old = key(&alice);

    let rotated = rotate(&alice);

    let new = rotated["new_public_key"].clone();
    assert_eq!(
        (rotated["old_public_key"].clone(), key(&alice), alice.get("/v1/card").json()["public_key"].clone()),
        (old.clone(), new.clone(), new.clone())
    );
    let parse = |value: &Value| PeerKey::parse(value.as_str().unwrap()).unwrap();
    let proof = Signature::parse(rotated["rotation_proof"].as_str().unwrap()).unwrap();
    assert!(parse(&old).verifies(parse(&new).as_bytes(), &proof));
    // Inbound: bob asks who answers. Outbound: bob sees who calls.
    assert_eq!(bob.post("/v1/ping", &json!({"address": alice.address()}).to_string()).json()["public_key"], new);
    assert!(is_delivered(&alice, &bob, "after"));
    let peers = bob.get("/v1/peers").json();
    assert_eq!(peers["peers"].as_array().unwrap().iter().map(|peer| peer["public_key"].clone()).collect::<Vec<_>>(), [new]);
}

#[test]
fn a_peer_follows_without_asking_its_owner_again() {
    let world = World::new();
    let (alice, bob) = acquainted(&world);

    let new = rotate(&alice)["new_public_key"].clone();

    assert!(is_delivered(&alice, &bob, "after"));
    assert!(approved(&bob).as_array().unwrap().contains(&rule(&new)));
    assert_eq!(bob.get("/v1/approvals").json()["approvals"], json!([]));
    // It outlives a restart of either side.
    assert!(bob.toq(&["down"]).status.success() && world.up(&bob.place).status.success());
    assert!(alice.toq(&["down"]).status.success() && world.up(&alice.place).status.success());
    assert_eq!(key(&alice), new);
    assert!(is_delivered(&alice, &bob, "much later"));
}

#[test]
fn a_peer_that_was_away_for_two_rotations_follows_when_it_is_back() {
    let world = World::new();
    let (alice, bob) = acquainted(&world);
    assert!(bob.toq(&["down"]).status.success());

    rotate(&alice);
    assert!(alice.toq(&["down"]).status.success());
    let output = alice.toq(&["rotate-keys", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let new = serde_json::from_slice::<Value>(&output.stdout).unwrap()["new_public_key"].clone();
    assert!(world.up(&alice.place).status.success() && world.up(&bob.place).status.success());

    assert_eq!(key(&alice), new);
    assert!(is_delivered(&alice, &bob, "after both"));
    assert!(approved(&bob).as_array().unwrap().contains(&rule(&new)));
}

#[test]
fn a_peer_that_dials_learns_of_it_too() {
    let world = World::new();
    let (alice, bob) = acquainted(&world);
    let new = rotate(&alice)["new_public_key"].clone();

    assert!(is_delivered(&bob, &alice, "hello"));

    eventually("the rule went over", || approved(&bob).as_array().unwrap().contains(&rule(&new)).then_some(()));
}

#[test]
fn who_is_blocked_stays_blocked_under_a_new_key() {
    let world = World::new();
    let alice = world.agent("alice", &[("connection_mode", "open")]);
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    assert_eq!(bob.post("/v1/block", &json!({"key": key(&alice)}).to_string()).status, 200);

    let new = rotate(&alice)["new_public_key"].clone();

    assert!(!is_delivered(&alice, &bob, "let me in"));
    assert!(rules(&bob, "blocked").as_array().unwrap().contains(&rule(&new)));
}

/// The thief has the old key file, the agent's address and a proof that verifies; he only comes second.
#[test]
fn a_second_rotation_by_a_stolen_old_key_gains_nothing() {
    let world = World::new();
    let (alice, bob) = acquainted(&world);
    let keys = alice.place.join(".toq/keys");
    let stolen = fs::read(keys.join("identity.key")).unwrap();
    let owners = rotate(&alice)["new_public_key"].clone();
    assert!(is_delivered(&alice, &bob, "the owner was first"));
    assert!(alice.toq(&["down"]).status.success());

    fs::write(keys.join("identity.key"), &stolen).unwrap();
    fs::remove_file(keys.join("rotations.json")).unwrap();
    assert!(world.up(&alice.place).status.success());
    let thiefs = rotate(&alice)["new_public_key"].clone();

    assert_ne!(thiefs, owners);
    assert!(!is_delivered(&alice, &bob, "the thief is second"));
    let rules = approved(&bob);
    assert!(rules.as_array().unwrap().contains(&rule(&owners)) && !rules.as_array().unwrap().contains(&rule(&thiefs)), "{rules}");
    let pending = bob.get("/v1/approvals").json();
    assert_eq!(pending["approvals"][0]["public_key"], thiefs, "the stranger is held for the owner");
}

#[test]
fn the_old_key_is_kept_aside_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let world = World::new();
    let (alice, _bob) = acquainted(&world);
    let keys = alice.place.join(".toq/keys");
    let before = fs::read(keys.join("identity.key")).unwrap();

    rotate(&alice);

    for name in ["identity.key", "identity.key.previous", "rotations.json"] {
        assert_eq!(fs::metadata(keys.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::read(keys.join("identity.key.previous")).unwrap(), before);
    assert_ne!(fs::read(keys.join("identity.key")).unwrap(), before);
}

#[test]
fn a_handler_that_names_a_key_follows_its_agent_and_shows_the_key_that_it_has_now() {
    let world = World::new();
    let (alice, bob) = acquainted(&world);
    let first = key(&alice);
    let definition = json!({"name": "alices", "command": "echo \"heard $TOQ_TEXT\"", "reply": "stdout", "filter_key": [first]});
    assert_eq!(bob.post("/v1/handlers", &definition.to_string()).status, 200);
    assert!(bob.get("/v1/handlers/alices").json().get("replaced_keys").is_none());

    let second = rotate(&alice)["new_public_key"].clone();
    assert!(is_delivered(&alice, &bob, "once"));
    let third = rotate(&alice)["new_public_key"].clone();
    assert!(is_delivered(&alice, &bob, "twice"));

    let heard = alice.has_received(2);
    assert_eq!(heard.iter().map(|message| message["body"]["text"].as_str().unwrap()).collect::<Vec<_>>(), ["heard once", "heard twice"]);
    let shown = bob.get("/v1/handlers/alices").json();
    assert_ne!(second, third);
    assert_eq!((&shown["filter_key"], &shown["replaced_keys"]), (&json!([first]), &json!([{"key": first, "current": third}])));
    let list = String::from_utf8(bob.toq(&["handler", "list"]).stdout).unwrap();
    assert!(list.contains(&format!("{} (now {})", first.as_str().unwrap(), third.as_str().unwrap())), "{list}");
    // It is still so when the daemon has started again.
    assert!(bob.toq(&["down"]).status.success() && world.up(&bob.place).status.success());
    assert_eq!(bob.get("/v1/handlers/alices").json()["replaced_keys"][0]["current"], third);
}
