//! `toq setup` asks on a terminal, and takes options where there is none; `toq doctor --fix` and `toq upgrade` from outside.

mod world;

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use world::{TOQ, World, toq};

/// Runs `toq setup` on a terminal, made by `script`, and types these lines. What was shown comes back.
fn at_a_terminal(world: &World, arguments: &str, typed: &str) -> (String, Output) {
    let mut child = Command::new("script")
        .args(["-qec", &format!("{TOQ} setup {arguments}"), "/dev/null"])
        .current_dir(world.path())
        .env_clear()
        .env("HOME", world.home())
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script is part of every Linux");
    child.stdin.take().expect("piped").write_all(typed.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output)
}

fn config(world: &World) -> String {
    fs::read_to_string(world.home().join(".toq/config.toml")).unwrap_or_default()
}

#[test]
fn the_wizard_asks_until_the_answers_can_be_used() {
    let world = World::new();

    let (shown, output) = at_a_terminal(&world, "--host 127.0.0.1", "Not A Name\ncarol\n\nsometimes\nallowlist\n\nrails\ncrewai\n");

    assert!(output.status.success(), "{shown}");
    for said in [
        "The agent's name [agent]",
        "[127.0.0.1]",
        "[approval]",
        "[http]",
        "[none]",
        "CrewAI integration:",
        "from toq_crewai import connect, listen",
        "Setup complete: toq://127.0.0.1/carol",
    ] {
        assert!(shown.contains(said), "{said} in {shown}");
    }
    assert!(config(&world).contains("agent_name = \"carol\"") && config(&world).contains("connection_mode = \"allowlist\""));
    assert!(world.home().join(".toq/keys/identity.key").is_file());
    let (again, output) = at_a_terminal(&world, "", "");
    assert!(output.status.success() && again.contains("Setup already complete"), "{again}");
}

#[test]
fn a_wizard_that_is_left_makes_nothing() {
    let world = World::new();

    let (shown, output) = at_a_terminal(&world, "", "carol\n\u{4}");

    assert!(!output.status.success(), "{shown}");
    assert!(!world.home().join(".toq").exists());
}

#[test]
fn without_a_terminal_options_are_needed_and_checked_before_anything_is_written() {
    let world = World::new();
    let run = |arguments: &[&str]| toq(&world.home(), world.path(), arguments);

    let asked = run(&["setup"]);
    assert_eq!(asked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&asked.stderr).contains("--non-interactive"), "{asked:?}");
    for wrong in [["--agent-name", "A B"], ["--connection-mode", "sometimes"], ["--adapter", "pigeon"], ["--framework", "rails"]] {
        let refused = run(&[&["setup", "--non-interactive"], &wrong[..]].concat());
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}: {refused:?}");
        assert!(!world.home().join(".toq").exists(), "{wrong:?}");
    }

    let done = run(&["--json", "setup", "--non-interactive", "--agent-name", "dave", "--host", "localhost", "--adapter", "unix"]);
    assert!(done.status.success(), "{done:?}");
    let told: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((told["setup"].as_str(), told["address"].as_str()), (Some("complete"), Some("toq://localhost/dave")));
    assert!(told["socket"].as_str().is_some_and(|socket| socket.ends_with(".toq/toq.sock")), "{told}");
    assert!(config(&world).contains("adapter = \"unix\"") && config(&world).contains("port = 9009"));
}

#[test]
fn a_framework_is_told_of_with_what_to_install_and_write_also_later() {
    let world = World::new();
    let run = |arguments: &[&str]| toq(&world.home(), world.path(), arguments);
    let setup = ["setup", "--non-interactive", "--host", "localhost"];

    let done = run(&[&["--json"], &setup[..], &["--framework", "langchain"]].concat());
    assert!(done.status.success(), "{done:?}");
    let told: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((told["setup"].as_str(), told["framework"]["name"].as_str()), (Some("complete"), Some("langchain")));
    assert_eq!(told["framework"]["install"][0], "pip install toq-langchain==0.1.0a1");
    assert!(told["framework"]["snippet"].as_str().is_some_and(|snippet| snippet.starts_with("from toq_langchain import connect")));

    let before = config(&world);
    for (framework, says) in [("crewai", "pip install toq-crewai"), ("openclaw", "openclaw plugins install toq-openclaw-channel")] {
        let later = run(&[&setup[..], &["--framework", framework]].concat());
        let text = String::from_utf8_lossy(&later.stdout).into_owned();
        assert!(later.status.success() && text.starts_with("Setup already complete\n") && text.contains(says), "{text}");
    }
    let plain = run(&setup);
    assert_eq!(String::from_utf8_lossy(&plain.stdout).trim(), "Setup already complete");
    assert_eq!(config(&world), before, "nothing is changed by showing it");
}

