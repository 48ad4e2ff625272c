//! Killed between any two steps, an import leaves the old agent or the new one. Needs a build with crash points:
//! `cargo test --features faults --test backup_crash`.
#![cfg(feature = "faults")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use world::{TOQ, World};

const WORDS: &str = "words";

fn toq(world: &World, place: &Path, point: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(TOQ);
    command.args(arguments).current_dir(place).env_clear().env("HOME", world.home()).env("TOQ_PASSPHRASE", WORDS);
    if let Some(point) = point {
        command.env("TOQ_CRASH_POINT", point);
    }
    command.stdin(Stdio::null()).output().unwrap()
}

/// Everything by which the two agents differ, as a start would find it.
fn state(world: &World, place: &Path) -> (String, String, bool, bool) {
    assert!(toq(world, place, None, &["up"]).status.success(), "the workspace still starts");
    let permissions = String::from_utf8(toq(world, place, None, &["permissions", "--json"]).stdout).unwrap();
    assert!(toq(world, place, None, &["down"]).status.success());
    let read = |name: &str| std::fs::read_to_string(place.join(".toq").join(name)).unwrap_or_default();
    (
        read("keys/identity.key") + &read("keys/rotations.json"),
        read("config.toml"),
        read("handlers.toml").is_empty(),
        permissions.contains("toq://bad.example/*"),
    )
}

#[test]
fn killed_at_any_point_an_import_leaves_the_old_agent_or_the_new_one() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    std::fs::write(alice.place.join(".toq/handlers.toml"), "[[handlers]]\nname = \"a\"\ncommand = \"true\"\n").unwrap();
    assert_eq!(alice.post("/v1/block", r#"{"from":"toq://bad.example/*"}"#).status, 200);
    assert_eq!(alice.post("/v1/keys/rotate", "").status, 200);
    let backup = world.path().join("alice.backup");
    assert!(toq(&world, &alice.place, None, &["export", backup.to_str().unwrap()]).status.success());
    assert!(alice.toq(&["down"]).status.success());

    let mut points = Vec::new();
    points.extend((1..=7).map(|step| (format!("restore-staging:{step}"), false)));
    points.push(("restore-before-commit".to_owned(), false));
    points.push(("restore-after-commit".to_owned(), true));
    points.extend((1..=6).map(|step| (format!("restore-keeping:{step}"), true)));
    points.push(("restore-kept".to_owned(), true));
    points.extend((1..=6).map(|step| (format!("restore-placing:{step}"), true)));
    points.extend(
        ["restore-before-log", "restore-after-log", "restore-before-end", "restore-after-end"].map(|point| (point.to_owned(), true)),
    );
    for (at, (point, is_committed)) in points.into_iter().enumerate() {
        let place = world.workspace(&format!("carol-{at}"), &[]);
        let old = state(&world, &place);

        let killed = toq(&world, &place, Some(&point), &["import", backup.to_str().unwrap(), "--yes"]);

        let words = String::from_utf8_lossy(&killed.stderr).into_owned();
        assert!(words.contains(&format!("crash point hit: {}", point.split(':').next().unwrap())), "{point}: {killed:?}");
        let found = state(&world, &place);
        if is_committed {
            assert_eq!((found.0.as_str(), found.2, found.3), (read_key(&alice.place).as_str(), false, true), "{point}");
            assert!(found.1.contains("alice"), "{point}");
        } else {
            assert_eq!(found, old, "{point}");
        }
        let left: Vec<_> = std::fs::read_dir(place.join(".toq")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.contains(&"restore".into()), "{point}: {left:?}");
    }
}

/// An import that is committed to and can be carried out up to its last step, the log.
fn doomed(world: &World, place: &Path, backup: &Path) {
    let killed = toq(world, place, Some("restore-after-commit"), &["import", backup.to_str().unwrap(), "--yes"]);
    assert!(!killed.status.success(), "{killed:?}");
    let log = r#"{"rules":null,"peers":[],"log":[{"table":"of another release","parts":[]}]}"#;
    std::fs::write(place.join(".toq/restore/log.json"), log).unwrap();
}

fn backup_of_alice(world: &World) -> std::path::PathBuf {
    let alice = world.workspace("alice", &[("connection_mode", "open")]);
    state(world, &alice);
    let backup = world.path().join("alice.backup");
    assert!(toq(world, &alice, None, &["export", backup.to_str().unwrap()]).status.success());
    backup
}

#[test]
fn killed_while_the_old_state_is_put_back_the_next_start_finishes_it_and_takes_up_nothing_of_the_new() {
    let world = World::new();
    let backup = backup_of_alice(&world);
    let points = ["restore-given-up".to_owned(), "restore-undone".to_owned()];
    for (at, point) in points.into_iter().chain((1..=6).map(|step| format!("restore-undoing:{step}"))).enumerate() {
        let place = world.workspace(&format!("carol-{at}"), &[]);
        let old = state(&world, &place);
        doomed(&world, &place, &backup);

        let killed = toq(&world, &place, Some(&point), &["up"]);

        let words = String::from_utf8_lossy(&killed.stderr).into_owned();
        assert!(words.contains(&format!("crash point hit: {}", point.split(':').next().unwrap())), "{point}: {killed:?}");
        assert_eq!(state(&world, &place), old, "{point}");
        for name in ["restore", "restore.undo"] {
            assert!(!place.join(".toq").join(name).exists(), "{point}: {name}");
        }
    }
}

#[test]
fn where_the_old_state_cannot_be_put_back_nothing_starts_until_it_can() {
    let world = World::new();
    let backup = backup_of_alice(&world);
    let place = world.workspace("carol", &[]);
    let old = state(&world, &place);
    doomed(&world, &place, &backup);
    toq(&world, &place, Some("restore-given-up"), &["up"]);
    let (kept, aside) = (place.join(".toq/replaced"), place.join(".toq/aside"));
    std::fs::rename(&kept, &aside).unwrap();

    for _ in 0..2 {
        let refused = toq(&world, &place, None, &["up"]);
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && words.contains("replaced") && words.contains("next start"), "{words}");
        assert!(place.join(".toq/keys/identity.key").exists(), "an empty place to take from deletes nothing");
    }
    std::fs::rename(&aside, &kept).unwrap();

    assert_eq!(state(&world, &place), old);
}

fn read_key(place: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(place.join(".toq/keys").join(name)).unwrap();
    read("identity.key") + &read("rotations.json")
}
