//! A new key for an old agent: what the old key signs, and when a peer believes it.
//!
//! The published proof is the old key's signature over the 32 bytes of the new one. It says nothing about whose
//! agent it is, when, or which rotation: it can be repeated for ever, and a stolen old key makes as many of
//! them as it likes. So it is given to those who ask for it ([`published_proof`]) and never believed.
//!
//! A [`RotationProof`] is signed by both keys over both keys, the agent's address, a counter and an end. Both
//! sign, so that nobody declares a key that is not his the successor of his own. [`Successions`] remembers
//! what was believed: a key has one successor, a counter only grows, and a key that was succeeded never
//! succeeds. A thief of the old key who comes second is refused; one who comes first is noticed when
//! the owner's own proof is.

mod notice;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::key::{Identity, PeerKey, Signature};
use crate::time::Timestamp;

pub use notice::{Notice, Promise, Promises, Worth};

/// How many proofs are carried and looked at: rotations within one grace period.
pub const MAX_CHAIN: usize = 8;

/// What is signed begins with this, so that no signature for something else can be taken for it.
const DOMAIN: &[u8] = b"toq key rotation v1\0";

/// Why a proof is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The old key has been succeeded by another key.
    #[error("the old key has another successor already")]
    Competing,
    /// Its time is over.
    #[error("the proof has expired")]
    Expired,
    /// It was made for another address.
    #[error("the proof is for another address")]
    OtherAddress,
    /// It is older than one that was believed, or leads back to a key that was given up.
    #[error("the proof is older than what is known, or leads back to a key that was given up")]
    Rollback,
    /// A signature does not verify.
    #[error("a signature of the proof does not verify")]
    Signature,
}

/// The published proof: the old key over the bytes of the new one.
#[must_use]
pub fn published_proof(old: &Identity, new: &PeerKey) -> Signature {
    old.sign(new.as_bytes())
}

/// That one key follows another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationProof {
    /// The key that goes.
    pub old: PeerKey,
    /// The key that comes.
    pub new: PeerKey,
    /// The agent's address, as it claims it in sessions.
    pub address: String,
    /// Larger with every rotation of this agent.
    pub counter: u64,
    /// When it can be presented no more, and the old key is good for nothing.
    pub expires_at: Timestamp,
    published: Signature,
    by_old: Signature,
    by_new: Signature,
}

/// A proof in JSON.
#[derive(Serialize, Deserialize)]
struct Wire {
    old_public_key: String,
    new_public_key: String,
    address: String,
    counter: u64,
    expires_at: i64,
    rotation_proof: String,
    signature: String,
    successor_signature: String,
}

impl RotationProof {
    /// Signs that `new` follows `old`. The end is kept in whole seconds.
    #[must_use]
    pub fn issue(old: &Identity, new: &Identity, address: &str, counter: u64, expires_at: Timestamp) -> Self {
        let expires_at = whole_seconds(expires_at.as_secs());
        let bytes = signed(&old.public(), &new.public(), address, counter, expires_at);
        let (by_old, by_new) = (old.sign(&bytes), new.sign(&bytes));
        let published = published_proof(old, &new.public());
        Self { old: old.public(), new: new.public(), address: address.to_owned(), counter, expires_at, published, by_old, by_new }
    }

    /// The published proof of the same rotation.
    #[must_use]
    pub const fn published(&self) -> &Signature {
        &self.published
    }

    /// Checks both signatures, the address and the end.
    ///
    /// # Errors
    /// [`RotationError`] names what is wrong first.
    pub fn verify(&self, address: &str, now: Timestamp) -> Result<(), RotationError> {
        let bytes = signed(&self.old, &self.new, &self.address, self.counter, self.expires_at);
        if !self.old.verifies(&bytes, &self.by_old) || !self.new.verifies(&bytes, &self.by_new) {
            return Err(RotationError::Signature);
        }
        if self.address != address {
            return Err(RotationError::OtherAddress);
        }
        if now >= self.expires_at {
            return Err(RotationError::Expired);
        }
        Ok(())
    }

