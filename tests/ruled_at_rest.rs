//! Decisions that are made while no daemon runs: they are there when it starts, and act.

mod world;

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use world::rulings::{key, rules, waiting};
use world::{Agent, World, eventually, toq};

/// Nobody tries again by itself while a test runs.
const PATIENT: &[(&str, &str)] = &[("delivery.retry_initial_ms", "60000")];

/// What becomes of a message, in one word.
fn send(from: &Agent, to: &Agent, text: &str) -> String {
    let answer = from.post("/v1/messages?wait=true&timeout=10", &json!({"to": to.address(), "body": {"text": text}}).to_string());
    if answer.status == 200 { "delivered".to_owned() } else { answer.body }
}

/// Sends to somebody who has to ask first.
fn knock(from: &Agent, to: &Agent) -> String {
    let sent = from.post("/v1/messages?wait=false", &json!({"to": to.address(), "body": {"text": "hello"}}).to_string());
    assert_eq!(sent.status, 202, "{sent:?}");
    let key = key(from);
    eventually("the owner is asked", || waiting(to).contains(&key).then_some(()));
    key
}

/// A workspace whose daemon has ended.
struct Resting<'w> {
    world: &'w World,
    name: String,
    place: PathBuf,
}

impl<'w> Resting<'w> {
    fn of(world: &'w World, agent: Agent) -> Self {
        assert!(agent.toq(&["down"]).status.success());
        Self { world, name: agent.name.clone(), place: agent.place.clone() }
    }

    fn toq(&self, arguments: &[&str]) -> Output {
        toq(&self.world.home(), &self.place, arguments)
    }

    fn answers(&self, arguments: &[&str]) -> Value {
        let output = self.toq(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?} {output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.toq(arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?} {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn up(self) -> Agent {
        self.world.start_with(&self.name, &self.place, &[])
    }
}

#[test]
fn who_is_approved_at_rest_is_let_in_and_its_message_comes() {
    for by_pattern in [false, true] {
        let world = World::new();
        let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
        let alices = knock(&alice, &bob);
        let bob = Resting::of(&world, bob);

        if by_pattern {
            assert_eq!(bob.answers(&["approve", "--from", "toq://127.0.0.1/*"]), json!({"approved": "toq://127.0.0.1/*"}));
        } else {
            assert_eq!(bob.answers(&["approve", "alice"]), json!({"approved": alices}));
            assert_eq!(bob.answers(&["approvals"]), json!({"approvals": []}));
        }
        let bob = bob.up();

        assert_eq!(bob.has_received(1)[0]["body"]["text"], "hello");
        assert!(waiting(&bob).is_empty());
        assert_eq!(rules(&bob, "approved"), [if by_pattern { "toq://127.0.0.1/*" } else { &alices }]);
    }
}

#[test]
fn who_is_denied_at_rest_may_ask_again_and_hears_of_a_later_yes() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
    let alices = knock(&alice, &bob);
    let bob = Resting::of(&world, bob);

    assert_eq!(bob.answers(&["deny", "1"]), json!({"denied": alices}));
    assert!(bob.refuses(&["deny", "alice"]).contains("alice"), "there is no question any more");
    let bob = bob.up();

    assert!(waiting(&bob).is_empty() && rules(&bob, "approved").is_empty() && rules(&bob, "blocked").is_empty());
    assert!(send(&alice, &bob, "once more").contains("pending_approval"));
    assert_eq!(waiting(&bob), [alices.as_str()]);
    assert!(bob.toq(&["deny", "alice"]).status.success());
    assert!(bob.toq(&["approve", "--from", "toq://*/alice"]).status.success());
    assert_eq!(bob.has_received(1)[0]["body"]["text"], "hello");
}

#[test]
fn an_approval_that_is_taken_back_at_rest_admits_nobody_and_asks_anew() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[("delivery.retry_max_s", "1")]), world.agent("bob", &[]));
    let alices = key(&alice);
    assert!(bob.toq(&["approve", "--key", &alices]).status.success());
    assert_eq!(send(&alice, &bob, "hello"), "delivered");
    let bob = Resting::of(&world, bob);

    assert_eq!(bob.answers(&["revoke", "alice"]), json!({"revoked": alices}));
    assert!(bob.refuses(&["revoke", "alice"]).contains("nothing was taken back"));
    let bob = bob.up();

    assert!(send(&alice, &bob, "let me in").contains("pending_approval"));
    assert_eq!(waiting(&bob), [alices.as_str()]);
    assert!(rules(&bob, "approved").is_empty());
}

#[test]
fn a_block_at_rest_answers_the_question_and_holds_until_it_is_taken_back_at_rest() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
    knock(&alice, &bob);
    let bob = Resting::of(&world, bob);

    assert_eq!(bob.answers(&["block", "--from", "toq://*/alice"]), json!({"blocked": "toq://*/alice"}));
    assert_eq!(bob.answers(&["approvals"]), json!({"approvals": []}));
    let bob = bob.up();
    let refused = send(&alice, &bob, "let me in");
    assert!(refused.contains("without a word"), "a block is not told: {refused}");
    assert!(waiting(&bob).is_empty());
    let bob = Resting::of(&world, bob);
    assert_eq!(bob.answers(&["approve", "--from", "toq://127.0.0.1/alice"]), json!({"approved": "toq://127.0.0.1/alice"}));
    assert_eq!(bob.answers(&["unblock", "--from", "toq://*/alice"]), json!({"unblocked": "toq://*/alice"}));
    let bob = bob.up();

    assert_eq!(bob.has_received(1)[0]["body"]["text"], "hello", "who was shut out hears that it is let in");
}

#[test]
fn what_cannot_be_done_at_rest_says_what_to_do() {
    let world = World::new();
    let bob = Resting::of(&world, world.agent("bob", &[]));

    for (arguments, told) in [
        (&["deny", "3"][..], "no approval number 3"),
        (&["deny", "nobody"], "no pending approval matches 'nobody'"),
        (&["approve", "nobody"], "--from"),
        (&["approve", "--from", "toq://"], "toq://host/"),
        (&["block", "--from", "*"], "--i-understand"),
        (&["revoke", "nobody"], "There is no approval at all"),
        (&["unblock", "nobody"], "There is no block at all"),
        (&["ping", "toq://127.0.0.1:1/x"], "toq up"),
        (&["discover", "--local"], "toq up"),
    ] {
        let said = bob.refuses(arguments);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
    assert!(toq(&world.home(), world.path(), &["status"]).status.code() != Some(0));
    for arguments in [["approve", "1"], ["deny", "1"], ["revoke", "x"], ["block", "x"], ["unblock", "x"]] {
        let output = toq(&world.home(), world.path(), &arguments);
        assert!(!output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("toq init"), "nothing is set up there: {output:?}");
    }
}
