//! Rules from outside: whom a command means, what it takes back, and that a rule about an agent holds for each of its keys.

mod world;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use world::rulings::{key, rules, waiting};
use world::{Agent, World, eventually, toq};

/// The first pause after a failed attempt is half a minute at least, and later ones are longer.
const PATIENT: &[(&str, &str)] = &[("delivery.retry_initial_ms", "60000")];

fn send(from: &Agent, to: &Agent, text: &str) -> u16 {
    from.post("/v1/messages?wait=true&timeout=5", &json!({"to": to.address(), "body": {"text": text}}).to_string()).status
}

/// Sends to somebody who has to ask first.
fn knock(from: &Agent, to: &Agent) -> String {
    let sent = from.post("/v1/messages?wait=false", &json!({"to": to.address(), "body": {"text": "hello"}}).to_string());
    assert_eq!(sent.status, 202, "{sent:?}");
    let key = key(from);
    eventually("the owner is asked", || waiting(to).contains(&key).then_some(()));
    key
}

/// The command did nothing, said so and ended with 1.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("ours");
    fs::read_dir(to).expect("there").flatten().for_each(|entry| fs::remove_file(entry.path()).expect("ours"));
    for entry in fs::read_dir(from).expect("there").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("ours");
    }
}

#[test]
fn who_was_blocked_or_revoked_does_not_get_back_in_with_the_keys_it_had_before() {
    for command in ["block", "revoke"] {
        let world = World::new();
        let (eve, bob) = (world.agent("eve", &[]), world.agent("bob", &[]));
        assert!(bob.toq(&["approve", "--key", &key(&eve)]).status.success());
        assert_eq!(send(&eve, &bob, "before"), 200);
        let (keys, kept) = (eve.place.join(".toq/keys"), world.path().join("kept"));
        copy(&keys, &kept);
        assert!(eve.toq(&["rotate-keys"]).status.success());
        assert_eq!(send(&eve, &bob, "after"), 200);
        assert_eq!(rules(&bob, "approved"), [key(&eve)], "the approval went over");

        assert!(bob.toq(&[command, &eve.address()]).status.success());
        assert!(eve.toq(&["down"]).status.success());
        copy(&kept, &keys);
        let up = world.up(&eve.place);
        assert!(up.status.success(), "{up:?}");
        let eve = world.running("eve", &eve.place);
        assert_ne!(send(&eve, &bob, "it is me again"), 200, "{command}");

        let history = bob.get("/v1/messages/history").body;
        assert!(history.contains("after") && !history.contains("it is me again"), "{history}");
        assert!(rules(&bob, "approved").is_empty());
    }
}

#[test]
fn a_name_means_the_agent_that_has_it_for_every_command() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", PATIENT), world.agent("bob", &[]));
    let alices = knock(&alice, &bob);

    let blocked = bob.toq(&["block", "alice"]);
    assert!(blocked.status.success(), "{blocked:?}");
    assert_eq!((rules(&bob, "blocked"), waiting(&bob)), (vec![alices.clone()], Vec::new()), "a block takes the question away");
    assert!(bob.toq(&["unblock", "alice"]).status.success());
    assert!(rules(&bob, "blocked").is_empty());

    assert!(bob.toq(&["approve", "alice"]).status.success());
    assert_eq!(rules(&bob, "approved"), [alices.as_str()]);
    let shown = String::from_utf8(bob.toq(&["permissions"]).stdout).expect("text");
    assert!(shown.contains(&alices) && shown.contains("/alice") && shown.contains("words: "), "{shown}");
    assert!(bob.toq(&["revoke", "alice"]).status.success());
    assert!(rules(&bob, "approved").is_empty());

    for arguments in [["revoke", "alice"], ["unblock", "alice"], ["revoke", "bogus"], ["revoke", "toq://host/agent"], ["block", "bogus"]] {
        let told = refused(&bob.toq(&arguments));
        assert!(told.contains(arguments[1]), "{told}");
    }
    assert_eq!((rules(&bob, "approved"), rules(&bob, "blocked")), (Vec::new(), Vec::new()), "nothing was changed");
}

