//! Bodies that only their recipient can read, as the published library builds them: a static X25519 key on
//! either side, made from the Ed25519 identities, and AES-256-GCM with the shared secret itself as the key.
//!
//! Published peers never negotiate it: they deliver a sealed body as the text that it looks like. So nobody
//! is sent one, and this is here for those who hold such bodies.
//!
//! What a reviewer should know: there is no ephemeral key, hence no forward secrecy; whoever learns either
//! identity reads everything that was ever sealed between the two. Both directions share one key, so a
//! nonce must never repeat between them. Nothing but the body is authenticated, so a sealed body can be
//! moved into another envelope; the envelope's signature is what ties it. The one thing done beyond the
//! published construction is to refuse a shared secret of zeros (RFC 7748, section 6.1), which a key of small
//! order would force. The nonce is an argument: it must be random and fresh.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::key::{Identity, PeerKey};

/// The length of a nonce, in bytes.
pub const NONCE: usize = 12;

/// Why a body cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The peer's key is no point, or one that lets anybody know the shared secret.
    #[error("the peer's key is not fit for sealing")]
    Key,
    /// Not base64, changed on the way, or sealed by or for somebody else.
    #[error("the body cannot be opened with these keys")]
    Unopened,
}

/// A sealed body in the form of an envelope: both members are padded base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBody {
    /// The member `e2e_nonce`: 12 bytes.
    pub nonce: String,
    /// The member `body`: ciphertext and tag.
    pub body: String,
}

impl SealedBody {
    /// Seals `plain` by `ours` for `peer`.
    ///
    /// # Errors
    /// [`SealError::Key`] where the peer's key is not fit for it.
    pub fn seal(ours: &Identity, peer: &PeerKey, nonce: [u8; NONCE], plain: &[u8]) -> Result<Self, SealError> {
        let mut bytes = plain.to_vec();
        let tag = Aad::empty();
        key(ours, peer)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), tag, &mut bytes).map_err(|_| SealError::Unopened)?;
        Ok(Self { nonce: STANDARD.encode(nonce), body: STANDARD.encode(bytes) })
    }

    /// Opens what `peer` sealed for `ours`, or `ours` for `peer`: the construction does not tell them apart.
    ///
    /// # Errors
    /// [`SealError`]; there is one answer to whatever is wrong with the body.
    pub fn open(&self, ours: &Identity, peer: &PeerKey) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE] = STANDARD.decode(&self.nonce).ok().and_then(|nonce| nonce.try_into().ok()).ok_or(SealError::Unopened)?;
        let mut bytes = STANDARD.decode(&self.body).map_err(|_| SealError::Unopened)?;
        let opened = key(ours, peer)?.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes);
        let length = opened.map_err(|_| SealError::Unopened)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

fn key(ours: &Identity, peer: &PeerKey) -> Result<LessSafeKey, SealError> {
    let shared = Zeroizing::new(ours.shared_secret(peer).ok_or(SealError::Key)?);
    if shared.iter().fold(0, |seen, byte| seen | byte) == 0 {
        return Err(SealError::Key);
    }
    let key = UnboundKey::new(&AES_256_GCM, shared.as_slice()).map_err(|_| SealError::Key)?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Identity, Identity) {
        (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]))
    }

    #[test]
    fn both_ends_open_what_either_sealed_and_nobody_else_does() {
        let (alice, bob) = pair();
        let sealed = SealedBody::seal(&alice, &bob.public(), [7; NONCE], b"between us").expect("sound keys");

        assert_eq!(sealed.open(&bob, &alice.public()).as_deref(), Ok(&b"between us"[..]));
        assert_eq!(sealed.open(&alice, &bob.public()).as_deref(), Ok(&b"between us"[..]));
        let carol = Identity::from_seed(&[3; 32]);
        assert_eq!(sealed.open(&carol, &alice.public()), Err(SealError::Unopened));
        assert_eq!(sealed.open(&bob, &carol.public()), Err(SealError::Unopened));
    }

    #[test]
    fn whatever_is_changed_has_the_same_answer() {
        let (alice, bob) = pair();
        let sealed = SealedBody::seal(&alice, &bob.public(), [7; NONCE], b"between us").expect("sound keys");
        let mut bytes = STANDARD.decode(&sealed.body).expect("base64");
        bytes[0] ^= 1;
        let cut = STANDARD.encode(&bytes[..15]);

        for body in [STANDARD.encode(&bytes), cut, "no base64!".to_owned(), String::new()] {
            assert_eq!(SealedBody { body, ..sealed.clone() }.open(&bob, &alice.public()), Err(SealError::Unopened));
        }
        for nonce in [STANDARD.encode([8; NONCE]), STANDARD.encode([7; 13]), String::new()] {
            assert_eq!(SealedBody { nonce, ..sealed.clone() }.open(&bob, &alice.public()), Err(SealError::Unopened));
        }
    }

    #[test]
    fn a_key_that_forces_a_shared_secret_of_zeros_is_refused() {
        let (alice, _) = pair();
        // The neutral element, and the point of order two: (0, 1) and (0, -1).
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut order_two = [0xff; 32];
        (order_two[0], order_two[31]) = (0xec, 0x7f);

        for point in [neutral, order_two] {
            let sealed = SealedBody::seal(&alice, &PeerKey::from_bytes(point), [7; NONCE], b"x");
            assert_eq!(sealed, Err(SealError::Key));
        }
        assert_eq!(SealedBody::seal(&alice, &PeerKey::from_bytes([2; 32]), [7; NONCE], b"x"), Err(SealError::Key));
    }
}
