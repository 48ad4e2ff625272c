//! Rows that say nothing without the workspace key.
//!
//! A sealed value is `salt (16) ‖ counter (8, big-endian) ‖ AES-256-GCM(value) ‖ tag (16)`. Each opening of a file draws a salt;
//! `HMAC-SHA256(workspace key, salt)` is the key of all that is sealed until the file is closed, and the counter is the
//! nonce. So no nonce repeats under one key, however many rows are written, and even where two copies of a directory go on
//! separately. The place of a row (table and key) is authenticated with it: a row that was moved does not open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::error::StoreError;

const SALT: usize = 16;
const COUNTER: usize = 8;

/// How many salts are remembered with their keys. One is added by each opening of the file.
const MAX_SALTS: usize = 64;

/// The key under which everything of a workspace is kept.
pub struct WorkspaceKey(Zeroizing<[u8; 32]>);

impl WorkspaceKey {
    /// Takes 32 secret random bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for WorkspaceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkspaceKey")
    }
}

/// Seals and opens the rows of one open file.
pub(super) struct Seal {
    root: hmac::Key,
    salt: [u8; SALT],
    key: LessSafeKey,
    counter: AtomicU64,
    earlier: Mutex<HashMap<[u8; SALT], LessSafeKey>>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// Draws the salt of this opening.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub(super) fn new(key: &WorkspaceKey) -> Result<Self, StoreError> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| StoreError::Io("the system has no random bytes".to_owned()))?;
        Ok(Self::with_salt(key, salt))
    }

    pub(super) fn with_salt(key: &WorkspaceKey, salt: [u8; SALT]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, key.0.as_slice());
        let key = derive(&root, salt);
        Self { root, salt, key, counter: AtomicU64::new(0), earlier: Mutex::new(HashMap::new()) }
    }

    /// Seals a value for its place.
    pub(super) fn seal(&self, place: &[u8], value: &[u8]) -> Vec<u8> {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut sealed = Vec::with_capacity(SALT + COUNTER + value.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&self.salt);
        sealed.extend_from_slice(&counter);
        sealed.extend_from_slice(value);
        let body = &mut sealed[SALT + COUNTER..];
        let tag = self.key.seal_in_place_separate_tag(nonce(counter), Aad::from(place), body).expect("a row is smaller than 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what was sealed for this place; `None` where it was not, or not with this key.
    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, rest) = sealed.split_first_chunk::<SALT>()?;
        let (counter, body) = rest.split_first_chunk::<COUNTER>()?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = if *salt == self.salt {
            self.key.open_in_place(nonce(*counter), Aad::from(place), &mut body).ok()?.len()
        } else {
            let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
            if earlier.len() >= MAX_SALTS && !earlier.contains_key(salt) {
                earlier.clear();
            }
            let key = earlier.entry(*salt).or_insert_with(|| derive(&self.root, *salt));
            key.open_in_place(nonce(*counter), Aad::from(place), &mut body).ok()?.len()
        };
        body.truncate(length);
        Some(body)
    }
}

fn derive(root: &hmac::Key, salt: [u8; SALT]) -> LessSafeKey {
    let key = hmac::sign(root, &salt);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a SHA-256 is a key of AES-256"))
}

fn nonce(counter: [u8; COUNTER]) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - COUNTER..].copy_from_slice(&counter);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> WorkspaceKey {
        WorkspaceKey::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_after_another_opening() {
        let sealed = Seal::new(&key(1)).expect("random").seal(b"here", b"secret");
        let later = Seal::new(&key(1)).expect("random");

        assert_eq!(later.open(b"here", &sealed).as_deref().map(Vec::as_slice), Some(&b"secret"[..]));
    }

    #[test]
    fn nothing_opens_elsewhere_changed_shortened_or_under_another_key() {
        let seal = Seal::new(&key(1)).expect("random");
        let sealed = seal.seal(b"here", b"secret");
        let mut changed = sealed.clone();
        changed[30] ^= 1;

        assert!(seal.open(b"there", &sealed).is_none());
        assert!(seal.open(b"here", &changed).is_none());
        assert!((0..sealed.len()).all(|length| seal.open(b"here", &sealed[..length]).is_none()));
        assert!(Seal::new(&key(2)).expect("random").open(b"here", &sealed).is_none());
    }

    #[test]
    fn one_value_is_never_sealed_to_the_same_bytes() {
        let seal = Seal::with_salt(&key(1), [7; 16]);

        assert_ne!(seal.seal(b"here", b"secret"), seal.seal(b"here", b"secret"));
    }
}
