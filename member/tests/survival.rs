//! What survives the end of a process, of a connection, of a relay's patience, and a copied directory.

mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::FutureExt as _;
use toq_member::mock::Relay;
use toq_member::{Admission, Kind, Standing, Who};
use world::{LONG, NAME, event, invite, member, next, pair, refused, settings, spawn, texts, until};

#[tokio::test]
async fn a_channel_goes_on_after_both_members_were_closed() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    alice.send(b"one").await.expect("sent");
    assert_eq!(texts(&bob, 1).await, ["one"]);
    drop((alice, bob));

    let (alice, bob) = (member(&relay, "alice", Some(dir.path())).await, member(&relay, "bob", Some(dir.path())).await);
    let (alice, bob) = (alice.channel(NAME).expect("kept"), bob.channel(NAME).expect("kept"));
    alice.send(b"two").await.expect("sent");
    bob.send(b"three").await.expect("sent");

    // The last message was read and nothing was asked for after it: it may have been on its way to the reader.
    assert_eq!(texts(&bob, 2).await, ["one", "two"]);
    assert_eq!(texts(&alice, 1).await, ["three"]);
}

#[tokio::test]
async fn a_directory_can_be_moved() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    drop(bob);
    let there = dir.path().join("elsewhere");
    std::fs::create_dir(&there).expect("made");
    std::fs::rename(dir.path().join("bob"), there.join("bob")).expect("moved");

    alice.send(b"where are you?").await.expect("sent");
    let bob = member(&relay, "bob", Some(&there)).await;

    assert_eq!(texts(&bob.channel(NAME).expect("kept"), 1).await, ["where are you?"]);
}

#[tokio::test]
async fn what_is_said_while_the_relay_is_away_is_kept_and_goes_out_when_it_is_back() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    relay.go_away();

    alice.send(b"first").await.expect("kept");
    drop(alice);
    let alice = member(&relay, "alice", Some(dir.path())).await;
    alice.channel(NAME).expect("kept").send(b"second").await.expect("kept");
    let before = alice.flush(Duration::ZERO).await;
    relay.come_back();

    assert_eq!(texts(&bob, 2).await, ["first", "second"]);
    assert!(!before && alice.flush(LONG).await);
}

#[tokio::test]
async fn a_member_that_was_away_hears_everything_in_order() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    drop(bob);
    let mut said = Vec::new();
    for n in 0..600 {
        // More epochs than old keys are kept for: each message is read in its own.
        if n % 60 == 30 {
            alice.rotate_key().await.expect("rotated");
        }
        let text = format!("message {n}");
        alice.send(text.as_bytes()).await.expect("sent");
        said.push(text);
    }
    assert!(alice.flush(LONG).await);

    let bob = member(&relay, "bob", Some(dir.path())).await;

    assert_eq!(texts(&bob.channel(NAME).expect("kept"), 600).await, said);
}

#[tokio::test]
async fn nothing_is_lost_or_said_twice_when_connections_end() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;

    let said: Vec<String> = (0..120).map(|n| format!("message {n}")).collect();
    for (n, text) in said.iter().enumerate() {
        if n % 20 == 10 {
            relay.cut();
        }
        alice.send(text.as_bytes()).await.expect("kept");
    }

    assert_eq!(texts(&bob, said.len()).await, said);
    assert!(alice.flush(LONG).await);
    assert!(bob.next(Some(Duration::ZERO)).await.expect("open").is_none());
}

#[tokio::test]
async fn a_message_that_was_not_followed_by_another_question_comes_again_and_a_settled_one_does_not() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    for text in ["one", "two", "three"] {
        alice.send(text.as_bytes()).await.expect("sent");
    }
    assert_eq!(next(&bob).await.payload, b"one");
    drop(bob);

    let bob = member(&relay, "bob", Some(dir.path())).await.channel(NAME).expect("kept");
    let first = next(&bob).await;
    assert_eq!(first.payload, b"one", "nothing was asked for after it");
    bob.settle(first.n).await.expect("kept");
    drop(bob);

    let bob = member(&relay, "bob", Some(dir.path())).await.channel(NAME).expect("kept");
    assert_eq!(texts(&bob, 2).await, ["two", "three"]);
}

