//! What members want of each other, and in which order it is done.

use super::*;

#[test]
fn whoever_removes_a_member_does_not_remove_who_came_to_its_leaf_later() {
    let mut alice = Party::creator("alice");
    let bob = alice.add("bob", 1);
    let member = |core: &Core, leaf: usize| core.group.as_ref().expect("a member").members()[leaf].clone();
    let meant = member(&alice.core, 1);
    drop(bob);
    alice.core.wish(Wish::Remove(vec![(1, meant.signature_key.clone())]), None).expect("a member");
    let n = alice.advance().expect("a commit");
    alice.read(2, Item::Ours(n));
    let _later = alice.add("bob", 3);
    assert_eq!(member(&alice.core, 1).identity, meant.identity);

    let (reply, mut answer) = oneshot::channel();
    alice.core.wish(Wish::Remove(vec![(1, meant.signature_key)]), Some(reply)).expect("a member");

    assert!(alice.advance().is_none());
    assert!(answer.try_recv().expect("an answer").is_ok(), "who was meant is out");
    assert_eq!(alice.core.group.as_ref().expect("a member").members().len(), 2);
}

#[test]
fn what_was_said_before_leaving_is_said_before_leaving() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    bob.core.disconnected();
    let (_, step) = bob.core.say(b"farewell", None, Now::look()).expect("kept");
    bob.end(step);
    bob.core.wish(Wish::Leave, None).expect("a member");
    bob.connect(1);

    assert!(bob.advance().is_none(), "the draft goes first");
    let (after, most) = bob.core.next_drafts().expect("a draft");
    let drafts = bob.disk.outbox.range(after + 1..).take(most).map(|(n, row)| (*n, row.clone())).collect();
    bob.act(|core, step, now| core.encrypt_drafts(drafts, step, now));
    let step = bob.core.advance(Now::look());
    bob.end(step);
    let kinds: Vec<_> = bob.core.publishable(Now::look()).into_iter().map(|publication| publication.carriage).collect();

    assert_eq!(kinds, [toq_dataplane::extension::Carriage::Message, toq_dataplane::extension::Carriage::Proposal]);
}

#[test]
fn what_was_said_later_does_not_overtake_what_the_relay_wants_to_wait_for() {
    let mut alice = Party::creator("alice");
    let _bob = alice.add("bob", 1);
    let mut tags = Vec::new();
    for text in [b"one", b"two"] {
        let (_, step) = alice.core.say(text, None, Now::look()).expect("said");
        alice.end(step);
        tags.extend(alice.core.publishable(Now::look()).into_iter().map(|publication| publication.tag));
    }
    alice.act(|core, step, now| core.refused(tags[0], Refusal::OverQuota, "too fast", Duration::from_secs(5), step, now));
    alice.act(|core, step, now| core.refused(tags[1], Refusal::Unavailable, "too fast", Duration::ZERO, step, now));
    let mut later = Now::look();
    later.instant += Duration::from_secs(2);

    assert!(alice.core.publishable(later).is_empty());
    later.instant += Duration::from_secs(10);
    assert_eq!(alice.core.publishable(later).into_iter().map(|publication| publication.tag).collect::<Vec<_>>(), tags);
}

#[test]
fn who_lets_in_somebody_under_a_pinned_name_with_another_key_is_named() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    bob.core.pins = std::sync::Arc::new(HashMap::from([(b"carol".to_vec(), toq_protocol::key::PeerKey::from_bytes([7; 32]))]));

    let (_, commit) = alice.add_with_commit("carol", 2);
    bob.read(2, Item::Frame(commit));

    assert_eq!(bob.told, ["pin_broken", "member_added"]);
    assert!(!alice.told.contains(&"pin_broken".to_owned()));
}
