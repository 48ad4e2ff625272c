//! Ed25519 identities: public keys, signatures and the key that makes them.
//!
//! Verification is strict (RFC 8032 with small-order keys and non-canonical signatures refused), which
//! every honest signer satisfies; the published daemon accepts more than we do, never less.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::Digest as _;

/// Why a text is not a key or a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text after `ed25519:` is not padded base64 of the right number of bytes.
    #[error("not padded base64 of {0} bytes")]
    Encoding(usize),
    /// The bytes are no point of the curve.
    #[error("not an ed25519 public key")]
    Point,
    /// The text does not begin with `ed25519:`.
    #[error("must start with ed25519:")]
    Prefix,
}

const PREFIX: &str = "ed25519:";

fn decode<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let encoded = text.strip_prefix(PREFIX).ok_or(KeyError::Prefix)?;
    if encoded.len() != N.div_ceil(3) * 4 {
        return Err(KeyError::Encoding(N));
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Encoding(N))?;
    bytes.try_into().map_err(|_| KeyError::Encoding(N))
}

/// An agent's public key: the name by which peers are known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey([u8; 32]);

impl PeerKey {
    /// Parses `ed25519:` followed by padded base64 of the 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = decode::<32>(text)?;
        VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Point)?;
        Ok(Self(bytes))
    }

    /// Parses padded base64 of the 32 bytes without `ed25519:` before it, as it stands in DNS.
    ///
    /// # Errors
    /// [`KeyError`] says which part is wrong.
    pub fn parse_bare(text: &str) -> Result<Self, KeyError> {
        Self::parse(&format!("{PREFIX}{text}"))
    }

    /// Takes 32 raw bytes for a key, without asking whether they are a point of the curve.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key as it stands in DNS: base64 without `ed25519:` before it.
    #[must_use]
    pub fn bare(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The first characters of the key, for logs.
    #[must_use]
    pub fn short(&self) -> String {
        STANDARD.encode(self.0).chars().take(8).collect()
    }

    /// The key in six words that two people can compare by telephone: the first 66 bits of its SHA-256, as words
    /// of the BIP 39 list. Enough to find a swapped key, not enough to name one.
    #[must_use]
    pub fn words(&self) -> String {
        let digest = sha2::Sha256::digest(self.0);
        let word = |index: usize| {
            let bit = |at: usize| digest.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
            let number = (index * 11..index * 11 + 11).fold(0, |number, at| number << 1 | bit(at));
            bip39::Language::English.word_list().get(number).copied().unwrap_or_default()
        };
        (0..6).map(word).collect::<Vec<_>>().join(" ")
    }

    /// The key in short hexadecimal: its first eight bytes in groups of two.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let groups: Vec<String> = self.0.chunks(2).take(4).map(|pair| pair.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        groups.join(" ")
    }

    /// True where `signature` is this key's over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerKey({}…)", self.short())
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Parses `ed25519:` followed by padded base64 of the 64 bytes.
    ///
    /// # Errors
    /// [`KeyError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        decode::<64>(text).map(Self)
    }

    /// Takes 64 raw bytes for a signature.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

/// A private key. It has no printable form and its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct Identity {
    signing: SigningKey,
    public: PeerKey,
}

impl Identity {
    /// Makes the identity of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = PeerKey(signing.verifying_key().to_bytes());
        Self { signing, public }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> PeerKey {
        self.public
    }

    /// The X25519 public key that belongs to this identity: the Montgomery form of the Ed25519 one.
    #[must_use]
    pub fn exchange_key(&self) -> [u8; 32] {
        self.signing.verifying_key().to_montgomery().to_bytes()
    }

    /// The X25519 secret shared with `peer`, of static keys on both sides (RFC 7748); `None` where `peer` is
    /// no point of the curve. The caller refuses a secret of zeros.
    pub(crate) fn shared_secret(&self, peer: &PeerKey) -> Option<[u8; 32]> {
        let point = VerifyingKey::from_bytes(&peer.0).ok()?.to_montgomery();
        let scalar = zeroize::Zeroizing::new(self.signing.to_scalar_bytes());
        Some(point.mul_clamped(*scalar).to_bytes())
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.signing.sign(message).to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}…)", self.public.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_in_six_words_and_sixteen_digits() {
        let key = PeerKey::from_bytes([0; 32]);

        assert_eq!(key.fingerprint(), "0000 0000 0000 0000");
        assert_eq!(key.words().split(' ').count(), 6);
        assert_ne!(key.words(), PeerKey::from_bytes([1; 32]).words());
        // SHA-256 of 32 zero bytes begins with 66 68 7a ad f8 62 bd 77 6c.
        let expected: Vec<_> = [0x66687aad_u64].iter().map(|head| (head >> 21) as usize).collect();
        assert_eq!(key.words().split(' ').next(), bip39::Language::English.word_list().get(expected[0]).copied());
    }
}
