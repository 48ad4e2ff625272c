//! An owner says no and thinks better of it: whoever was turned away hears of that, however and whenever it is decided.

mod world;

use serde_json::{Value, json};
use world::rulings::waiting;
use world::{Agent, World, eventually, toq};

/// The first pause after a failed attempt is half a minute at least; nothing but a word from bob ends it earlier.
const PATIENT: &[(&str, &str)] = &[("delivery.retry_initial_ms", "60000")];

/// Sends to somebody who has to ask first; the key that waits there.
fn knock(alice: &Agent, bob: &Agent) -> String {
    let sent = alice.post("/v1/messages?wait=false", &json!({"to": bob.address(), "body": {"text": "hello"}}).to_string());
    assert_eq!(sent.status, 202, "{sent:?}");
    let key = alice.get("/v1/status").json()["public_key"].as_str().expect("a key").to_owned();
    eventually("bob is asked", || waiting(bob).contains(&key).then_some(()));
    key
}

/// Sends, is asked about and turned away.
fn turned_away(alice: &Agent, bob: &Agent) -> String {
    let key = knock(alice, bob);
    assert!(bob.toq(&["deny", &key]).status.success());
    alice.reads("/v1/events?since=0", |events| events.iter().any(|event| event["type"] == "approval.denied"));
    key
}

fn kinds(agent: &Agent, last: &str) -> Vec<String> {
    let events = agent.reads("/v1/events?since=0", |events| events.iter().any(|event| event["type"] == last));
    events.iter().filter_map(|event: &Value| event["type"].as_str().map(str::to_owned)).collect()
}

/// The message came because bob said yes, once.
fn was_welcomed(alice: &Agent, bob: &Agent) {
    let kinds = kinds(alice, "message.delivered");
    assert_eq!(kinds.iter().filter(|kind| *kind == "approval.granted").count(), 1, "{kinds:?}");
    assert_eq!(bob.has_received(1)[0]["body"]["text"], "hello");
}

fn decides(bob: &Agent, arguments: &[&str]) {
    let output = bob.toq(arguments);
    assert!(output.status.success(), "{output:?}");
}

fn again(world: &World, agent: &Agent) -> Agent {
    world.start_with(&agent.name, &agent.place, &[])
}

#[test]
fn who_was_denied_and_is_approved_after_all_is_told_and_its_message_comes() {
    for by_pattern in [false, true] {
        let world = World::new();
        let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
        let key = turned_away(&alice, &bob);

        let rule = if by_pattern { ["--from", "toq://127.0.0.1/*"] } else { ["--key", &key] };
        decides(&bob, &["approve", rule[0], rule[1]]);

        was_welcomed(&alice, &bob);
    }
}

#[test]
fn a_mode_that_lets_strangers_in_is_told_to_those_who_wait_or_were_denied() {
    for is_denied in [false, true] {
        let world = World::new();
        let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
        if is_denied {
            turned_away(&alice, &bob);
        } else {
            knock(&alice, &bob);
        }

        decides(&bob, &["config", "set", "connection_mode", "open"]);

        was_welcomed(&alice, &bob);
        assert!(waiting(&bob).is_empty(), "nothing is left to decide");
    }
}

#[test]
fn who_waits_is_told_by_a_daemon_that_starts_in_a_mode_that_lets_it_in() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
    knock(&alice, &bob);
    bob.kill();
    decides(&bob, &["config", "set", "connection_mode", "open"]);

    let bob = again(&world, &bob);

    was_welcomed(&alice, &bob);
    assert!(waiting(&bob).is_empty(), "nothing is left to decide");
}

#[test]
fn a_no_is_remembered_across_a_restart_for_a_later_yes() {
    for by_pattern in [false, true] {
        let world = World::new();
        let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
        let key = turned_away(&alice, &bob);
        bob.kill();
        let bob = again(&world, &bob);
        assert!(waiting(&bob).is_empty());

        let rule = if by_pattern { ["--from", "toq://*/alice"] } else { ["--key", &key] };
        decides(&bob, &["approve", rule[0], rule[1]]);

        was_welcomed(&alice, &bob);
    }
}

#[test]
fn a_yes_that_is_said_without_a_daemon_is_told_by_the_next_one() {
    for is_denied_first in [false, true] {
        let world = World::new();
        let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
        let key = if is_denied_first { turned_away(&alice, &bob) } else { knock(&alice, &bob) };
        decides(&bob, &["down"]);
        let approved = toq(&world.home(), &bob.place, &["approve", &key]);
        assert!(approved.status.success(), "{approved:?}");

        let bob = again(&world, &bob);

        was_welcomed(&alice, &bob);
    }
}

#[test]
fn a_yes_that_a_block_overrules_is_not_told_before_the_block_is_gone() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
    let carol = world.agent("carol", PATIENT);
    let key = turned_away(&alice, &bob);
    decides(&bob, &["block", "--from", "toq://*/alice"]);

    decides(&bob, &["approve", "--key", &key]);
    // Whoever is told first has been told before anybody who is decided about later.
    let carols = turned_away(&carol, &bob);
    decides(&bob, &["approve", "--key", &carols]);
    was_welcomed(&carol, &bob);
    assert_eq!(kinds(&alice, "approval.denied"), ["approval.denied"]);
    decides(&bob, &["unblock", "--from", "toq://*/alice"]);

    assert!(kinds(&alice, "message.delivered").contains(&"approval.granted".to_owned()));
}