#[test]
fn unblocking_an_address_undoes_the_block_that_was_made_before_and_after_the_agent_was_known() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[("delivery.retry_max_s", "1")]), world.agent("bob", &[("connection_mode", "open")]));
    let address = alice.address();
    assert!(bob.toq(&["block", &address]).status.success());
    assert_eq!(rules(&bob, "blocked"), [address.as_str()], "nobody was there yet");
    assert!(bob.toq(&["unblock", &address]).status.success());
    assert_eq!(send(&alice, &bob, "hello"), 200);
    assert!(bob.toq(&["block", &address]).status.success());
    assert!(bob.toq(&["block", "--from", &address]).status.success());
    assert_eq!(rules(&bob, "blocked").len(), 2, "the key and the address");

    assert!(bob.toq(&["unblock", &address]).status.success());

    assert!(rules(&bob, "blocked").is_empty());
    assert_eq!(send(&alice, &bob, "back"), 200);
    assert!(refused(&bob.toq(&["unblock", &address])).contains("nothing was taken back"));
}

#[test]
fn the_block_of_an_impostor_leaves_the_partner_its_approval() {
    let world = World::new();
    let (carol, bob) = (world.agent("carol", &[]), world.agent("bob", &[("connection_mode", "allowlist")]));
    assert!(bob.toq(&["approve", "--from", &carol.address()]).status.success());
    assert_eq!(send(&carol, &bob, "it is me"), 200);
    let at_carols = format!("127.0.0.1:{}", carol.port);
    let mallory = world.agent("mallory", &[("agent_name", "carol"), ("advertise", &at_carols)]);

    knock(&mallory, &bob);
    assert!(bob.toq(&["block", "--key", &key(&mallory)]).status.success());

    assert_eq!(rules(&bob, "approved"), [carol.address()]);
    assert_eq!(send(&carol, &bob, "it is me again"), 200);
}

#[test]
fn an_approval_by_address_lets_in_where_dns_knows_nothing_and_the_mode_wants_dns() {
    let world = World::new();
    let (carol, bob) = (world.agent("carol", &[]), world.agent("bob", &[("connection_mode", "dns-verified")]));
    assert_ne!(send(&carol, &bob, "not yet"), 200);

    assert!(bob.toq(&["approve", "--from", "toq://127.0.0.1/*"]).status.success());

    assert_eq!(send(&carol, &bob, "now"), 200);
}

#[test]
fn who_approves_somebody_that_a_block_covers_is_told_that_the_block_wins() {
    let world = World::new();
    let (eve, bob) = (world.agent("eve", &[]), world.agent("bob", &[("connection_mode", "open")]));
    assert_eq!(send(&eve, &bob, "hello"), 200);
    for block in [key(&eve), "toq://127.0.0.1/*".to_owned()] {
        assert!(bob.toq(&["block", &block]).status.success());

        let approved = bob.toq(&["approve", "--key", &key(&eve)]);

        let told = String::from_utf8_lossy(&approved.stderr).into_owned();
        assert!(approved.status.success() && told.contains("stays out") && told.contains(&block), "{approved:?}");
        assert!(bob.toq(&["unblock", &block]).status.success());
    }
    let approved = bob.toq(&["approve", "--key", &key(&eve)]);
    assert!(approved.stderr.is_empty(), "{approved:?}");
}

