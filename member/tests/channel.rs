//! What members do with channels while all is well.

mod world;

use std::collections::HashMap;

use toq_member::mock::Relay;
use toq_member::{Admission, Kind, Role, Standing, Who};
use toq_protocol::key::Identity;
use world::{LONG, NAME, event, invite, member, next, pair, refused, settings, texts};

#[tokio::test]
async fn what_is_said_is_heard_with_who_said_it() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;

    alice.send(b"hello").await.expect("sent");
    bob.send(b"").await.expect("sent");
    let (heard, empty) = (next(&bob).await, next(&alice).await);

    assert_eq!((heard.payload.as_slice(), heard.sender.as_slice(), heard.epoch), (&b"hello"[..], &b"alice"[..], 1));
    assert_eq!((empty.payload.as_slice(), empty.sender.as_slice()), (&b""[..], &b"bob"[..]));
    assert!(heard.seq.is_some() && heard.proven.is_none());
}

#[tokio::test]
async fn messages_come_in_the_order_in_which_they_were_said() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;

    let said: Vec<String> = (0..200).map(|n| format!("message {n}")).collect();
    for text in &said {
        alice.send(text.as_bytes()).await.expect("sent");
    }

    assert_eq!(texts(&bob, 200).await, said);
}

#[tokio::test]
async fn nothing_is_missed_that_is_said_when_the_welcome_is_made() {
    let relay = Relay::new();
    let (alice, _) = pair(&relay, None).await;
    let carol = member(&relay, "carol", None).await;
    alice.send(b"before").await.expect("sent");
    let package = carol.key_package().await.expect("a key package");
    let welcome = alice.add_member(&package).await.expect("added");

    alice.send(b"after").await.expect("sent");
    alice.rotate_key().await.expect("rotated");
    alice.send(b"after a change").await.expect("sent");
    let joined = carol.join_channel(NAME, &welcome).await.expect("joined");

    assert_eq!(texts(&joined, 2).await, ["after", "after a change"]);
}

#[tokio::test]
async fn a_member_that_is_removed_hears_nothing_more_and_says_nothing_more() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;

    alice.remove_member(&Who::Identity(b"bob".to_vec())).await.expect("removed");
    alice.send(b"secret").await.expect("sent");
    let told = event(&bob, "removed").await;

    assert_eq!((told.kind.as_str(), bob.standing()), ("removed", Standing::Removed));
    assert_eq!(refused(bob.send(b"still here?").await).0, Kind::Refused);
    assert_eq!(refused(bob.next(Some(LONG)).await), refused(bob.send(b"still here?").await));
    assert_eq!(alice.members().len(), 1);
    assert_eq!(event(&alice, "member_removed").await.subject, b"bob");
}

#[tokio::test]
async fn who_is_removed_reads_what_came_before_and_is_told_then_why_nothing_more_comes() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    let carol = invite(&alice, &member(&relay, "carol", None).await).await;
    let waiting = world::spawn({
        let carol = carol.clone();
        async move { carol.next(None).await }
    });
    for text in ["one", "two", "three"] {
        alice.send(text.as_bytes()).await.expect("sent");
    }
    assert_eq!(waiting.await.expect("no panic").expect("read").expect("a message").payload, b"one");
    let waiting = world::spawn({
        let carol = carol.clone();
        async move {
            let two = carol.next(None).await.expect("read").expect("a message");
            let three = carol.drain(LONG, 9).await.expect("read");
            (two.payload, three[0].payload.clone(), carol.next(None).await)
        }
    });
    assert_eq!(texts(&bob, 1).await, ["one"]);

    for who in ["bob", "carol"] {
        alice.remove_member(&Who::Identity(who.as_bytes().to_vec())).await.expect("removed");
    }

    // Who waited is woken, and who asks later is told at once, also after a restart and when everything that comes is asked for.
    let (two, three, end) = waiting.await.expect("no panic");
    assert_eq!((two.as_slice(), three.as_slice()), (&b"two"[..], &b"three"[..]));
    let (kind, why) = refused(end);
    assert!(kind == Kind::Refused && why.contains("was removed from acme/team/general; ask to be added again"), "{why}");
    assert_eq!(refused(carol.drain(LONG, 9).await), refused(carol.send(b"?").await));
    assert!(carol.arrived(LONG).await, "nobody waits for what will never come");
    let told = event(&carol, "removed").await;
    assert_eq!((told.by.as_slice(), told.epoch), (&b"alice"[..], alice.epoch()));
    let told = event(&bob, "removed").await;
    assert_eq!((told.by.as_slice(), told.epoch), (&b"alice"[..], alice.epoch() - 1));
    drop(bob);
    let bob = member(&relay, "bob", Some(dir.path())).await;
    let kept = bob.channel(NAME).expect("kept");
    assert_eq!(texts(&kept, 3).await, ["one", "two", "three"], "the first was not done with");
    assert_eq!(refused(kept.next(Some(LONG)).await), refused(kept.send(b"?").await));

    let again = invite(&alice, &bob).await;
    alice.send(b"back").await.expect("sent");
    assert_eq!(texts(&again, 1).await, ["back"]);
}

#[tokio::test]
async fn a_member_that_leaves_is_gone_for_all() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;
    let carol = invite(&alice, &member(&relay, "carol", None).await).await;

    bob.leave().await.expect("left");
    let (at_alice, at_carol) = (event(&alice, "member_removed").await, event(&carol, "member_removed").await);
    alice.send(b"among us").await.expect("sent");

    assert_eq!((at_alice.subject.as_slice(), at_carol.subject.as_slice()), (&b"bob"[..], &b"bob"[..]));
    assert_eq!(texts(&carol, 1).await, ["among us"]);
    assert_eq!(bob.standing(), Standing::Left);
    assert_eq!(refused(bob.send(b"?").await).0, Kind::Refused);
    assert_eq!(refused(bob.next(None).await), refused(bob.send(b"?").await));
}

