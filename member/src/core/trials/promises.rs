//! What was said is not lost, whatever the relay says of it.

use toq_store::member::OutKind;

use super::*;

/// Says something that is published at once; its tag.
fn say(party: &mut Party, text: &[u8]) -> toq_dataplane::extension::Tag {
    let (_, step) = party.core.say(text, None, Now::look()).expect("said");
    party.end(step);
    party.core.publishable(Now::look()).pop().expect("it leaves").tag
}

fn later(party: &mut Party) -> Vec<crate::line::Publication> {
    let mut now = Now::look();
    now.instant += Duration::from_secs(2);
    party.core.publishable(now)
}

#[test]
fn what_the_relay_says_to_have_and_did_not_show_is_told_of_and_published_again() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let tag = say(&mut alice, b"hello");
    let frame = bob.frame(b"something else", None);
    alice.read(2, Item::Frame(frame));

    alice.act(|core, step, now| core.accepted(tag, 2, step, now));

    assert_eq!(alice.told.last().map(String::as_str), Some("relay_misbehaving"), "{:?}", alice.told);
    assert!(alice.core.publishable(Now::look()).is_empty(), "not at once: the relay may say so again");
    let again = later(&mut alice).pop().expect("it is published again");
    assert_ne!(again.tag.0, tag.0);
    bob.read(2, Item::Frame(again.frame));
    assert_eq!(bob.heard, [b"hello".to_vec()]);
    // After a restart as well.
    assert_eq!(alice.disk.outbox.values().map(|row| row.kind).collect::<Vec<_>>(), [OutKind::Message]);
}

#[test]
fn a_wish_to_leave_that_the_relay_says_to_have_and_did_not_show_is_made_again() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let (reply, mut answer) = oneshot::channel();
    bob.core.wish(Wish::Leave, Some(reply)).expect("a member");
    let first = bob.advance().expect("a proposal");
    let tag = toq_dataplane::extension::Tag(bob.disk.outbox[&first].tag);
    let frame = alice.frame(b"hello", None);
    bob.read(2, Item::Frame(frame));

    bob.act(|core, step, now| core.accepted(tag, 2, step, now));

    assert!(answer.try_recv().is_err(), "nobody has heard of it");
    let second = bob.advance().expect("another proposal");
    bob.read(3, Item::Ours(second));
    assert!(answer.try_recv().expect("an answer").is_ok());
}

#[test]
fn a_message_that_comes_too_late_is_said_again_whatever_the_limits_for_new_ones() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let tag = say(&mut bob, b"hello");
    bob.core.limits.unsent = 0;
    for seq in 2..8 {
        let (_, commit) = alice.add_with_commit(&format!("number {seq}"), seq);
        bob.read(seq, Item::Frame(commit));
    }

    bob.act(|core, step, now| core.accepted(tag, 8, step, now));

    let rows: Vec<_> = bob.disk.outbox.values().map(|row| (row.kind, row.payload.clone())).collect();
    assert_eq!(rows, [(OutKind::Draft, b"hello".to_vec())]);
    assert_eq!(bob.core.unsent(), 1);
}

#[test]
fn a_message_that_comes_too_late_for_who_is_out_is_told_of() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let (waiter, mut place) = oneshot::channel();
    let (_, step) = bob.core.say(b"hello", Some(waiter), Now::look()).expect("said");
    bob.end(step);
    let tag = bob.core.publishable(Now::look()).pop().expect("it leaves").tag;
    for seq in 2..8 {
        let (_, commit) = alice.add_with_commit(&format!("number {seq}"), seq);
        bob.read(seq, Item::Frame(commit));
    }
    bob.core.row.standing = Standing::Left;

    bob.act(|core, step, now| core.accepted(tag, 8, step, now));

    assert!(bob.told.iter().any(|kind| kind == "message_refused"), "{:?}", bob.told);
    let error = place.try_recv().expect("an answer").expect_err("it did not get there");
    assert!(error.to_string().contains("has left"), "{error}");
}

#[test]
fn a_code_that_is_not_known_here_loses_no_message_and_no_relay_silences_for_more_than_an_hour() {
    let mut alice = Party::creator("alice");
    let tag = say(&mut alice, b"hello");

    alice.act(|core, step, now| core.refused(tag, Refusal::Other, "a later relay's reason", Duration::MAX, step, now));

    assert_eq!(alice.core.unsent(), 1);
    let mut now = Now::look();
    now.instant += Duration::from_secs(3601);
    assert_eq!(alice.core.publishable(now).len(), 1);
}

#[test]
fn who_missed_a_commit_in_what_the_relay_withholds_is_told_to_be_added_again_and_is_not_just_deaf() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let (_, _withheld) = alice.add_with_commit("carol", 2);
    let frame = alice.frame(b"hello", None);
    bob.read(3, Item::Frame(frame));
    assert_eq!(bob.core.row.standing, Standing::Member);

    for _ in 0..5 {
        bob.core.gap_since = Some(Now::look().instant);
        bob.wait_for_gaps();
    }

    assert_eq!(bob.core.row.standing, Standing::Behind, "{:?}", bob.told);
    assert!(bob.told.iter().any(|kind| kind == "behind"));
}

#[test]
fn a_frame_of_a_later_epoch_makes_nobody_leave_who_has_read_everything() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let (_, _commit) = alice.add_with_commit("carol", 2);
    let early = alice.frame(b"hello", None);

    bob.read(2, Item::Frame(early));

    assert_eq!((bob.core.row.standing, bob.core.row.cursor), (Standing::Member, 2));
}

#[test]
fn what_was_on_its_way_when_a_group_gave_way_is_known_by_its_frame_in_the_next() {
    let mut alice = Party::creator("alice");
    say(&mut alice, b"hello");
    let frame = alice.disk.outbox.values().next().expect("a row").frame.clone();

    let (mut changes, row) = (Vec::new(), alice.core.row.clone());
    alice.core.give_way(row, &mut changes);
    alice.disk.write(changes);

    let row = alice.disk.outbox.values().next().expect("a row").clone();
    assert_eq!((row.kind, row.earlier), (OutKind::Draft, crate::chance::sha256(&frame).to_vec()));
}

#[test]
fn a_commit_that_was_on_its_way_when_the_process_ended_is_applied_where_the_log_has_it() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    bob.core.wish(Wish::Rotate, None).expect("a member");
    let n = bob.advance().expect("a commit");
    let commit = bob.disk.outbox[&n].frame.clone();

    let mut bob = bob.restart();
    bob.connect(2);
    bob.read(2, Item::Frame(commit.clone()));
    alice.read(2, Item::Frame(commit));

    let authenticator = |party: &Party| party.core.group.as_ref().expect("a member").authenticator().expect("32 bytes");
    assert_eq!((bob.core.epoch(), authenticator(&bob)), (2, authenticator(&alice)));
    assert!(bob.disk.outbox.is_empty(), "{:?}", bob.disk.outbox);
}