#[test]
fn a_pattern_that_covers_nobody_is_refused_and_one_that_covers_everybody_is_meant() {
    let world = World::new();
    let bob = world.agent("bob", &[]);

    for pattern in ["http://x/y", "garbage words", "toq://evil.com:99999/x", "toq://evil.com/UPPER", "toq://"] {
        for command in ["block", "approve"] {
            let told = refused(&bob.toq(&[command, "--from", pattern]));
            assert!(told.contains("toq://host/"), "{told}");
            let answer = bob.post(&format!("/v1/{command}"), &json!({"from": pattern}).to_string());
            assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{answer:?}");
        }
    }
    let deaf = bob.toq(&["handler", "add", "deaf", "--command", "cat", "--from", "toq://"]);
    assert!(refused(&deaf).contains("toq://host/"), "{deaf:?}");
    for everybody in ["*", "toq://*/**", "toq://*.*.*.*/*", "toq://*:9009/*"] {
        assert!(refused(&bob.toq(&["block", "--from", everybody])).contains("--i-understand"), "{everybody}");
        assert!(refused(&bob.toq(&["approve", "--from", everybody])).contains("--i-understand"), "{everybody}");
    }
    assert!(refused(&bob.toq(&["block", "*"])).contains("everybody"));
    assert!(rules(&bob, "blocked").is_empty() && rules(&bob, "approved").is_empty());

    assert!(bob.toq(&["block", "--from", "*", "--i-understand"]).status.success());
    assert_eq!(rules(&bob, "blocked"), ["*"]);
}

#[test]
fn rules_are_made_and_read_without_a_daemon() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[("delivery.retry_max_s", "1")]), world.agent("bob", &[("connection_mode", "open")]));
    let alices = key(&alice);
    assert_eq!(send(&alice, &bob, "hello"), 200);
    bob.kill();
    // Threads of the daemon that are still ending hold its sockets for a moment.
    let ask = || toq(&world.home(), &bob.place, &["peers"]);
    eventually("all of the daemon is gone", || ask().status.success().then_some(()));
    let run = |arguments: &[&str]| {
        let output = toq(&world.home(), &bob.place, arguments);
        assert!(output.status.success(), "{arguments:?} {output:?}");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };

    assert_eq!(run(&["--json", "peers"])["peers"][0]["public_key"], alices);
    assert_eq!(run(&["--json", "block", "alice"]), json!({"blocked": alices}));
    assert_eq!(run(&["--json", "approvals"]), json!({"approvals": []}));
    let told = run(&["--json", "permissions"]);
    assert_eq!((&told["blocked"][0]["value"], &told["approved"]), (&json!(alices), &json!([])));
    assert!(refused(&toq(&world.home(), &bob.place, &["block", "--from", "toq://"])).contains("no address pattern"));

    assert!(world.up(&bob.place).status.success());
    let bob = world.running("bob", &bob.place);
    assert_eq!(rules(&bob, "blocked"), [alices.as_str()]);
    assert_ne!(send(&alice, &bob, "let me in"), 200);
    assert!(bob.toq(&["down"]).status.success());
    assert_eq!(run(&["--json", "unblock", "alice"]), json!({"unblocked": alices}));
    assert!(world.up(&bob.place).status.success());
    let bob = world.running("bob", &bob.place);
    assert_eq!(send(&alice, &bob, "thank you"), 200);
}

#[test]
fn a_rule_of_an_existing_file_that_covers_nobody_is_kept_and_named() {
    let world = World::new();
    let place = world.workspace("bob", &[]);
    toq_vault::Keys::open(&place.join(".toq/keys")).expect("ours");
    let void = "toq://evil.com:99999/x";
    fs::write(place.join(".toq/permissions.toml"), format!("[[blocked]]\ntype = \"address\"\nvalue = \"{void}\"\n")).expect("ours");
    assert!(world.up(&place).status.success());
    let bob = world.running("bob", &place);
    let told = |arguments: &[&str]| String::from_utf8(bob.toq(arguments).stdout).expect("text");

    assert!(told(&["permissions"]).contains("WARNING: covers nobody"), "{}", told(&["permissions"]));
    assert!(told(&["doctor"]).contains("[!!] rules") && told(&["doctor"]).contains(&format!("toq unblock --from '{void}'")));

    assert!(bob.toq(&["unblock", "--from", void]).status.success());
    assert!(told(&["doctor"]).contains("[ok] rules"), "{}", told(&["doctor"]));
}
