//! A Welcome reaches whom it is for: whoever dies, gives up or asks again between the commit that made it and its delivery.

mod office;
mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::FutureExt as _;
use office::{Office, key, settings, with_key};
use toq_member::mock::Relay as Mock;
use toq_member::{Admission, Client, Kind, Settings, Who};
use world::{LONG, NAME, invite, member, open, refused, spawn, texts, until};

#[tokio::test]
async fn who_stopped_waiting_for_a_change_gets_its_welcome_by_asking_again() {
    let relay = Mock::new();
    let alice = member(&relay, "alice", None).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let bob = member(&relay, "bob", None).await;
    let package = bob.key_package().await.expect("a key package");

    // Asked, and then not waited for.
    let mut adding = Box::pin(channel.add_member(&package));
    assert!(adding.as_mut().now_or_never().is_none());
    until("the change is made", || channel.members().len() == 2).await;
    drop(adding);
    let welcome = channel.add_member(&package).await.expect("the Welcome of the change that was made");
    let (kind, twice) = refused(channel.add_member(&package).await);
    let joined = bob.join_channel(NAME, &welcome).await.expect("joined");
    channel.send(b"hello").await.expect("sent");

    assert_eq!(texts(&joined, 1).await, ["hello"]);
    assert!(kind == Kind::Mls && twice.contains("DuplicateLeafData"), "{twice}");
}

#[tokio::test]
async fn a_change_that_takes_too_long_is_an_error_and_its_welcome_is_there_when_it_was_made() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    let hasty = Settings { commit_timeout: Duration::from_millis(300), ..world::settings(&relay, "alice", Some(dir.path())) };
    let alice = open(hasty).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let bob = member(&relay, "bob", None).await;
    let package = bob.key_package().await.expect("a key package");
    relay.go_away();

    let (kind, text) = refused(channel.add_member(&package).await);
    relay.come_back();
    assert!(alice.connected(LONG).await);
    let welcome = loop {
        match channel.add_member(&package).await {
            Ok(welcome) => break welcome,
            Err(error) => assert_eq!(error.kind(), Kind::Transport, "{error}"),
        }
    };

    assert!(kind == Kind::Transport && text.contains("same key package"), "{text}");
    assert_eq!(bob.join_channel(NAME, &welcome).await.expect("joined").members().len(), 2);
}

