//! What a program does not read: it waits, but not without end, and is given in order later.

mod world;

use std::path::Path;

use toq_member::mock::Relay;
use toq_member::{Admission, Channel, Client, Settings};
use world::{LONG, NAME, event, invite, member, open, settings, texts};

/// How many bytes may wait.
const ROOM: u64 = 4096;

async fn pair(relay: &Relay, dir: &Path) -> (Channel, Client, Channel) {
    let channel = member(relay, "alice", None).await.create_channel(NAME, Admission::Any).await.expect("made");
    let bob = open(Settings { max_unread: ROOM, ..settings(relay, "bob", Some(dir)) }).await;
    let joined = invite(&channel, &bob).await;
    (channel, bob, joined)
}

#[tokio::test]
async fn a_member_that_does_not_read_keeps_little_and_reads_everything_in_order_later() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, client, bob) = pair(&relay, dir.path()).await;
    drop(client);
    let said: Vec<String> = (0..200).map(|n| format!("message {n} {}", "x".repeat(100))).collect();
    for text in &said {
        alice.send(text.as_bytes()).await.expect("sent");
    }
    assert!(alice.flush(LONG).await);

    assert!(event(&bob, "inbox_full").await.detail.contains("wait to be read"));
    assert!(bob.waiting() < 20, "{}", bob.waiting());
    bob.send(b"it waits as well").await.expect("kept");
    assert_eq!(texts(&bob, 100).await, said[..100]);
    drop(bob);

    let bob = open(Settings { max_unread: ROOM, ..settings(&relay, "bob", Some(dir.path())) }).await.channel(NAME).expect("kept");
    // The last that was handed out comes again after a restart.
    assert_eq!(texts(&bob, 101).await, said[99..]);
    assert!(bob.flush(LONG).await);
    assert_eq!(texts(&alice, 1).await, ["it waits as well"]);
}

#[tokio::test]
async fn a_channel_that_is_full_holds_up_no_other() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, client, bob) = pair(&relay, dir.path()).await;
    for _ in 0..40 {
        alice.send(&[0; 200]).await.expect("sent");
    }
    event(&bob, "inbox_full").await;

    let carol = member(&relay, "carol", None).await.create_channel("acme/team/other", Admission::Any).await.expect("made");
    let other = invite(&carol, &client).await;
    carol.send(b"hello").await.expect("sent");

    assert_eq!(texts(&other, 1).await, ["hello"]);
}
