//! What waits has limits.

use super::*;

#[test]
fn a_channel_that_is_full_takes_nothing_more_until_half_was_read_and_then_misses_nothing() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    alice.core.limits.unread = 4 * weight(b"one", b"bob");
    let frames: Vec<_> = (0..6).map(|_| bob.frame(b"one", None)).collect();

    for (seq, frame) in (2..).zip(frames.iter().cloned()) {
        alice.read(seq, Item::Frame(frame));
    }
    assert_eq!((alice.heard.len(), alice.core.row.cursor), (4, 5));
    assert_eq!(alice.told.iter().filter(|kind| *kind == "inbox_full").count(), 1, "{:?}", alice.told);
    assert!(alice.core.is_unwanted() && !alice.core.is_unwanted(), "the relay is told once");
    let (_, step) = alice.core.say(b"kept", None, Now::look()).expect("kept");
    alice.end(step);
    assert!(alice.core.publishable(Now::look()).is_empty());

    alice.core.has_read(weight(b"one", b"bob"));
    assert!(!alice.core.resubscribe, "one was read, and it takes two");
    alice.core.has_read(2 * weight(b"one", b"bob"));
    assert!(alice.core.resubscribe);
    alice.connect(7);
    for (seq, frame) in (6..).zip(frames[4..].iter().cloned()) {
        alice.read(seq, Item::Frame(frame));
    }
    assert_eq!((alice.heard.len(), alice.core.row.cursor), (6, 7));
}

#[test]
fn what_waits_for_a_missing_entry_has_few_bytes_and_what_has_no_room_comes_when_it_is_asked_for() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let frames: Vec<_> = ["two", "three", "four"].iter().map(|text| bob.frame(text.as_bytes(), None)).collect();
    alice.core.limits.ahead = frames[1].len();

    for (seq, frame) in [(3, &frames[1]), (4, &frames[2]), (2, &frames[0])] {
        alice.read(seq, Item::Frame(frame.clone()));
    }
    assert_eq!(alice.heard, [b"two".to_vec(), b"three".to_vec()]);

    alice.wait_for_gaps();
    assert!(alice.core.resubscribe);
    alice.connect(4);
    alice.read(4, Item::Frame(frames[2].clone()));
    assert_eq!(alice.heard.len(), 3);
}

#[test]
fn what_waits_for_the_relay_has_no_more_bytes_than_may_and_neither_has_what_is_on_its_way() {
    let mut alice = Party::creator("alice");
    let _bob = alice.add("bob", 1);
    alice.core.limits.window = 1000;
    alice.core.limits.unsent = 10_000;
    let mut said = 0;
    let error = loop {
        match alice.core.say(&[0; 500], None, Now::look()) {
            Ok((_, step)) => alice.end(step),
            Err(error) => break error,
        }
        said += 1;
    };

    assert_eq!(error.kind(), crate::Kind::Quota);
    assert!((10..20).contains(&said), "frames have their messages beside them: {said}");
    assert_eq!(alice.core.publishable(Now::look()).len(), 1);
    assert!(alice.core.next_drafts().is_none(), "there is no room on the way");
    let mut alice = alice.restart();
    alice.connect(1);
    assert_eq!(alice.core.unsent(), said);
    assert!(alice.core.next_drafts().is_none());
    assert!(alice.core.say(&[0; 500], None, Now::look()).is_err(), "what was kept counts");
}

#[test]
fn welcomes_that_nobody_took_have_no_more_bytes_than_may_but_the_last_is_kept() {
    let mut alice = Party::creator("alice");
    for (seq, name) in [(1, "bob"), (2, "carol")] {
        drop(alice.add(name, seq));
    }
    assert_eq!(alice.core.welcomes.len(), 2);

    alice.core.limits.welcomes = 1;
    drop(alice.add("dave", 3));

    assert_eq!(alice.core.welcomes.keys().copied().collect::<Vec<_>>(), [3]);
}