#[tokio::test]
async fn a_welcome_is_given_again_after_a_restart_until_its_member_was_heard_of() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    let alice = member(&relay, "alice", Some(dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let bob = member(&relay, "bob", None).await;
    let package = bob.key_package().await.expect("a key package");
    let welcome = channel.add_member(&package).await.expect("added");
    alice.close().await;
    drop((alice, channel));

    let alice = member(&relay, "alice", Some(dir.path())).await;
    let channel = alice.channel(NAME).expect("kept");
    let again = channel.add_member(&package).await.expect("the same");
    let joined = bob.join_channel(NAME, &again).await.expect("joined");
    joined.send(b"here I am").await.expect("sent");
    assert_eq!(texts(&channel, 1).await, ["here I am"]);
    alice.close().await;
    drop((alice, channel));
    let channel = member(&relay, "alice", Some(dir.path())).await.channel(NAME).expect("kept");

    assert_eq!(welcome, again);
    assert!(refused(channel.add_member(&package).await).1.contains("DuplicateLeafData"));
}

#[tokio::test]
async fn the_welcome_of_a_member_that_was_removed_is_not_given_again() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    let alice = member(&relay, "alice", Some(dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let bob = member(&relay, "bob", None).await;
    let package = bob.key_package().await.expect("a key package");
    let old = channel.add_member(&package).await.expect("added");
    channel.remove_member(&Who::Identity(b"bob".to_vec())).await.expect("removed");
    alice.close().await;
    drop((alice, channel));

    let channel = member(&relay, "alice", Some(dir.path())).await.channel(NAME).expect("kept");
    let new = channel.add_member(&package).await.expect("added by another commit");
    let joined = bob.join_channel(NAME, &new).await.expect("joined");

    assert_ne!(old, new);
    until("one epoch", || joined.authenticator().ok() == channel.authenticator().ok()).await;
}

/// Not a test by itself: an owner that adds somebody, or answers invites, until it is killed.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "it is told by its parent what to do")]
async fn owner() {
    let (Ok(dir), Ok(grpc)) = (std::env::var("CHILD_DIR"), std::env::var("CHILD_GRPC")) else { return };
    let (dir, mut how) = (PathBuf::from(dir), settings(grpc.parse().expect("an address"), "alice", Path::new("")));
    how.data_dir = Some(dir.join("alice"));
    (how.api_key, how.api_url) = (std::env::var("CHILD_KEY").ok(), std::env::var("CHILD_API").ok());
    let alice = open(how).await;
    if let Ok(package) = std::fs::read(dir.join("package")) {
        alice.channel(NAME).expect("kept").add_member(&package).await.expect("added");
    }
    std::future::pending::<()>().await;
}

fn child(dir: &Path, office: &Office, point: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child.args(["owner", "--exact"]).env("CHILD_DIR", dir).env("CHILD_GRPC", office.grpc.to_string()).env("TOQ_MEMBER_CRASH", point);
    child
}

async fn dies(mut child: Command) {
    let end = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic").expect("it starts");
    assert!(!end.status.success(), "the point was not reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_joins_whose_adder_died_between_the_commit_and_the_welcome() {
    for point in ["staged:1", "publish:1", "published:1", "entering:1", "entered:1"] {
        let dir = tempfile::tempdir().expect("a directory");
        let office = Office::open(dir.path().join("relay"), 0, true);
        let alice = open(settings(office.grpc, "alice", dir.path())).await;
        drop(alice.create_channel(NAME, Admission::Any).await.expect("made"));
        alice.close().await;
        drop(alice);
        let bob = open(settings(office.grpc, "bob", dir.path())).await;
        let package = bob.key_package().await.expect("a key package");
        std::fs::write(dir.path().join("package"), &package).expect("written");

        dies(child(dir.path(), &office, point)).await;
        let channel = open(settings(office.grpc, "alice", dir.path())).await.channel(NAME).expect("kept");
        let welcome = channel.add_member(&package).await.expect("whatever became of the first commit");
        let joined = bob.join_channel(NAME, &welcome).await.expect("joined");
        channel.send(point.as_bytes()).await.expect("sent");

        assert_eq!(texts(&joined, 1).await, [point]);
        assert_eq!(channel.members().len(), 2, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_by_an_invite_gets_in_when_the_owner_died_while_it_let_him_in() {
    for point in ["published:1", "entered:1", "welcoming:1"] {
        let dir = tempfile::tempdir().expect("a directory");
        let office = Office::open(dir.path().join("relay"), 0, false);
        let secret = key(&office, "alice@example.com").await;
        let alice = open(with_key(&office, &secret, "alice", dir.path())).await;
        let token =
            alice.create_channel(NAME, Admission::Any).await.expect("made").invite(1, Duration::from_secs(600)).await.expect("made");
        alice.close().await;
        drop(alice);
        let bob = open(with_key(&office, &secret, "bob", dir.path())).await;
        let joining = spawn(async move { bob.join_with_token(NAME, &token, LONG).await });

        let mut owner = child(dir.path(), &office, point);
        owner.env("CHILD_KEY", &secret).env("CHILD_API", format!("http://{}", office.api));
        dies(owner).await;
        let channel = open(with_key(&office, &secret, "alice", dir.path())).await.channel(NAME).expect("kept");
        let joined = joining.await.expect("no panic").expect("without asking anew");
        channel.send(point.as_bytes()).await.expect("sent");

        assert_eq!(texts(&joined, 1).await, [point]);
        assert_eq!(channel.members().len(), 2, "{point}");
    }
}

#[tokio::test]
async fn several_that_were_added_at_once_are_given_their_welcome_one_by_one_as_well() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    let alice = member(&relay, "alice", Some(dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let (bob, carol): (Client, Client) = (member(&relay, "bob", None).await, member(&relay, "carol", None).await);
    let mut packages = Vec::new();
    for newcomer in [&bob, &carol] {
        packages.push(newcomer.key_package().await.expect("a key package"));
    }
    let both = channel.add_members(packages.clone()).await.expect("added");
    alice.close().await;
    drop((alice, channel));

    let channel = member(&relay, "alice", Some(dir.path())).await.channel(NAME).expect("kept");
    let one = channel.add_member(&packages[1]).await.expect("the same");

    assert_eq!(both, one);
    for newcomer in [&bob, &carol] {
        assert_eq!(newcomer.join_channel(NAME, &one).await.expect("joined").members().len(), 3);
    }
    drop(invite(&channel, &member(&relay, "dave", None).await).await);
}

#[tokio::test]
async fn of_two_joins_by_one_welcome_one_begins_the_leaf_and_the_other_changes_nothing() {
    let relay = Mock::new();
    let (alice, bob) = (member(&relay, "alice", None).await, member(&relay, "bob", None).await);
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let package = bob.key_package().await.expect("a key package");
    let welcome = channel.add_member(&package).await.expect("added");

    let (first, second) = tokio::join!(bob.join_channel(NAME, &welcome), bob.join_channel(NAME, &welcome));

    let (joined, refusals): (Vec<_>, Vec<_>) = [first, second].into_iter().partition(Result::is_ok);
    assert_eq!(refusals.into_iter().map(|refusal| refused(refusal).0).collect::<Vec<_>>(), [Kind::Mls]);
    joined[0].as_ref().expect("joined").send(b"hello").await.expect("kept");
    assert_eq!(texts(&channel, 1).await, ["hello"]);
}