    /// The proof as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let wire = Wire {
            old_public_key: self.old.to_string(),
            new_public_key: self.new.to_string(),
            address: self.address.clone(),
            counter: self.counter,
            expires_at: self.expires_at.as_secs(),
            rotation_proof: self.published.to_string(),
            signature: self.by_old.to_string(),
            successor_signature: self.by_new.to_string(),
        };
        serde_json::to_value(wire).expect("strings and numbers always serialise")
    }

    /// Reads a proof; `None` where the value is none. Nothing is verified.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        let wire = Wire::deserialize(value).ok()?;
        Some(Self {
            old: PeerKey::parse(&wire.old_public_key).ok()?,
            new: PeerKey::parse(&wire.new_public_key).ok()?,
            address: wire.address,
            counter: wire.counter,
            expires_at: whole_seconds(wire.expires_at),
            published: Signature::parse(&wire.rotation_proof).ok()?,
            by_old: Signature::parse(&wire.signature).ok()?,
            by_new: Signature::parse(&wire.successor_signature).ok()?,
        })
    }

    /// Reads the list that credentials carry. What is no proof is left out, and so is what is too much.
    #[must_use]
    pub fn list_from_json(value: Option<&serde_json::Value>) -> Vec<Self> {
        let list = value.and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().take(MAX_CHAIN).filter_map(Self::from_json).collect()
    }
}

fn whole_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000))
}

/// The bytes that both keys sign: the domain, both keys, the length of the address (2 bytes, big-endian) and the
/// address, the counter and the end in seconds of Unix time (8 bytes each, big-endian).
fn signed(old: &PeerKey, new: &PeerKey, address: &str, counter: u64, expires_at: Timestamp) -> Vec<u8> {
    let length = u16::try_from(address.len()).unwrap_or(u16::MAX);
    let mut bytes = DOMAIN.to_vec();
    bytes.extend(old.as_bytes());
    bytes.extend(new.as_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(address.as_bytes());
    bytes.extend(counter.to_be_bytes());
    bytes.extend(expires_at.as_secs().to_be_bytes());
    bytes
}

/// The proofs that lead to `key`, oldest first.
#[must_use]
pub fn chain<'a>(proofs: &'a [RotationProof], key: &PeerKey) -> Vec<&'a RotationProof> {
    let mut chain: Vec<&RotationProof> = Vec::new();
    let mut end = *key;
    while chain.len() < MAX_CHAIN
        && let Some(proof) = proofs.iter().find(|proof| proof.new == end)
    {
        chain.push(proof);
        end = proof.old;
    }
    chain.reverse();
    chain
}

/// True where valid proofs lead from `known` to `key`.
#[must_use]
pub fn leads(proofs: &[RotationProof], known: &PeerKey, key: &PeerKey, address: &str, now: Timestamp) -> bool {
    let chain = chain(proofs, key);
    let start = chain.iter().position(|proof| proof.old == *known);
    start.is_some_and(|start| chain[start..].iter().all(|proof| proof.verify(address, now).is_ok()))
}

/// What followed a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The key that followed.
    pub new: PeerKey,
    /// Its counter.
    pub counter: u64,
    /// From when on the old key is refused.
    pub retires_at: Timestamp,
}

/// How far back the keys of one agent are followed.
const MAX_STEPS: usize = 8;

/// Every succession that was believed.
#[derive(Clone, Debug, Default)]
pub struct Successions {
    by_old: HashMap<PeerKey, Succession>,
    /// The key before each new one.
    by_new: HashMap<PeerKey, PeerKey>,
}

impl Successions {
    /// Remembers one.
    pub fn add(&mut self, old: PeerKey, succession: Succession) {
        self.by_new.insert(succession.new, old);
        self.by_old.insert(old, succession);
    }

    /// Forgets one that could not be stored.
    pub fn remove(&mut self, old: &PeerKey) {
        if let Some(succession) = self.by_old.remove(old) {
            self.by_new.remove(&succession.new);
        }
    }

    /// The key that this one followed.
    #[must_use]
    pub fn predecessor(&self, key: &PeerKey) -> Option<&PeerKey> {
        self.by_new.get(key)
    }