#[test]
fn doctor_mends_what_a_crash_and_a_careless_copy_left() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let place = alice.place.clone();
    drop(alice);
    let dir = place.join(".toq");
    fs::set_permissions(dir.join("keys/identity.key"), Permissions::from_mode(0o644)).expect("ours");
    fs::write(dir.join("toq.pid"), "2147483646").expect("ours");
    fs::remove_dir_all(dir.join("logs")).expect("ours");

    let sick = toq(&world.home(), &place, &["doctor"]);
    let mended = toq(&world.home(), &place, &["doctor", "--fix"]);

    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(sick.status.code(), Some(1));
    assert!(text(&sick).contains("[!!] files") && text(&sick).contains("doctor --fix"), "{}", text(&sick));
    assert!(mended.status.success(), "{}", text(&mended));
    assert_eq!(text(&mended).matches("[ok] fixed").count(), 3, "{}", text(&mended));
    assert!(world.up(&place).status.success());
    let _alice = world.running("alice", &place);
}

#[test]
fn doctor_finds_at_rest_what_keeps_a_daemon_from_starting() {
    let world = World::new();
    let place = world.workspace("alice", &[]);
    let dir = place.join(".toq");
    let run = |arguments: &[&str]| {
        let output = toq(&world.home(), &place, arguments);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    for early in [&["export", "a.backup", "--passphrase-file", "none"][..], &["rotate-keys"]] {
        let (code, told) = run(early);
        assert!(code == Some(1) && told.contains("no keys yet") && told.contains("toq up"), "{told}");
    }
    assert_eq!((run(&["up"]).0, run(&["down"]).0, run(&["doctor"]).0), (Some(0), Some(0), Some(0)));

    let handlers = dir.join("handlers.toml");
    fs::write(&handlers, "this is no TOML").expect("ours");
    let (code, told) = run(&["doctor"]);
    assert!(code == Some(1) && told.contains("[!!] handlers.toml") && told.contains("not valid TOML"), "{told}");
    assert_ne!(run(&["up"]).0, Some(0), "nothing starts with it");
    fs::write(&handlers, "[[handlers]]\nname = \"a\"\ncommand = \"true\"\n").expect("ours");
    fs::set_permissions(&handlers, Permissions::from_mode(0o666)).expect("ours");
    // Who else can write it may have: closing it here would make that believed.
    let (code, told) = run(&["doctor", "--fix"]);
    assert!(code == Some(1) && told.contains("[!!] handlers.toml") && told.contains("chmod go-w"), "{told}");
    fs::set_permissions(&handlers, Permissions::from_mode(0o600)).expect("ours");

    fs::write(dir.join("state.redb"), "not a log any more, and long enough to be looked at".repeat(1000)).expect("ours");
    for command in [&["doctor"][..], &["up"], &["send", "toq://127.0.0.1:1/x", "hello"], &["permissions"]] {
        let (code, told) = run(command);
        assert!(code != Some(0) && told.contains("damaged") && told.contains("toq import"), "{command:?}: {told}");
    }
}

#[test]
fn upgrade_says_what_it_compared_with_and_leaves_the_program_alone() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let before = fs::metadata(TOQ).and_then(|metadata| metadata.modified()).expect("there");

    let running = alice.toq(&["upgrade"]);
    let nowhere = toq(&world.home(), world.path(), &["--json", "upgrade"]);

    let text = String::from_utf8_lossy(&running.stdout).into_owned();
    assert!(running.status.success() && text.starts_with("toq 0.") && text.contains("it is the same version"), "{text}");
    let told: Value = serde_json::from_slice(&nowhere.stdout).expect("JSON");
    assert_eq!((told["network_asked"].as_bool(), told["daemon_version"].is_null()), (Some(false), true), "{told}");
    assert_eq!(fs::metadata(TOQ).and_then(|metadata| metadata.modified()).expect("there"), before);
}

#[test]
fn doctor_names_the_alias_that_is_missing() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open"), ("aliases", "toq://other.example:1234/bob")]);
    let place = world.workspace("alice", &[]);
    let known = format!("toq://127.0.0.1:{}/bob", mapped(bob.port));

    let refused = toq(&world.home(), &place, &["send", &known, "hi"]);
    let told = String::from_utf8_lossy(&bob.toq(&["doctor"]).stdout).into_owned();

    assert!(!refused.status.success(), "{refused:?}");
    assert!(told.contains("[--] address") && told.contains("no issues found"), "{told}");
    let advice = told.split('`').find(|part| part.starts_with("toq config set aliases")).expect("there is advice").to_owned();
    assert!(advice.ends_with(&format!("toq://other.example:1234/bob,{known}")), "{advice}");

    let arguments: Vec<&str> = advice.split(' ').skip(1).collect();
    assert!(bob.toq(&arguments).status.success());
    let text = fs::read_to_string(bob.place.join(".toq/config.toml")).expect("there");
    assert!(text.contains(&known) && text.contains("other.example"), "{text}");
}

/// A port that leads to another one, as a router maps it.
fn mapped(port: u16) -> u16 {
    let outside = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = outside.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for caller in outside.incoming().flatten() {
            let Ok(inside) = TcpStream::connect(("127.0.0.1", port)) else { return };
            let (back, forth) = ((inside.try_clone(), caller.try_clone()), (caller, inside));
            std::thread::spawn(move || std::io::copy(&mut &forth.0, &mut &forth.1));
            if let (Ok(inside), Ok(caller)) = back {
                std::thread::spawn(move || std::io::copy(&mut &inside, &mut &caller));
            }
        }
    });
    own
}
