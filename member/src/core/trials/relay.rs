//! Relays that lie, refuse, or are not what they were.

use super::*;

#[test]
fn a_sender_that_claims_the_last_place_there_is_breaks_nobody() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    alice.core.chain = None;

    let frame = bob.frame(b"hello", Some(Head { seq: u64::MAX, hash: [7; 32] }));
    alice.read(2, Item::Frame(frame));
    let mut alice = alice.restart();
    alice.connect(2);
    let frame = bob.frame(b"again", Some(Head { seq: u64::MAX - 1, hash: [7; 32] }));
    alice.read(3, Item::Frame(frame));

    assert_eq!(alice.heard, [b"again".to_vec()]);
    assert_eq!(alice.core.row.cursor, 3);
}

#[test]
fn a_relay_that_names_places_which_no_log_has_moves_no_cursor() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let frame = bob.frame(b"hello", None);

    for seq in [u64::MAX, u64::MAX - 1, LAST_PLACE + 1] {
        alice.read(seq, Item::Frame(frame.clone()));
        alice.act(|core, step, now| core.caught_up(seq, step, now));
        alice.act(|core, step, now| core.behind(seq, step, now));
        for _ in 0..8 {
            alice.wait_for_gaps();
        }
    }
    assert_eq!((alice.core.row.cursor, alice.core.row.standing), (1, Standing::Member));
    assert_eq!(alice.told.iter().filter(|kind| *kind == "relay_misbehaving").count(), 1, "{:?}", alice.told);

    alice.read(2, Item::Frame(frame));
    assert_eq!(alice.heard, [b"hello".to_vec()]);
}

#[test]
fn the_relays_word_for_an_end_it_does_not_show_is_named_and_passes_over_nothing() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let frames = [bob.frame(b"two", None), bob.frame(b"three", None)];

    alice.connect(1_000_000);
    for _ in 0..10 {
        alice.wait_for_gaps();
        if alice.core.resubscribe {
            alice.connect(1_000_000);
        }
    }
    alice.act(|core, step, now| core.look_for_the_end(step, now));
    assert_eq!(alice.told.iter().filter(|kind| *kind == "relay_misbehaving").count(), 1, "{:?}", alice.told);
    assert_eq!(alice.core.row.cursor, 1);

    for (seq, frame) in (2..).zip(frames) {
        alice.read(seq, Item::Frame(frame));
    }
    assert_eq!(alice.heard, [b"two".to_vec(), b"three".to_vec()]);
}

#[test]
fn a_relay_that_cannot_give_the_channel_now_is_asked_again_for_as_long_as_it_takes() {
    let mut alice = Party::creator("alice");
    let mut now = Now::look();
    for _ in 0..20 {
        let mut step = Step::default();
        alice.core.not_subscribed(Refusal::Unavailable, "its disk is full", Duration::from_secs(3), &mut step, now);
        now.instant += Duration::from_secs(2);
        alice.core.look_for_gaps(&mut step, now);
        assert!(!alice.core.resubscribe, "not before the relay wants it");
        now.instant += Duration::from_secs(60);
        alice.core.look_for_gaps(&mut step, now);
        assert!(std::mem::take(&mut alice.core.resubscribe));
        alice.end(step);
        alice.core.connected(true);
    }
    assert_eq!(alice.core.hindrance(), Some("its disk is full"));
    assert!(alice.told.is_empty(), "{:?}", alice.told);
    alice.core.wish(Wish::Rotate, None).expect("it may be settled later");

    alice.connect(0);
    assert!(alice.core.hindrance().is_none() && alice.advance().is_some());
}

#[test]
fn a_relay_that_will_not_give_the_channel_is_told_of_once_and_nobody_waits_for_it() {
    let mut alice = Party::creator("alice");
    let (reply, mut answer) = oneshot::channel();
    alice.core.connected(true);
    alice.core.wish(Wish::Rotate, Some(reply)).expect("a member");

    for _ in 0..3 {
        alice.act(|core, step, now| core.not_subscribed(Refusal::Forbidden, "no such channel for you", Duration::ZERO, step, now));
    }

    let error = answer.try_recv().expect("an answer").expect_err("it cannot be done");
    assert!(error.kind() == crate::Kind::Auth && error.to_string().contains("no such channel for you"), "{error}");
    assert!(alice.core.wish(Wish::Rotate, None).is_err());
    assert_eq!(alice.told, ["subscription_refused"]);
    let (mut later, mut step) = (Now::look(), Step::default());
    later.instant += Duration::from_secs(120);
    alice.core.look_for_gaps(&mut step, later);
    assert!(alice.core.resubscribe);
}

#[test]
fn a_new_group_under_a_name_that_is_older_than_the_relay_remembers_begins_at_what_there_is() {
    let mut alice = Party::creator("alice");
    alice.core.connected(true);

    alice.act(|core, step, now| core.behind(501, step, now));
    assert_eq!((alice.core.row.standing, alice.core.row.cursor), (Standing::Member, 500));
    alice.connect(500);
    let bob = alice.add("bob", 501);

    // Both count from the same beginning.
    assert!(bob.core.row.chain.is_some() && bob.core.row.chain == alice.core.row.chain);
    let mut bob = bob;
    bob.act(|core, step, now| core.behind(900, step, now));
    assert_eq!(bob.core.row.standing, Standing::Behind, "who has missed something is told so");
}

#[test]
fn a_relay_that_numbers_nothing_any_more_is_named_and_neither_read_nor_sent_to() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let frame = bob.frame(b"hello", None);
    let mut alice = alice.restart();

    alice.core.connected(false);
    for _ in 0..3 {
        alice.wait_for_gaps();
    }
    alice.read(0, Item::Frame(frame.clone()));
    let (_, step) = alice.core.say(b"kept", None, Now::look()).expect("kept");
    alice.end(step);
    assert_eq!(alice.told, ["relay_misbehaving"]);
    assert!(alice.heard.is_empty() && alice.core.publishable(Now::look()).is_empty() && alice.core.unsent() == 1);

    alice.connect(1);
    alice.read(2, Item::Frame(frame));
    assert_eq!(alice.heard, [b"hello".to_vec()]);
    assert!(alice.core.next_drafts().is_some());
}

#[test]
fn a_relay_that_never_numbered_anything_is_used_as_it_is() {
    let mut alice = Party::creator("alice");
    let _bob = alice.add("bob", 1);
    alice.core.row.was_numbered = false;

    alice.core.connected(false);
    alice.wait_for_gaps();
    let (_, step) = alice.core.say(b"hello", None, Now::look()).expect("said");
    alice.end(step);

    assert_eq!(alice.core.publishable(Now::look()).len(), 1);
    assert!(!alice.told.contains(&"relay_misbehaving".to_owned()));
}