    /// True where `new` followed `old`, directly or over others.
    #[must_use]
    pub fn leads(&self, old: &PeerKey, new: &PeerKey) -> bool {
        let mut key = new;
        for _ in 0..MAX_STEPS {
            match self.by_new.get(key) {
                Some(before) if before == old => return true,
                Some(before) => key = before,
                None => return false,
            }
        }
        false
    }

    /// A key and those that it followed, newest first.
    pub fn lineage<'a>(&'a self, key: &'a PeerKey) -> impl Iterator<Item = &'a PeerKey> {
        std::iter::successors(Some(key), |key| self.by_new.get(*key)).take(MAX_STEPS + 1)
    }

    /// The key that an agent has now which once had this one: the last that followed it, or itself.
    #[must_use]
    pub fn latest(&self, key: &PeerKey) -> PeerKey {
        let next = |key: &PeerKey| self.by_old.get(key).map(|succession| succession.new);
        std::iter::successors(Some(*key), next).take(MAX_STEPS + 1).last().unwrap_or(*key)
    }

    /// A key and those that followed it, oldest first.
    pub fn heirs(&self, key: &PeerKey) -> impl Iterator<Item = PeerKey> {
        let next = |key: &PeerKey| self.by_old.get(key).map(|succession| succession.new);
        // Nobody gets out of sight by many rotations: the walk ends with the chain, and no row can make it a circle.
        std::iter::successors(Some(*key), next).take(self.by_old.len() + 1)
    }

    /// True where the key was followed by another.
    #[must_use]
    pub fn is_succeeded(&self, key: &PeerKey) -> bool {
        self.by_old.contains_key(key)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_old.len()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_old.is_empty()
    }

    /// True where the key was succeeded and its grace is over.
    #[must_use]
    pub fn is_retired(&self, key: &PeerKey, now: Timestamp) -> bool {
        self.by_old.get(key).is_some_and(|succession| now >= succession.retires_at)
    }

    /// What of the proofs of a peer with `key` at `address` is news and to be believed, oldest first; empty where
    /// they lead from no key that `knows` accepts, or where all of it is known.
    ///
    /// # Errors
    /// [`RotationError`]: one of the proofs that matter is not to be believed, and then none of them is.
    pub fn news(
        &self,
        proofs: &[RotationProof],
        key: &PeerKey,
        address: &str,
        knows: impl Fn(&PeerKey) -> bool,
        now: Timestamp,
    ) -> Result<Vec<RotationProof>, RotationError> {
        let chain = chain(proofs, key);
        let Some(start) = chain.iter().position(|proof| knows(&proof.old)) else { return Ok(Vec::new()) };
        let mut news = Vec::new();
        let mut last = chain.get(start).map_or(0, |proof| self.counter(&proof.old));
        for proof in &chain[start..] {
            match self.by_old.get(&proof.old) {
                Some(known) if known.new == proof.new && known.counter == proof.counter => {
                    last = known.counter;
                    continue;
                }
                Some(_) => return Err(RotationError::Competing),
                None => {}
            }
            proof.verify(address, now)?;
            if proof.counter <= last
                || self.by_old.contains_key(&proof.new)
                || self.by_new.contains_key(&proof.new)
                || proof.new == proof.old
            {
                return Err(RotationError::Rollback);
            }
            last = proof.counter;
            news.push((*proof).clone());
        }
        Ok(news)
    }

    /// What follows where the word of `old` alone is believed, until `until`: under the next counter.
    ///
    /// # Errors
    /// [`RotationError`] where one of the keys has been part of another rotation in this place.
    pub fn on_its_word(&self, old: &PeerKey, new: PeerKey, until: Timestamp) -> Result<Succession, RotationError> {
        if self.by_old.contains_key(old) {
            return Err(RotationError::Competing);
        }
        if self.by_old.contains_key(&new) || self.by_new.contains_key(&new) || *old == new {
            return Err(RotationError::Rollback);
        }
        Ok(Succession { new, counter: self.counter(old).saturating_add(1), retires_at: until })
    }

    /// The counter of the rotation that led to `key`; 0 where none did.
    fn counter(&self, key: &PeerKey) -> u64 {
        self.by_new.get(key).and_then(|old| self.by_old.get(old)).map_or(0, |succession| succession.counter)
    }
}

#[cfg(test)]
mod tests;
