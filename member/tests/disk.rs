//! A directory that is full, or in use by another process.
//!
//! The full one is a limit on the length of files, which the process that hits it sets for itself. `sh` keeps the signal for that
//! from ending it.

mod world;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use toq_member::mock::Relay;
use toq_member::{Admission, Client, Kind};
use world::{LONG, NAME, invite, member, refused, settings, texts};

/// Not a test by itself: what the others start. It does what `CHILD` says.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "it is told by its parent what to do")]
async fn child() {
    let (Ok(what), Ok(dir)) = (std::env::var("CHILD"), std::env::var("CHILD_DIR")) else { return };
    let (relay, dir) = (Relay::new(), PathBuf::from(dir));
    if what == "second" {
        let (kind, text) = refused(Client::open(settings(&relay, "alice", Some(&dir))).await);
        assert!(kind == Kind::Storage && text.contains("open in another process"), "{text}");
        return;
    }
    let (alice, bob) = (member(&relay, "alice", Some(&dir)).await, member(&relay, "bob", None).await);
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let joined = invite(&channel, &bob).await;
    let now = std::fs::metadata(dir.join("alice/member.redb")).expect("there").len();
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(now), maximum: before.maximum }).expect("a lower limit");

    // With the relay away everything stays, so the file has to grow.
    relay.go_away();
    let (mut kept, mut refusals) = (Vec::new(), 0);
    for n in 0..400 {
        let text = format!("{n}:{}", "x".repeat(20_000));
        match channel.send(text.as_bytes()).await {
            Ok(()) => kept.push(n.to_string()),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Storage, "{error}");
                refusals += 1;
            }
        }
        if refusals == 5 {
            break;
        }
    }
    assert!(refusals == 5 && !kept.is_empty(), "{refusals} refused, {} kept", kept.len());
    setrlimit(Resource::Fsize, before).expect("the limit as it was");
    relay.come_back();
    let sent = async {
        while let Err(error) = channel.send(b"room again:").await {
            assert_eq!(error.kind(), Kind::Storage, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, sent).await.expect("it heals by itself");

    // What was kept is heard, once and in order; what was refused is not.
    kept.push("room again".to_owned());
    let heard: Vec<String> =
        texts(&joined, kept.len()).await.iter().map(|text| text.split(':').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(heard, kept);
    channel.rotate_key().await.expect("the group goes on");
    assert!(channel.flush(LONG).await);
    assert!(joined.next(Some(Duration::ZERO)).await.expect("open").is_none());
}

fn run(what: &str, dir: &std::path::Path) -> Command {
    let mut command = Command::new("sh");
    let this = std::env::current_exe().expect("this test");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" child --exact --nocapture"]).arg(this);
    command.env("CHILD", what).env("CHILD_DIR", dir);
    command
}

async fn succeeds(mut command: Command) {
    let end = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    let said = String::from_utf8_lossy(&end.stdout).into_owned() + &String::from_utf8_lossy(&end.stderr);
    assert!(end.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_and_the_channel_goes_on_from_the_disk_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");

    succeeds(run("full", dir.path())).await;
}

#[tokio::test]
async fn a_directory_is_for_one_process_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = Relay::new();
    let alice = member(&relay, "alice", Some(dir.path())).await;
    alice.create_channel(NAME, Admission::Any).await.expect("made");

    succeeds(run("second", dir.path())).await;

    assert_eq!(alice.channels(), [NAME], "the first is not disturbed");
}