#[tokio::test]
async fn all_members_of_an_epoch_have_the_same_secret_and_the_next_has_another() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;
    alice.send(b"sync").await.expect("sent");
    next(&bob).await;
    let before = alice.export_audit_key().expect("a member");
    assert_eq!(before, bob.export_audit_key().expect("a member"));

    bob.rotate_key().await.expect("rotated");
    event(&alice, "key_rotated").await;

    assert_ne!(before, alice.export_audit_key().expect("a member"));
    assert_eq!(alice.authenticator().expect("a member"), bob.authenticator().expect("a member"));
}

#[tokio::test]
async fn the_roster_says_who_is_who_and_changes_are_told() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;

    let members = bob.members();

    assert_eq!(
        members.iter().map(|member| (member.identity.as_slice(), member.me)).collect::<Vec<_>>(),
        [(&b"alice"[..], false), (b"bob", true)]
    );
    assert_eq!(members[0].role, Role::Owner);
    assert_eq!(event(&alice, "member_added").await.subject, b"bob");
}

#[tokio::test]
async fn padded_and_plain_members_understand_each_other() {
    let relay = Relay::new();
    let (alice, _) = pair(&relay, None).await;
    let mut settings = settings(&relay, "carol", None);
    settings.padding = true;
    let carol = invite(&alice, &world::open(settings).await).await;

    carol.send(b"padded").await.expect("sent");
    alice.send(b"plain").await.expect("sent");

    assert_eq!((texts(&alice, 1).await, texts(&carol, 1).await), (vec!["padded".to_owned()], vec!["plain".to_owned()]));
    assert!(relay.log(&NAME.parse_name()).iter().any(|blob| blob.len() == 512));
}

#[tokio::test]
async fn a_relay_that_knows_only_the_published_protocol_is_enough() {
    let relay = Relay::plain();
    let (alice, bob) = pair(&relay, None).await;
    let carol = invite(&bob, &member(&relay, "carol", None).await).await;
    event(&alice, "member_added").await;
    world::until("alice knows carol", || alice.members().len() == 3).await;

    alice.send(b"to all").await.expect("sent");

    assert_eq!((texts(&bob, 1).await, texts(&carol, 1).await), (vec!["to all".to_owned()], vec!["to all".to_owned()]));
    assert!(alice.flush(LONG).await);
}

#[tokio::test]
async fn who_is_called_like_a_pinned_agent_must_have_its_key() {
    let relay = Relay::new();
    let [right, wrong] = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]));
    let mut careful = settings(&relay, "alice", None);
    careful.pins = HashMap::from([(b"bob".to_vec(), right.public())]);
    let alice = world::open(careful.clone()).await.create_channel(NAME, Admission::Any).await.expect("made");
    let mut bobs = Vec::new();
    for key in [None, Some(&wrong), Some(&right)] {
        let bob = member(&relay, "bob", None).await;
        if let Some(key) = key {
            bob.prove(key.public(), key.sign(&bob.statement())).await.expect("proven");
        }
        let package = bob.key_package().await.expect("a key package");
        bobs.push((bob, package));
    }

    for (_, package) in &bobs[..2] {
        let (kind, text) = refused(alice.add_member(package).await);
        assert!(kind == Kind::Refused && text.contains("pinned"), "{text}");
    }
    assert_eq!(alice.members().len(), 1);
    let welcome = alice.add_member(&bobs[2].1).await.expect("it is he");
    let bob = bobs[2].0.join_channel(NAME, &welcome).await.expect("joined");
    bob.send(b"it is me").await.expect("sent");
    assert_eq!(next(&alice).await.proven, Some(right.public()));

    // A channel in which somebody uses the name is not joined, and what would join it is kept.
    careful.identity = b"carol".to_vec();
    careful.pins = HashMap::from([(b"bob".to_vec(), wrong.public())]);
    let carol = world::open(careful).await;
    let welcome = alice.add_member(&carol.key_package().await.expect("a key package")).await.expect("added");
    assert_eq!(refused(carol.join_channel(NAME, &welcome).await).0, Kind::Refused);
    assert!(carol.channels().is_empty());
}

#[tokio::test]
async fn channels_of_one_member_do_not_mix() {
    let relay = Relay::new();
    let (alice, bob) = (member(&relay, "alice", None).await, member(&relay, "bob", None).await);
    let mut joined = Vec::new();
    for n in 0..5 {
        let channel = alice.create_channel(&format!("acme/team/{n}"), Admission::Any).await.expect("made");
        joined.push((channel.clone(), invite(&channel, &bob).await));
    }

    for (n, (channel, _)) in joined.iter().enumerate() {
        channel.send(format!("for {n}").as_bytes()).await.expect("sent");
    }

    for (n, (_, channel)) in joined.iter().enumerate() {
        assert_eq!(texts(channel, 1).await, [format!("for {n}")]);
    }
    assert_eq!(bob.channels().len(), 5);
}

trait ParseName {
    fn parse_name(&self) -> toq_channels::ChannelName;
}

impl ParseName for str {
    fn parse_name(&self) -> toq_channels::ChannelName {
        toq_channels::ChannelName::parse(self).expect("a name")
    }
}
