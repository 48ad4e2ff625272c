//! What the vault promises about a change of the identity key.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use toq_protocol::key::PeerKey;
use toq_protocol::time::Timestamp;
use toq_vault::{Keys, Rotation, forget_previous, read_seed, rotations};

const GRACE: Duration = Duration::from_secs(7 * 86_400);

fn now() -> Timestamp {
    Timestamp::from_nanos(1_800_000_000_000_000_000)
}

fn keys() -> (TempDir, PathBuf, PeerKey) {
    let dir = TempDir::new().expect("a directory");
    let keys = dir.path().join("keys");
    let key = Keys::open(&keys).expect("makes").identity.public();
    (dir, keys, key)
}

fn current(keys: &std::path::Path) -> PeerKey {
    Keys::open(keys).expect("opens").identity.public()
}

fn rotate(keys: &std::path::Path, at: Timestamp) -> toq_vault::Rotated {
    let rotation = Rotation::prepare(keys, "toq://h/a", at, GRACE).expect("prepares");
    rotation.keep().expect("keeps");
    rotation.record().expect("records");
    rotation.commit().expect("commits")
}

#[test]
fn stopped_before_the_last_step_the_old_key_is_in_charge_and_shows_no_proof() {
    for steps in 0..3 {
        let (_dir, keys, old) = keys();
        let rotation = Rotation::prepare(&keys, "toq://h/a", now(), GRACE).expect("prepares");
        if steps > 0 {
            rotation.keep().expect("keeps");
        }
        if steps > 1 {
            rotation.record().expect("records");
        }
        drop(rotation);

        assert_eq!(current(&keys), old, "{steps}");
        assert!(rotations(&keys, &old, now()).expect("reads").is_empty(), "{steps}");
        let next = rotate(&keys, now());
        assert_eq!(next.proofs.iter().map(|proof| proof.old).collect::<Vec<_>>(), [old], "{steps}");
    }
}

#[test]
fn after_it_the_new_key_is_in_charge_and_the_old_one_is_kept_for_its_grace() {
    let (_dir, keys, old) = keys();

    let rotated = rotate(&keys, now());

    let new = rotated.identity.public();
    assert_eq!(current(&keys), new);
    assert_eq!(rotated.proofs[0].verify("toq://h/a", now()), Ok(()));
    assert!(old.verifies(new.as_bytes(), rotated.proofs[0].published()));
    let previous = keys.join("identity.key.previous");
    assert_eq!(std::fs::metadata(&previous).expect("kept").permissions().mode() & 0o777, 0o600);
    let seed = read_seed(&previous).expect("reads").expect("kept");
    assert_eq!(toq_protocol::key::Identity::from_seed(&seed).public(), old);

    forget_previous(&keys, now()).expect("looks");
    assert!(previous.exists());
    forget_previous(&keys, now().plus(GRACE)).expect("looks");
    assert!(!previous.exists());
    assert!(rotations(&keys, &new, now().plus(GRACE)).expect("reads").is_empty(), "an expired proof is not shown");
}

#[test]
fn counters_grow_over_expired_proofs_and_chains_keep_their_order() {
    let (_dir, keys, first) = keys();
    let second = rotate(&keys, now());
    let third = rotate(&keys, now().plus(Duration::from_secs(1)));
    assert_eq!(
        third.proofs.iter().map(|proof| (proof.old, proof.counter)).collect::<Vec<_>>(),
        [(first, 1), (second.identity.public(), 2)]
    );

    let later = rotate(&keys, now().plus(GRACE + GRACE));
    assert_eq!(later.proofs.iter().map(|proof| proof.counter).collect::<Vec<_>>(), [3]);
}
