//! Sending while no daemon runs: the workspace is opened for one message, which is delivered or kept.

mod world;

use std::net::TcpListener;

use serde_json::Value;
use world::{World, toq};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_message_is_delivered_without_a_daemon() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let place = world.workspace("alice", &[]);

    let sent = toq(&world.home(), &place, &["send", &bob.address(), "from a script"]);

    assert!(sent.status.success(), "{sent:?}");
    let lines: Vec<String> = text(&sent.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], format!("Connecting to {}...", bob.address()));
    assert_eq!(lines[1], format!("connected to bob ({})", bob.address()));
    assert!(lines[2].starts_with("Sent message "), "{lines:?}");
    assert_eq!(lines[3..], ["Ack received"]);
    assert_eq!(bob.has_received(1)[0]["body"]["text"], "from a script");
    assert!(!place.join(".toq/state.json").exists(), "nothing looks like a daemon");
}

#[test]
fn what_cannot_be_delivered_is_kept_and_goes_out_with_the_daemon() {
    let world = World::new();
    let bob = world.agent("bob", &[]);
    let place = world.workspace("alice", &[]);

    let sent = toq(&world.home(), &place, &["--json", "send", &bob.address(), "later"]);

    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    let told: Value = serde_json::from_slice(&sent.stderr).expect("JSON");
    assert_eq!(told["error"]["state"], "accepted", "{told}");
    assert!(told["error"]["hint"].as_str().is_some_and(|hint| hint.contains("kept here")), "{told}");
    assert!(bob.toq(&["approve", "--all-unproven"]).status.success());
    assert!(world.up(&place).status.success());
    let _alice = world.running("alice", &place);
    assert_eq!(bob.has_received(1)[0]["id"], told["error"]["id"]);
}

#[test]
fn what_was_kept_goes_out_with_the_next_message_too() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let place = world.workspace("alice", &[]);

    let kept = toq(&world.home(), &place, &["send", &bob.address(), "first", "--no-wait"]);
    let sent = toq(&world.home(), &place, &["send", &bob.address(), "second"]);

    assert!(kept.status.success() && text(&kept.stdout).contains("(status: queued)"), "{kept:?}");
    assert!(sent.status.success(), "{sent:?}");
    let texts: Vec<Value> = bob.has_received(2).iter().map(|message| message["body"]["text"].clone()).collect();
    assert_eq!(texts, ["first", "second"]);
}

#[test]
fn an_answer_can_only_come_while_a_daemon_runs() {
    let world = World::new();
    let place = world.workspace("alice", &[]);

    let asked = toq(&world.home(), &place, &["send", "toq://127.0.0.1/bob", "?", "--wait-reply"]);

    assert_eq!(asked.status.code(), Some(1));
    assert!(text(&asked.stderr).contains("toq is not running"), "{asked:?}");
}

#[test]
fn a_stranger_is_told_that_it_has_to_be_approved() {
    let world = World::new();
    let bob = world.agent("bob", &[]);
    let place = world.workspace("alice", &[]);

    let sent = toq(&world.home(), &place, &["send", &bob.address(), "may I?"]);
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    let told = text(&sent.stderr);
    assert!(told.contains("is accepted") && told.contains("has not decided yet") && told.contains("It is kept here"), "{told}");
    assert!(!told.contains("send again"), "what is kept need not be sent again: {told}");
    assert!(bob.toq(&["approve", "--all-unproven"]).status.success());

    let sent = toq(&world.home(), &place, &["send", &bob.address(), "thank you"]);
    assert!(sent.status.success(), "{sent:?}");
    let texts: Vec<Value> = bob.has_received(2).iter().map(|message| message["body"]["text"].clone()).collect();
    assert_eq!(texts, ["may I?", "thank you"]);
}

#[test]
fn commands_at_the_same_time_take_turns() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let place = world.workspace("alice", &[]);
    let (home, address) = (world.home(), bob.address());

    let all: Vec<_> = (0..4)
        .map(|number| {
            let (home, place, address) = (home.clone(), place.clone(), address.clone());
            std::thread::spawn(move || toq(&home, &place, &["send", &address, &number.to_string()]))
        })
        .collect();

    for sending in all {
        let sent = sending.join().expect("it ends");
        assert!(sent.status.success(), "{sent:?}");
    }
    assert_eq!(bob.has_received(4).len(), 4);
}

#[test]
fn a_message_that_nobody_acknowledges_is_given_up_in_time_and_kept() {
    let world = World::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("toq://127.0.0.1:{}/bob", silent.local_addr().expect("bound").port());
    let place = world.workspace("alice", &[]);

    let sent = toq(&world.home(), &place, &["send", &address, "hello?", "--timeout", "1"]);

    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    assert!(text(&sent.stderr).contains("is accepted") && text(&sent.stderr).contains("kept here"), "{sent:?}");
}

#[test]
fn a_message_before_the_first_start_names_the_port_that_the_first_start_takes() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let place = world.workspace("alice", &[]);
    std::fs::remove_file(place.join(".toq/last_port")).expect("there");
    let whoami = || text(&toq(&world.home(), &place, &["whoami"]).stdout);
    assert!(whoami().contains("port:            (chosen by the first `toq up`, and kept)"), "{}", whoami());

    let sent = toq(&world.home(), &place, &["send", &bob.address(), "hi"]);

    assert!(sent.status.success(), "{sent:?}");
    let claimed = bob.has_received(1)[0]["from"].as_str().expect("text").to_owned();
    let kept = std::fs::read_to_string(place.join(".toq/last_port")).expect("the first start takes it");
    assert_eq!(claimed, if kept == "9009" { "toq://127.0.0.1/alice".to_owned() } else { format!("toq://127.0.0.1:{kept}/alice") });
    assert!(whoami().contains(&format!("port:            {kept}")), "{}", whoami());
}
