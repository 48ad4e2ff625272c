//! A relay that drops, repeats, reorders, cuts, corrupts and invents: members converge, or say that it misbehaves.

mod world;

use toq_channels::ChannelName;
use toq_dataplane::extension::Carriage;
use toq_member::mock::{Mischief, Relay};
use world::{LONG, NAME, event, invite, member, pair, texts, until};

#[tokio::test]
async fn what_is_dropped_repeated_reordered_and_cut_is_heard_once_and_in_order() {
    for seed in 1..4 {
        let relay = Relay::new();
        let (alice, bob) = pair(&relay, None).await;
        relay.misbehave(Mischief { seed, drop: 8, duplicate: 40, reorder: 40, cut: 2, ..Mischief::default() });

        let said: Vec<String> = (0..80).map(|n| format!("message {n}")).collect();
        for text in &said {
            alice.send(text.as_bytes()).await.expect("kept");
        }

        // What is dropped last shows when something follows.
        assert!(alice.flush(LONG).await);
        relay.misbehave(Mischief::default());
        alice.send(b"the end").await.expect("sent");

        assert_eq!(texts(&bob, said.len() + 1).await, [said, vec!["the end".to_owned()]].concat(), "seed {seed}");
        assert!(alice.flush(LONG).await);
    }
}

#[tokio::test]
async fn an_entry_that_is_always_withheld_is_named() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;
    alice.send(b"before").await.expect("sent");
    assert_eq!(texts(&bob, 1).await, ["before"]);
    relay.misbehave(Mischief { seed: 1, drop: 255, ..Mischief::default() });

    for _ in 0..40 {
        alice.send(b"withheld").await.expect("sent");
    }
    assert!(alice.flush(LONG).await);
    // With nothing at all coming, the relay's own count of its log tells.
    relay.cut();
    let told = event(&bob, "relay_misbehaving").await;

    assert!(told.detail.contains("withholds"), "{told:?}");
}

#[tokio::test]
async fn two_histories_are_told_apart() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;
    let carol = invite(&alice, &member(&relay, "carol", None).await).await;
    alice.send(b"one").await.expect("sent");
    assert_eq!((texts(&bob, 1).await, texts(&carol, 1).await), (vec!["one".to_owned()], vec!["one".to_owned()]));
    // Each member is shown other bytes for the same place.
    relay.misbehave(Mischief { seed: 3, corrupt: 255, ..Mischief::default() });
    alice.send(b"two").await.expect("sent");
    assert!(alice.flush(LONG).await);
    let name = ChannelName::parse(NAME).expect("a name");
    until("all were shown it", || relay.is_passed_on(&name)).await;
    relay.misbehave(Mischief::default());

    alice.send(b"three").await.expect("sent");
    for other in [&bob, &carol] {
        let told = event(other, "relay_misbehaving").await;

        assert!(told.detail.contains("something else"), "{told:?}");
        assert_eq!(texts(other, 1).await, ["three"]);
    }
}

#[tokio::test]
async fn what_nobody_sent_changes_nothing() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;
    let name = ChannelName::parse(NAME).expect("a name");
    let real = relay.log(&name);

    for blob in [&b""[..], b"garbage", &[0; 5000], &[0, 1, 0, 2], &real[0]] {
        for carriage in [Carriage::Message, Carriage::Commit, Carriage::Proposal, Carriage::Welcome] {
            relay.inject(&name, carriage, blob);
        }
    }
    alice.send(b"undisturbed").await.expect("sent");

    assert_eq!(texts(&bob, 1).await, ["undisturbed"]);
}

#[tokio::test]
async fn a_relay_that_says_it_numbers_nothing_any_more_is_named_and_what_is_said_waits_until_it_does() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;
    alice.send(b"one").await.expect("sent");
    assert_eq!(texts(&bob, 1).await, ["one"]);

    relay.number(false);
    assert!(event(&alice, "relay_misbehaving").await.detail.contains("does not number"));
    alice.send(b"two").await.expect("kept");
    event(&bob, "relay_misbehaving").await;
    let logged = relay.log(&ChannelName::parse(NAME).expect("a name")).len();

    relay.number(true);
    assert_eq!(texts(&bob, 1).await, ["two"]);
    assert!(alice.flush(LONG).await);
    assert_eq!(relay.log(&ChannelName::parse(NAME).expect("a name")).len(), logged + 1, "it was sent once, to who numbers");
}
