//! `system.key_rotation`: an agent tells a peer, in a session under its old key, which key comes.
//!
//! The published body is `{"new_public_key", "rotation_proof"}`. The proof in it is the old key's word alone, so that
//! anybody could name somebody else's key as his next one, and have blocks and approvals of his go over to it. Ours
//! adds `rotations`, the proofs that both keys have signed, and is believed at once. A bare word is only kept: it is
//! believed when the key that it names comes by itself, from the address that the old one had.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::{RotationError, RotationProof, leads};
use crate::canonical::Json;
use crate::key::{PeerKey, Signature};
use crate::time::Timestamp;

/// How many words are kept. Whoever has given one has been let in before.
const MAX_PROMISES: usize = 1024;

/// What an agent says of its next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The key that comes.
    pub new: PeerKey,
    /// The old key's signature over it, in the published form.
    pub published: Signature,
    /// Our own proofs, oldest first; empty where the peer has none.
    pub proofs: Vec<RotationProof>,
}

/// What a notice is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Both keys have signed.
    Proven,
    /// The old key alone has.
    Promised,
}

impl Notice {
    /// The notice of the last of these proofs; `None` where there is none.
    #[must_use]
    pub fn of(proofs: &[RotationProof]) -> Option<Self> {
        let last = proofs.last()?;
        Some(Self { new: last.new, published: *last.published(), proofs: proofs.to_vec() })
    }

    /// The body of the envelope.
    #[must_use]
    pub fn to_body(&self) -> Json {
        let proofs: Vec<_> = self.proofs.iter().map(RotationProof::to_json).collect();
        let body = json!({
            "new_public_key": self.new.to_string(), "rotation_proof": self.published.to_string(), "rotations": proofs,
        });
        Json::from_value(&body)
    }

    /// Reads the body of an envelope; `None` where it is no notice. Nothing is verified.
    #[must_use]
    pub fn from_body(body: Option<&Json>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            new_public_key: String,
            rotation_proof: String,
            rotations: Option<serde_json::Value>,
        }
        let body: Body = serde_json::from_str(body?.as_str()).ok()?;
        Some(Self {
            new: PeerKey::parse(&body.new_public_key).ok()?,
            published: Signature::parse(&body.rotation_proof).ok()?,
            proofs: RotationProof::list_from_json(body.rotations.as_ref()),
        })
    }

    /// Checks what it proves, said by the agent with the key `old` at `address`.
    ///
    /// # Errors
    /// [`RotationError`] where a signature does not verify, the key is no other one, or the proofs do not lead to it.
    pub fn verify(&self, old: &PeerKey, address: &str, now: Timestamp) -> Result<Worth, RotationError> {
        if self.new == *old {
            return Err(RotationError::Rollback);
        }
        if !self.proofs.is_empty() {
            return if leads(&self.proofs, old, &self.new, address, now) { Ok(Worth::Proven) } else { Err(RotationError::Signature) };
        }
        if old.verifies(self.new.as_bytes(), &self.published) { Ok(Worth::Promised) } else { Err(RotationError::Signature) }
    }
}

/// A word that was given and not yet kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Who gave it.
    pub old: PeerKey,
    /// From which address.
    pub address: String,
    /// Until when it may be kept, and the old key is good afterwards.
    pub until: Timestamp,
}

/// Every word that was given and not yet kept, by the key that it names.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    by_new: HashMap<PeerKey, Promise>,
}

impl Promises {
    /// Keeps a word.
    ///
    /// # Errors
    /// [`RotationError::Competing`] where the old key has named another one, somebody else has named this one, or there are
    /// too many.
    pub fn add(&mut self, new: PeerKey, promise: Promise, now: Timestamp) -> Result<(), RotationError> {
        self.by_new.retain(|_, kept| now < kept.until);
        let is_other = |(key, kept): (&PeerKey, &Promise)| (kept.old == promise.old) != (*key == new);
        if self.by_new.len() >= MAX_PROMISES || self.by_new.iter().any(is_other) {
            return Err(RotationError::Competing);
        }
        self.by_new.insert(new, promise);
        Ok(())
    }

