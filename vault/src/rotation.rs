//! A new identity key in the place of the old one.
//!
//! Three files change, and a crash between any two leaves the old key or the new one in charge: the old key is kept
//! as `identity.key.previous`, the proof is written to `rotations.json`, and then the new key is renamed over
//! `identity.key`, which is the decision. A proof that leads to another key than the one in charge is of a
//! rotation that never happened, and is left out when the file is read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::rotation::{MAX_CHAIN, RotationProof, chain};
use toq_protocol::time::Timestamp;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::identity::{Seed, read as read_seed, text};
use crate::private_file::{read_private, write_private};

const IDENTITY: &str = "identity.key";
const PREVIOUS: &str = "identity.key.previous";
/// The file of the agent's own rotations, in the directory of its keys.
pub const ROTATIONS: &str = "rotations.json";

/// What `rotations.json` holds.
#[derive(Default, Serialize, Deserialize)]
struct File {
    /// The counter of the last rotation, which outlives its proof.
    counter: u64,
    /// Proofs that may still be shown, oldest first.
    proofs: Vec<serde_json::Value>,
}

fn read(keys: &Path) -> Result<(u64, Vec<RotationProof>), VaultError> {
    let path = keys.join(ROTATIONS);
    let Some(content) = read_private(&path)? else { return Ok((0, Vec::new())) };
    let malformed = || VaultError::Malformed { path: path.clone(), expected: "a list of rotations" };
    let file: File = serde_json::from_slice(&content).map_err(|_| malformed())?;
    Ok((file.counter, parsed(&path, &file.proofs)?))
}

fn parsed(path: &Path, proofs: &[serde_json::Value]) -> Result<Vec<RotationProof>, VaultError> {
    let malformed = || VaultError::Malformed { path: path.to_owned(), expected: "a list of rotations" };
    proofs.iter().map(|proof| RotationProof::from_json(proof).ok_or_else(malformed)).collect()
}

/// The text of `rotations.json` for a workspace that takes over an agent with the file `coming`, while `keys` may have one of
/// its own: the proofs of the one that comes, and the larger counter, because peers refuse a counter that they have seen.
///
/// # Errors
/// [`VaultError`] where either is damaged or the one in `keys` is open to others.
pub fn adopt_rotations(keys: &Path, coming: &str) -> Result<String, VaultError> {
    let path = keys.join(ROTATIONS);
    let file: File =
        serde_json::from_str(coming).map_err(|_| VaultError::Malformed { path: path.clone(), expected: "a list of rotations" })?;
    let file = File { counter: file.counter.max(read(keys)?.0), ..file };
    parsed(&path, &file.proofs)?;
    Ok(serde_json::to_string_pretty(&file).expect("texts and numbers always serialise"))
}

/// The proofs that lead to `current` and may be shown at `now`, oldest first.
///
/// # Errors
/// [`VaultError`] where the file is open to others or damaged.
pub fn rotations(keys: &Path, current: &PeerKey, now: Timestamp) -> Result<Vec<RotationProof>, VaultError> {
    let (_, proofs) = read(keys)?;
    Ok(chain(&proofs, current).into_iter().filter(|proof| now < proof.expires_at).cloned().collect())
}

/// Whether a proof on file says that this key was replaced by another.
///
/// # Errors
/// [`VaultError`] where the file is open to others or damaged.
pub fn has_replaced(keys: &Path, key: &PeerKey) -> Result<bool, VaultError> {
    Ok(read(keys)?.1.iter().any(|proof| proof.old == *key))
}

/// Deletes the previous key if its grace is over.
///
/// # Errors
/// [`VaultError`] where a file cannot be read or deleted.
pub fn forget_previous(keys: &Path, now: Timestamp) -> Result<(), VaultError> {
    let path = keys.join(PREVIOUS);
    let Some(seed) = read_seed(&path)? else { return Ok(()) };
    let previous = Identity::from_seed(&seed).public();
    let (_, proofs) = read(keys)?;
    if proofs.iter().any(|proof| proof.old == previous && now < proof.expires_at) {
        return Ok(());
    }
    std::fs::remove_file(&path).map_err(|error| VaultError::file("delete", &path, error))
}

/// A rotation that has been prepared. Its steps are taken in the order of the methods.
pub struct Rotation {
    keys: PathBuf,
    old: Seed,
    new: Seed,
    file: File,
    proofs: Vec<RotationProof>,
}

/// A rotation that has happened.
#[derive(Debug)]
pub struct Rotated {
    /// The new key.
    pub identity: Identity,
    /// The proofs to show, oldest first; the last is the one of this rotation.
    pub proofs: Vec<RotationProof>,
}

impl Rotation {
    /// Makes a new key and the proof that it follows the one in `keys`. Nothing is written.
    ///
    /// # Errors
    /// [`VaultError`] where the key or the list of rotations cannot be read, or there are no random bytes.
    pub fn prepare(keys: &Path, address: &str, now: Timestamp, grace: Duration) -> Result<Self, VaultError> {
        let path = keys.join(IDENTITY);
        let old = read_seed(&path)?.ok_or(VaultError::Malformed { path, expected: "there" })?;
        let new = Zeroizing::new(crate::random::<32>()?);
        let (counter, proofs) = read(keys)?;
        let counter = counter + 1;
        let (leaving, coming) = (Identity::from_seed(&old), Identity::from_seed(&new));
        let mut shown: Vec<RotationProof> =
            chain(&proofs, &leaving.public()).into_iter().filter(|proof| now < proof.expires_at).cloned().collect();
        shown.push(RotationProof::issue(&leaving, &coming, address, counter, now.plus(grace)));
        // A peer that missed more rotations than this within one grace period meets a stranger.
        let proofs = shown.split_off(shown.len().saturating_sub(MAX_CHAIN));
        let file = File { counter, proofs: proofs.iter().map(RotationProof::to_json).collect() };
        Ok(Self { keys: keys.to_owned(), old, new, file, proofs })
    }

    /// Keeps the old key aside.
    ///
    /// # Errors
    /// [`VaultError::File`]; the old key stays in charge.
    pub fn keep(&self) -> Result<(), VaultError> {
        write_private(&self.keys.join(PREVIOUS), text(&self.old).as_bytes())
    }

    /// Writes the proof down.
    ///
    /// # Errors
    /// [`VaultError::File`]; the old key stays in charge.
    pub fn record(&self) -> Result<(), VaultError> {
        let content = serde_json::to_vec_pretty(&self.file).expect("texts and numbers always serialise");
        write_private(&self.keys.join(ROTATIONS), &content)
    }

    /// Puts the new key in charge.
    ///
    /// # Errors
    /// [`VaultError::File`]; the old key stays in charge.
    pub fn commit(self) -> Result<Rotated, VaultError> {
        write_private(&self.keys.join(IDENTITY), text(&self.new).as_bytes())?;
        Ok(Rotated { identity: Identity::from_seed(&self.new), proofs: self.proofs })
    }
}