#[tokio::test]
async fn an_old_copy_never_encrypts_with_used_keys_and_comes_back_with_a_fresh_leaf() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    bob.send(b"one").await.expect("sent");
    assert!(bob.flush(LONG).await);
    drop(bob);
    let closed = member(&relay, "bob", Some(dir.path())).await;
    closed.close().await;
    drop(closed);
    copy(&dir.path().join("bob"), &dir.path().join("copy"));
    let later = member(&relay, "bob", Some(dir.path())).await;
    let channel = later.channel(NAME).expect("kept");
    for n in 0..3 {
        channel.send(format!("later {n}").as_bytes()).await.expect("sent");
    }
    assert!(later.flush(LONG).await);
    later.close().await;
    drop((channel, later));
    std::fs::remove_dir_all(dir.path().join("bob")).expect("removed");
    copy(&dir.path().join("copy"), &dir.path().join("bob"));
    let logged = relay.log(&name()).len();

    let restored = member(&relay, "bob", Some(dir.path())).await;
    let channel = restored.channel(NAME).expect("kept");
    // Said before the log was read: it is a draft, and no key was used for it.
    drop(channel.send(b"said by the copy").await);
    let told = event(&channel, "restored_copy").await;

    assert_eq!((told.kind.as_str(), channel.standing()), ("restored_copy", Standing::Restored));
    assert_eq!(refused(channel.send(b"again").await).0, Kind::Refused);
    assert_eq!(relay.log(&name()).len(), logged, "nothing left the copy");

    let package = restored.key_package().await.expect("a key package");
    let welcome = alice.add_member(&package).await.expect("added in its own place");
    let back = restored.join_channel(NAME, &welcome).await.expect("joined");
    back.send(b"fresh").await.expect("sent");

    let heard = texts(&alice, 5).await;
    assert_eq!(heard[..4], ["one", "later 0", "later 1", "later 2"]);
    assert!(heard[4] == "said by the copy" || heard[4] == "fresh", "{heard:?}");
    assert_eq!(alice.members().len(), 2);
}

#[tokio::test]
async fn what_the_relay_no_longer_keeps_is_named_and_the_way_back_is_a_new_invitation() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    drop(bob);
    for n in 0..5 {
        alice.send(format!("{n}").as_bytes()).await.expect("sent");
    }
    assert!(alice.flush(LONG).await);
    relay.forget(&name(), 4);

    let bob = member(&relay, "bob", Some(dir.path())).await;
    let channel = bob.channel(NAME).expect("kept");
    let told = event(&channel, "behind").await;
    assert!(told.detail.contains("place 5") && channel.standing() == Standing::Behind);
    let (kind, text) = refused(channel.send(b"?").await);
    assert!(kind == Kind::Refused && text.contains("ask to be added again"), "{text}");

    let back = invite(&alice, &bob).await;
    alice.send(b"welcome back").await.expect("sent");
    assert_eq!(texts(&back, 1).await, ["welcome back"]);
}

#[tokio::test]
async fn the_creator_of_a_channel_is_brought_back_by_another_member_and_is_its_owner_again() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    let carol = invite(&alice, &member(&relay, "carol", None).await).await;
    drop(alice);
    for n in 0..5 {
        bob.send(format!("{n}").as_bytes()).await.expect("sent");
    }
    assert!(bob.flush(LONG).await);
    relay.forget(&name(), 5);
    let alice = member(&relay, "alice", Some(dir.path())).await;
    event(&alice.channel(NAME).expect("kept"), "behind").await;

    let back = invite(&bob, &alice).await;
    back.send(b"back").await.expect("sent");
    assert_eq!(texts(&bob, 1).await, ["back"]);
    back.remove_member(&Who::Identity(b"carol".to_vec())).await.expect("the creator may");

    event(&carol, "removed").await;
    let stay = [b"alice".to_vec(), b"bob".to_vec()];
    until("carol is out for bob too", || bob.members().into_iter().map(|member| member.identity).eq(stay.clone())).await;
}