    /// True where somebody has named this key.
    #[must_use]
    pub fn has(&self, new: &PeerKey) -> bool {
        self.by_new.contains_key(new)
    }

    /// Takes the word that names this key, if it comes from the same address and in time.
    pub fn redeem(&mut self, new: &PeerKey, address: &str, now: Timestamp) -> Option<Promise> {
        let is_kept = self.by_new.get(new).is_some_and(|promise| promise.address == address && now < promise.until);
        if is_kept { self.by_new.remove(new) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::key::Identity;
    use crate::rotation::published_proof;

    const ADDRESS: &str = "toq://h/a";

    fn key(byte: u8) -> Identity {
        Identity::from_seed(&[byte; 32])
    }

    fn now() -> Timestamp {
        Timestamp::from_nanos(1_800_000_000_000_000_000)
    }

    fn hour() -> Timestamp {
        now().plus(Duration::from_secs(3600))
    }

    fn bare(old: u8, new: u8) -> Notice {
        Notice { new: key(new).public(), published: published_proof(&key(old), &key(new).public()), proofs: Vec::new() }
    }

    #[test]
    fn a_notice_survives_its_body_and_the_published_form_is_read() {
        let proof = RotationProof::issue(&key(1), &key(2), ADDRESS, 1, hour());
        let notice = Notice::of(&[proof]).expect("one proof");
        assert_eq!(Notice::from_body(Some(&notice.to_body())).as_ref(), Some(&notice));
        assert_eq!(notice.verify(&key(1).public(), ADDRESS, now()), Ok(Worth::Proven));

        let bare = bare(1, 2);
        let body = json!({"new_public_key": bare.new.to_string(), "rotation_proof": bare.published.to_string()});
        assert_eq!(Notice::from_body(Some(&Json::from_value(&body))).as_ref(), Some(&bare));
        assert_eq!(bare.verify(&key(1).public(), ADDRESS, now()), Ok(Worth::Promised));
        assert_eq!(Notice::from_body(None), None);
    }

    #[test]
    fn what_does_not_lead_from_the_key_of_the_session_is_refused() {
        let proof = RotationProof::issue(&key(1), &key(2), ADDRESS, 1, hour());
        let notice = Notice::of(&[proof]).expect("one proof");

        assert_eq!(notice.verify(&key(3).public(), ADDRESS, now()), Err(RotationError::Signature));
        assert_eq!(notice.verify(&key(1).public(), "toq://h/b", now()), Err(RotationError::Signature));
        assert_eq!(notice.verify(&key(1).public(), ADDRESS, hour()), Err(RotationError::Signature));
        assert_eq!(bare(1, 2).verify(&key(3).public(), ADDRESS, now()), Err(RotationError::Signature));
        assert_eq!(bare(1, 1).verify(&key(1).public(), ADDRESS, now()), Err(RotationError::Rollback));
    }

    #[test]
    fn a_word_is_kept_by_the_key_that_it_names_from_the_same_address_once_and_in_time() {
        let (one, two, three) = (key(1).public(), key(2).public(), key(3).public());
        let promise = || Promise { old: one, address: ADDRESS.to_owned(), until: hour() };
        let mut promises = Promises::default();

        assert_eq!(promises.add(two, promise(), now()), Ok(()));
        assert_eq!(promises.add(two, promise(), now()), Ok(()), "said twice");
        assert_eq!(promises.add(three, promise(), now()), Err(RotationError::Competing), "another key");
        let thief = Promise { old: three, ..promise() };
        assert_eq!(promises.add(two, thief, now()), Err(RotationError::Competing), "somebody else's key");

        assert_eq!(promises.redeem(&two, "toq://h/b", now()), None);
        assert_eq!(promises.redeem(&two, ADDRESS, hour()), None);
        assert_eq!(promises.redeem(&two, ADDRESS, now()), Some(promise()));
        assert_eq!(promises.redeem(&two, ADDRESS, now()), None);
    }
}
