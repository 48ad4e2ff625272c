//! Proofs of a new key, and forgeries of them.

use std::time::Duration;

use super::*;

const ADDRESS: &str = "toq://h/a";

fn key(byte: u8) -> Identity {
    Identity::from_seed(&[byte; 32])
}

fn now() -> Timestamp {
    Timestamp::from_nanos(1_800_000_000_000_000_000)
}

fn week() -> Timestamp {
    now().plus(Duration::from_secs(7 * 86_400))
}

fn proof(old: u8, new: u8, counter: u64) -> RotationProof {
    RotationProof::issue(&key(old), &key(new), ADDRESS, counter, week())
}

/// What a peer that knows the key 1 makes of these proofs of the key `new`.
fn news(known: &Successions, proofs: &[RotationProof], new: u8) -> Result<usize, RotationError> {
    let knows = |old: &PeerKey| *old == key(1).public() || known.by_new.contains_key(old);
    known.news(proofs, &key(new).public(), ADDRESS, knows, now()).map(|news| news.len())
}

fn after(proofs: &[RotationProof]) -> Successions {
    let mut known = Successions::default();
    for proof in proofs {
        known.add(proof.old, Succession { new: proof.new, counter: proof.counter, retires_at: proof.expires_at });
    }
    known
}

#[test]
fn a_proof_survives_its_json_and_any_change_breaks_it() {
    let proof = proof(1, 2, 1);
    let json = proof.to_json();
    assert_eq!(RotationProof::from_json(&json).as_ref(), Some(&proof));
    assert_eq!(proof.verify(ADDRESS, now()), Ok(()));

    let mut changed = vec![proof.clone(); 5];
    changed[0].counter = 2;
    changed[1].address = "toq://h/b".to_owned();
    changed[2].expires_at = week().plus(Duration::from_secs(1));
    changed[3].new = key(3).public();
    changed[4].old = key(3).public();
    for proof in changed {
        assert_eq!(proof.verify(&proof.address, now()), Err(RotationError::Signature), "{proof:?}");
    }
}

#[test]
fn nobody_takes_a_key_that_is_not_his_for_his_successor() {
    let (thief, victim) = (key(1), key(2));
    let mut stolen = RotationProof::issue(&thief, &key(3), ADDRESS, 1, week());
    stolen.new = victim.public();
    let bytes = signed(&thief.public(), &victim.public(), ADDRESS, 1, week());
    (stolen.by_old, stolen.by_new) = (thief.sign(&bytes), thief.sign(&bytes));

    assert_eq!(stolen.verify(ADDRESS, now()), Err(RotationError::Signature));
}

#[test]
fn a_proof_ends_and_is_for_one_address() {
    assert_eq!(proof(1, 2, 1).verify(ADDRESS, week()), Err(RotationError::Expired));
    assert_eq!(proof(1, 2, 1).verify("toq://h/other", now()), Err(RotationError::OtherAddress));
}

#[test]
fn a_peer_that_was_away_for_two_rotations_follows_both_and_a_gap_is_a_stranger() {
    let known = Successions::default();

    assert_eq!(news(&known, &[proof(1, 2, 1), proof(2, 3, 5)], 3), Ok(2));
    assert_eq!(news(&known, &[proof(2, 3, 5), proof(1, 2, 1)], 3), Ok(2), "in any order");
    assert_eq!(news(&known, &[proof(2, 3, 5)], 3), Ok(0), "nothing leads from what is known");
    assert_eq!(news(&after(&[proof(1, 2, 1)]), &[proof(1, 2, 1), proof(2, 3, 5)], 3), Ok(1));
}

#[test]
fn a_replay_changes_nothing() {
    assert_eq!(news(&after(&[proof(1, 2, 1)]), &[proof(1, 2, 1)], 2), Ok(0));
}

#[test]
fn a_second_rotation_by_the_same_old_key_is_refused() {
    assert_eq!(news(&after(&[proof(1, 2, 1)]), &[proof(1, 3, 2)], 3), Err(RotationError::Competing));
    assert_eq!(news(&after(&[proof(1, 2, 1)]), &[proof(1, 2, 2)], 2), Err(RotationError::Competing));
}

#[test]
fn a_counter_that_does_not_grow_and_a_way_back_are_refused() {
    let known = after(&[proof(1, 2, 5)]);

    assert_eq!(news(&known, &[proof(2, 3, 5)], 3), Err(RotationError::Rollback));
    assert_eq!(news(&known, &[proof(2, 3, 4)], 3), Err(RotationError::Rollback));
    assert_eq!(news(&known, &[proof(2, 1, 6)], 1), Err(RotationError::Rollback));
    assert_eq!(news(&Successions::default(), &[proof(1, 2, 0)], 2), Err(RotationError::Rollback));
}

#[test]
fn an_old_key_is_refused_when_its_grace_is_over() {
    let known = after(&[proof(1, 2, 1)]);

    assert!(!known.is_retired(&key(1).public(), now()));
    assert!(known.is_retired(&key(1).public(), week()));
    assert!(!known.is_retired(&key(2).public(), week()));
}

#[test]
fn the_dialling_side_follows_a_chain_from_the_pinned_key() {
    let proofs = [proof(1, 2, 1), proof(2, 3, 2)];
    let leads = |known: u8, met: u8, at: Timestamp| leads(&proofs, &key(known).public(), &key(met).public(), ADDRESS, at);

    assert!(leads(1, 3, now()) && leads(2, 3, now()) && leads(1, 2, now()));
    assert!(!leads(3, 1, now()) && !leads(4, 3, now()) && !leads(1, 3, week()));
}
