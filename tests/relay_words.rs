//! What the commands of a relay say where something is wrong: what it is, and a command that can be run as it stands.

mod relays;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use relays::{Relay, text, toq};
use serde_json::Value;

fn at(data: &Path, arguments: &[&str]) -> Output {
    toq(&[&["relay"], arguments, &["--data", data.to_str().expect("utf-8")]].concat())
}

fn complaint(data: &Path, arguments: &[&str], code: i32) -> String {
    let output = at(data, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty() && said.lines().count() >= 2, "{arguments:?} says what to do: {said}");
    said
}

/// The command in a hint, run by a shell as a person would.
fn run_hint(said: &str) -> Output {
    let command = said.split('`').nth(1).unwrap_or_else(|| panic!("no command: {said}"));
    let rest = command.strip_prefix("toq ").expect("one of ours");
    let script = format!("'{}' {rest}", env!("CARGO_BIN_EXE_toq"));
    Command::new("sh").args(["-c", &script]).output().expect("it runs")
}

#[test]
fn a_directory_that_holds_no_relay_is_named_and_not_made_into_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let typo = dir.path().join("typo");

    for arguments in [&["key", "list"][..], &["key", "create", "--account", "ann@example.org"], &["stats"], &["channel", "list"]] {
        let said = complaint(&typo, arguments, 1);
        assert!(said.contains(typo.to_str().expect("utf-8")), "{said}");
    }
    assert!(!typo.exists());
    fs::create_dir(&typo).expect("ours");
    fs::write(typo.join("notes.txt"), "of somebody").expect("ours");
    complaint(&typo, &["key", "create"], 1);
    assert_eq!(fs::read_dir(&typo).expect("there").count(), 1, "nothing is put into it");
}

#[test]
fn commands_in_hints_can_be_run_as_they_are_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("it's a relay");
    let relay = Relay::start(&data, &[]);
    assert!(at(&data, &["channel", "create", "a/b/c"]).status.success());

    for (arguments, code) in [
        (&["key", "revoke", "nobody"][..], 1),
        (&["key", "create", "--account", "nobody@example.org"], 1),
        (&["account", "plan", "nobody@example.org", "pro"], 1),
        (&["invite", "create", "a/b/none"], 1),
        (&["channel", "forget", "a/b/none"], 1),
        (&["invite", "revoke", "a/b/c", "none"], 1),
        (&["up", "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"], 75),
    ] {
        let hinted = run_hint(&complaint(&data, arguments, code));
        assert!(hinted.status.success(), "{arguments:?}: {}", text(&hinted.stderr));
    }
    assert!(text(&relay.down().stdout).contains("no relay runs"), "the last of them was a stop");
}

#[test]
fn a_relay_that_others_reach_in_clear_text_or_without_a_token_warns_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = |name: &str, more: &[&str]| {
        let data = dir.path().join(name);
        let up = at(&data, &[&["up", "--json"], more].concat());
        assert!(up.status.success(), "{}", text(&up.stderr));
        let answer: Value = serde_json::from_slice(&up.stdout).expect("json");
        let log: String = fs::read_dir(data.join("logs"))
            .expect("there")
            .map(|file| fs::read_to_string(file.expect("a file").path()).expect("text"))
            .collect();
        assert!(at(&data, &["down"]).status.success());
        let warnings: Vec<String> =
            answer["warnings"].as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_owned()).collect();
        (warnings, log)
    };

    let (open, log) = start("open", &["--grpc", "0.0.0.0:0", "--api", "127.0.0.1:0", "--anonymous"]);
    assert!(open.len() == 2 && open[0].contains("no token is asked for") && open[1].contains("no certificate"), "{open:?}");
    assert!(open[0].contains(&format!("--data {}", dir.path().join("open").display())), "{open:?}");
    assert!(log.contains("no token is asked for") && log.contains("no certificate"), "{log}");
    let (keyed, _) = start("keyed", &["--grpc", "127.0.0.1:0", "--api", "[::]:0"]);
    assert!(keyed.len() == 1 && keyed[0].contains("no certificate") && keyed[0].contains("[::]:0"), "{keyed:?}");
    let (own, log) = start("own", &["--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0", "--anonymous"]);
    assert!(own.is_empty() && !log.contains("certificate"), "{own:?}");
}

#[test]
fn what_keeps_a_relay_from_starting_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, file) = (dir.path().join("relay"), dir.path().join("other.toml"));
    fs::write(&file, "[limits]\nconnections = -4\n").expect("ours");
    let other = file.to_str().expect("utf-8");
    let up = |more: &[&str], code| complaint(&data, &[&["up"], more].concat(), code);

    assert!(up(&["--grpc", "192.0.2.1:0", "--api", "127.0.0.1:0"], 1).contains("This machine has no address 192.0.2.1"));
    let said = up(&["--config", other], 78);
    assert!(said.contains("other.toml:2:15") && said.contains("Correct the file"), "{said}");
    assert!(up(&["--config", "/nowhere/relay.toml"], 78).contains("name another one with --config"));
    assert!(complaint(&file, &["up"], 1).contains("is no directory"));
    assert!(complaint(Path::new("/proc/relay"), &["up"], 1).contains("you may write"));
}
