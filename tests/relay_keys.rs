//! Who may use a relay, from the command line: on a directory at rest.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn relay(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toq"));
    command.env_clear().env("HOME", home).current_dir(home).arg("relay").args(arguments);
    command.output().expect("it runs")
}

fn json(home: &Path, arguments: &[&str]) -> Value {
    let output = relay(home, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn complaint(home: &Path, arguments: &[&str]) -> String {
    let output = relay(home, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_key_is_made_listed_and_revoked_where_no_relay_runs() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let at = ["--data", data.to_str().expect("text")];

    let key = json(home.path(), &[&["key", "create", "--name", "laptop"][..], &at].concat());
    let text = key["key"].as_str().expect("a key");
    assert!(text.starts_with("sk_live_") && text.starts_with(key["key_prefix"].as_str().expect("a prefix")));
    let listed = json(home.path(), &[&["key", "list"][..], &at].concat());
    assert_eq!((listed["keys"].as_array().map(Vec::len), listed["keys"][0]["name"].as_str()), (Some(1), Some("laptop")));
    let id = key["id"].as_str().expect("an id").to_owned();
    json(home.path(), &[&["key", "revoke", &id][..], &at].concat());

    assert_eq!(json(home.path(), &[&["key", "list"][..], &at].concat())["keys"], Value::Array(Vec::new()));
    let complaint = complaint(home.path(), &[&["key", "revoke", &id][..], &at].concat());
    assert!(complaint.contains("no key of this id") && complaint.contains("toq relay key list"), "{complaint}");
    let held = std::fs::read(data.join("relay.redb")).expect("the database");
    assert!(!held.windows(text.len() - 12).any(|window| window == &text.as_bytes()[12..]), "the database has the key");
}

#[test]
fn the_first_key_may_be_made_before_the_first_start_which_is_said() {
    let home = tempfile::tempdir().expect("a directory");
    let first = relay(home.path(), &["key", "create"]);
    assert!(first.status.success(), "{first:?}");
    assert!(String::from_utf8_lossy(&first.stderr).contains("A new relay begins in"), "{first:?}");

    let second = relay(home.path(), &["key", "create"]);
    assert!(second.status.success() && !String::from_utf8_lossy(&second.stderr).contains("new relay"), "{second:?}");
    assert_eq!(json(home.path(), &["key", "list"])["keys"].as_array().map(Vec::len), Some(2));
}

#[test]
fn accounts_channels_and_invites_are_made_in_the_default_directory() {
    let home = tempfile::tempdir().expect("a directory");
    let (place, run) = (home.path(), |arguments: &[&str]| json(home.path(), arguments));

    let account = run(&["account", "create", "ann@example.org", "--plan", "team"]);
    assert!(account["api_key"].as_str().is_some_and(|key| key.starts_with("sk_live_")));
    run(&["account", "plan", "ann@example.org", "pro"]);
    assert_eq!(run(&["account", "list"])["accounts"][0]["plan_tier"], "pro");
    run(&["channel", "create", "acme/team/general", "--account", "ann@example.org"]);
    assert_eq!(run(&["channel", "list"])["channels"][0]["account"], account["account"]["id"]);
    let invite = run(&["invite", "create", "acme/team/general", "--max-uses", "3", "--ttl", "60"]);
    assert!(invite["token"].as_str().is_some_and(|token| token.starts_with("skt_inv_")));
    assert_eq!(run(&["invite", "list", "acme/team/general"])["invites"][0]["max_uses"], 3);
    run(&["invite", "revoke", "acme/team/general", invite["id"].as_str().expect("an id")]);
    assert_eq!(run(&["invite", "list", "acme/team/general"])["invites"], Value::Array(Vec::new()));

    assert!(complaint(place, &["channel", "create", "two/parts"]).contains("org/namespace/service"));
    assert!(complaint(place, &["channel", "create", "acme/team/general"]).contains("another account"));
    assert!(complaint(place, &["account", "create", "ANN@example.org"]).contains("exists already"));
    run(&["channel", "forget", "acme/team/general"]);
    assert!(complaint(place, &["invite", "list", "acme/team/general"]).contains("no channel of this name"));
    assert!(place.join(".toq-relay/relay.redb").is_file());
}
