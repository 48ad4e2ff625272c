//! The configuration of a running daemon: what is shown, what takes effect when, and what is said of it.

mod world;

use std::process::Output;

use serde_json::{Value, json};
use world::{Agent, World, toq};

fn file(agent: &Agent) -> String {
    std::fs::read_to_string(agent.place.join(".toq/config.toml")).expect("ours")
}

fn edit(agent: &Agent, text: &str) {
    std::fs::write(agent.place.join(".toq/config.toml"), text).expect("ours");
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_shown_is_what_the_next_start_finds_and_what_runs_is_named_beside_it() {
    let world = World::new();
    let carol = world.agent("carol", &[]);
    let patched = carol.request("PATCH", "/v1/config", &[], Some(r#"{"agent_name":"carol2"}"#)).json();
    assert_eq!((&patched["config"]["agent_name"], &patched["in_force"]["agent_name"]), (&json!("carol2"), &json!("carol")));
    assert_eq!(patched["needs_restart"], json!(["agent_name"]));

    edit(&carol, &file(&carol).replace("carol2", "carol"));
    let back = carol.get("/v1/config").json();
    edit(&carol, &format!("connection_mode = \"open\"\n{}", file(&carol).replace("connection_mode", "#connection_mode")));
    let by_hand = carol.get("/v1/config").json();
    let other = carol.request("PATCH", "/v1/config", &[], Some(r#"{"max_file_size":4096}"#)).json();

    assert_eq!((&back["config"]["agent_name"], &back["needs_restart"]), (&json!("carol"), &Value::Null));
    for shown in [&by_hand, &other] {
        assert_eq!((&shown["config"]["connection_mode"], &shown["in_force"]["connection_mode"]), (&json!("open"), &json!("approval")));
    }
    assert_eq!(carol.get("/v1/status").json()["connection_mode"], "approval");
    edit(&carol, "bad = 1\n");
    let broken = carol.get("/v1/config");
    assert_eq!((broken.status, broken.code().as_str()), (500, "invalid_config"));
    assert!(broken.body.contains("toq config check"), "{broken:?}");
}

#[test]
fn a_changed_key_says_truly_when_it_takes_effect() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let set = |key: &str, value: &str| {
        let output = alice.toq(&["config", "set", key, value]);
        assert!(output.status.success(), "{output:?}");
        told(&output)
    };

    assert!(set("max_file_size", "4096").contains("Restart the daemon"));
    assert!(!set("verbosity", "technical").contains("Restart"));
    for (key, value) in [("a2a_api_key", "hush"), ("a2a_public_url", "https://a.example")] {
        let said = set(key, value);
        assert!(!said.contains("Restart") && said.contains("later release"), "{key}: {said}");
    }
    assert!(set("adapter", "unix").contains(".toq/toq.sock"));

    let a2a = alice.toq(&["a2a", "enable", "--key", "x"]);
    assert_eq!(a2a.status.code(), Some(1));
    assert!(told(&a2a).contains("later release"), "{a2a:?}");
}

#[test]
fn an_unknown_key_is_taken_out_as_the_error_says_also_while_the_daemon_runs() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    edit(&alice, &format!("bad = 1\n{}", file(&alice)));

    let refused = alice.toq(&["config", "set", "max_file_size", "4096"]);
    let verdict = toq(&world.home(), &alice.place, &["up", "--foreground", "--set", "port=0"]);
    let mended = alice.toq(&["config", "unset", "bad"]);
    let again = alice.toq(&["config", "set", "max_file_size", "4096"]);

    assert!(!refused.status.success() && told(&refused).contains("bad"), "{refused:?}");
    assert!(told(&verdict).contains("toq config unset bad"), "{verdict:?}");
    assert!(mended.status.success() && again.status.success(), "{mended:?} {again:?}");
    assert!(!file(&alice).contains("bad"));
}
