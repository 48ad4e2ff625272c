//! The relay as a process: started, asked, killed and started again.

mod relays;

use std::path::Path;

use relays::{Relay, block_on, history, publish, text, toq};
use serde_json::Value;
use toq_dataplane::Event;

#[test]
fn what_was_accepted_survives_kill_9_and_what_is_sent_again_stands_once() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut accepted, mut next): (Vec<u64>, u64) = (Vec::new(), 1);
        for round in 0..5 {
            let relay = Relay::start(dir.path(), &[]);
            let (link, mut incoming) = relay.link().await;
            // What was not answered before is sent again, and then more, until the relay dies under it.
            let unanswered: Vec<u64> = (1..next).filter(|number| !accepted.contains(number)).collect();
            for number in unanswered.into_iter().chain(next..next + 200) {
                if !publish(&link, number).await {
                    break;
                }
                next = next.max(number + 1);
            }
            let enough = accepted.len() + 20 + round * 13;
            while let Some(event) = incoming.next().await {
                match event {
                    Event::Accepted { tag: of, .. } => {
                        accepted.push(u64::from_be_bytes(of.0[..8].try_into().expect("eight bytes")));
                        if accepted.len() == enough {
                            relay.kill();
                        }
                    }
                    Event::Closed(_) => break,
                    other => panic!("unexpected: {other:?}"),
                }
            }
        }

        let history = history(&Relay::start(dir.path(), &[])).await;

        for number in &accepted {
            assert_eq!(history.iter().filter(|heard| *heard == number).count(), 1, "{number} was accepted");
        }
        let mut unique = history.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), history.len(), "nothing stands twice");
        assert!(accepted.len() >= 100);
    });
}

#[test]
fn one_directory_has_one_relay_and_a_stopped_one_starts_where_it_was() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let relay = Relay::start(dir.path(), &[]);
        let (link, mut incoming) = relay.link().await;
        assert!(publish(&link, 7).await);
        assert!(matches!(incoming.next().await, Some(Event::Accepted { seq: 1, .. })));

        let data = dir.path().to_str().expect("utf-8");
        let second = toq(&["relay", "up", "--data", data, "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"]);
        assert_eq!(second.status.code(), Some(75), "{}", text(&second.stderr));
        assert!(text(&second.stderr).contains(&format!("PID {}", relay.pid)) && text(&second.stderr).contains("toq relay down"));

        let down = relay.down();
        assert!(down.status.success(), "{}", text(&down.stderr));
        assert!(matches!(incoming.next().await, Some(Event::Closed(_))));
        assert!(text(&relay.down().stdout).contains("no relay runs"), "a second stop changes nothing");

        assert_eq!(history(&Relay::start(dir.path(), &[])).await, [7]);
    });
}

#[test]
fn a_stop_reaches_no_other_process_that_has_got_the_number() {
    let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (crashed, bystander) = (Relay::start(dir.path(), &[]), Relay::start(other.path(), &[]));
    crashed.kill();
    // As if the system had given the number of the one to the other, which is a toq as well.
    let path = dir.path().join("relay.json");
    let left = std::fs::read_to_string(&path).expect("a crash leaves it");
    let numbered = left.replace(&format!("\"pid\":{}", crashed.pid), &format!("\"pid\":{}", bystander.pid));
    assert_ne!(left, numbered);
    std::fs::write(&path, numbered).expect("ours");

    assert!(text(&crashed.down().stdout).contains("no relay runs"));
    assert!(text(&bystander.down().stdout).contains(&bystander.pid.to_string()), "it still runs, and its own stop reaches it");
}

#[test]
fn a_running_relay_says_what_it_keeps_and_has_done() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let relay = Relay::start(dir.path(), &[]);
        let (link, mut incoming) = relay.link().await;
        assert!(publish(&link, 7).await);
        assert!(matches!(incoming.next().await, Some(Event::Accepted { seq: 1, .. })));

        let asked = toq(&["--json", "relay", "stats", "--data", dir.path().to_str().expect("utf-8")]);

        assert!(asked.status.success(), "{}", text(&asked.stderr));
        let stats: Value = serde_json::from_slice(&asked.stdout).expect("json");
        for name in ["channels", "rows", "accepted", "connections", "topics"] {
            assert_eq!(stats[name], 1, "{name}: {stats}");
        }
    });
}

#[test]
fn a_relay_whose_state_file_is_gone_still_keeps_others_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = Relay::start(dir.path(), &[]);
    std::fs::remove_file(dir.path().join("relay.json")).expect("it is there");

    let data = dir.path().to_str().expect("utf-8");
    let second = toq(&["relay", "up", "--foreground", "--data", data, "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"]);

    assert_eq!(second.status.code(), Some(75), "{}", text(&second.stderr));
    assert!(text(&second.stderr).contains("relay.redb"), "{}", text(&second.stderr));
    drop(relay);
}

#[test]
fn what_is_wrong_is_said_by_the_command_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = Relay::start(&dir.path().join("one"), &[]);
    let two = dir.path().join("two");
    let data = two.to_str().expect("utf-8");

    let taken = toq(&["relay", "up", "--data", data, "--grpc", &relay.grpc.to_string(), "--api", "127.0.0.1:0"]);
    assert!(!taken.status.success());
    assert!(text(&taken.stderr).contains(&relay.grpc.to_string()), "{}", text(&taken.stderr));

    let taken = toq(&["relay", "up", "--data", data, "--grpc", "127.0.0.1:0", "--api", &relay.api.to_string()]);
    assert!(text(&taken.stderr).contains(&relay.api.to_string()), "{}", text(&taken.stderr));

    std::fs::write(two.join("relay.toml"), "[limits]\nmax_mesage = 4096\n").expect("ours");
    let misspelt = toq(&["relay", "up", "--data", data]);
    assert_eq!(misspelt.status.code(), Some(78));
    assert!(
        text(&misspelt.stderr).contains("relay.toml:2:1") && text(&misspelt.stderr).contains("max_mesage"),
        "{}",
        text(&misspelt.stderr)
    );
}

#[test]
fn its_files_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("relay");
    let _relay = Relay::start(&data, &[]);

    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["relay.redb", "relay.json", "token.key", "operator.sock"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}