/// Not a test by itself: what [`a_channel_that_is_made_again_is_the_old_or_the_new_one_wherever_the_process_is_killed`] starts and kills.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "it is told by its parent what to do")]
async fn child() {
    let Ok(dir) = std::env::var("CHILD_DIR") else { return };
    let alice = member(&Relay::new(), "alice", Some(&PathBuf::from(dir))).await;
    drop(alice.create_channel(NAME, Admission::Any).await);
}

#[tokio::test]
async fn a_channel_that_is_made_again_is_the_old_or_the_new_one_wherever_the_process_is_killed() {
    for (point, is_new) in [("replacing", false), ("replaced", true)] {
        let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
        let (alice, bob) = pair(&relay, Some(dir.path())).await;
        drop(alice);
        let closed = member(&relay, "alice", Some(dir.path())).await;
        closed.close().await;
        drop(closed);

        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args(["child", "--exact"]).env("CHILD_DIR", dir.path()).env("TOQ_MEMBER_CRASH", format!("{point}:1"));
        let end = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic").expect("it starts");
        assert!(!end.status.success(), "{point} was not reached");

        let alice = member(&relay, "alice", Some(dir.path())).await.channel(NAME).expect("kept");
        assert_eq!(alice.members().len(), if is_new { 1 } else { 2 }, "{point}");
        let heard = if is_new { invite(&alice, &member(&relay, "carol", None).await).await } else { bob };
        alice.send(point.as_bytes()).await.expect("sent");
        assert_eq!(texts(&heard, 1).await, [point]);
    }
}

#[tokio::test]
async fn a_commit_that_was_on_its_way_when_the_process_ended_is_followed() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    let logged = relay.log(&name()).len();
    let rotating = spawn({
        let bob = bob.clone();
        async move { bob.rotate_key().await }
    });
    until("the commit is in the log", || relay.log(&name()).len() > logged).await;
    rotating.abort();
    drop(bob);

    let bob = member(&relay, "bob", Some(dir.path())).await.channel(NAME).expect("kept");
    alice.send(b"still together?").await.expect("sent");

    assert_eq!(texts(&bob, 1).await, ["still together?"]);
    until("one epoch", || alice.authenticator().ok() == bob.authenticator().ok()).await;
}

#[tokio::test]
async fn keys_that_grow_old_are_renewed_without_being_asked() {
    let relay = Relay::new();
    let mut young = settings(&relay, "alice", None);
    young.rotate_after = Duration::from_secs(1);
    let alice = world::open(young).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let bob = invite(&channel, &member(&relay, "bob", None).await).await;

    let told = event(&bob, "key_rotated").await;

    assert_eq!(told.by, b"alice");
}

#[tokio::test]
async fn making_a_channel_goes_to_its_end_though_nobody_waits_for_it() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let alice = member(&relay, "alice", Some(dir.path())).await;
    for round in 0..8 {
        let name = format!("acme/team/{}", round / 2);
        assert!(alice.create_channel(&name, Admission::Any).now_or_never().is_none());
    }

    until("all are here", || alice.channels().len() == 4).await;
    let channel = alice.create_channel("acme/team/3", Admission::Any).await.expect("made, after those before it");
    let bob = member(&relay, "bob", Some(dir.path())).await;
    let joined = invite(&channel, &bob).await;
    channel.send(b"to both").await.expect("sent");
    assert_eq!(texts(&joined, 1).await, ["to both"]);
    alice.close().await;
    drop((channel, alice));

    let alice = member(&relay, "alice", Some(dir.path())).await;
    assert_eq!(alice.channels().len(), 4);
}

fn name() -> toq_channels::ChannelName {
    toq_channels::ChannelName::parse(NAME).expect("a name")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    std::os::unix::fs::chown(to, None, None).expect("ours");
    std::fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("closed");
    for entry in std::fs::read_dir(from).expect("there") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}
