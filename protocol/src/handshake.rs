//! The handshake: two bare JSON objects, one each way, after the four magic bytes.
//!
//! Each side signs only its own random challenge. That proves possession of a key at some time and
//! nothing else: neither freshness, nor the peer it was made for, nor the TLS channel. It is what
//! published peers do, so it is what we do; but nothing is granted for a handshake. Authority begins
//! with the first envelope of the session that is signed, fresh and addressed to us (see
//! [`crate::session`]), and a challenge is accepted once.
//!
//! An agent that has changed its key shows here how it came to the new one: `rotation_proof` in the published form,
//! and `rotations`, our own proofs (see [`crate::rotation`]).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::address::{Address, AddressError};
use crate::key::{Identity, KeyError, PeerKey, Signature};
use crate::rotation::RotationProof;

/// What an initiator sends first: `TOQ` and the number of the framing.
pub const MAGIC: [u8; 4] = *b"TOQ\x01";

/// Why a handshake message is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The address does not parse.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The challenge is not base64.
    #[error("challenge is not base64")]
    Challenge,
    /// The key or the signature is malformed.
    #[error("malformed key or signature: {0}")]
    Key(#[from] KeyError),
    /// The frame is not the JSON object that the protocol describes.
    #[error("malformed handshake: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The other side refused in words.
    #[error("{0}")]
    Refused(String),
    /// The signature is not the key's over the challenge.
    #[error("challenge signature does not verify")]
    Signature,
}

/// What one side has shown of itself: a key that it held, an address that it claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The key that signed the challenge.
    pub key: PeerKey,
    /// The challenge that was signed, as raw bytes.
    pub challenge: Vec<u8>,
    /// The address that the side claims.
    pub address: Address,
    /// The agent that an initiator wants to reach.
    pub target_agent: Option<String>,
    /// The session id that a receiver chose.
    pub session_id: Option<String>,
    /// How it came to its key, where it says so; nothing of it is verified.
    pub rotations: Vec<RotationProof>,
}

/// What a side shows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Showing<'a> {
    /// Its key.
    pub identity: &'a Identity,
    /// The challenge that it signs.
    pub challenge: &'a [u8; 32],
    /// The address that it claims.
    pub address: &'a Address,
    /// How it came to its key, oldest first.
    pub rotations: &'a [RotationProof],
}

impl Showing<'_> {
    fn wire(&self) -> Wire {
        let last = self.rotations.last().map(|proof| proof.published().to_string());
        Wire {
            public_key: self.identity.public().to_string(),
            challenge: STANDARD.encode(self.challenge),
            challenge_signature: self.identity.sign(self.challenge).to_string(),
            address: self.address.wire(),
            protocol_version: None,
            session_id: None,
            rotation_proof: last.map(serde_json::Value::from),
            rotations: (!self.rotations.is_empty()).then(|| self.rotations.iter().map(RotationProof::to_json).collect()),
            target_agent: None,
        }
    }
}

impl Credentials {
    /// The digest under which this challenge is remembered, so that it is accepted once: SHA-256 over the
    /// key and the challenge.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new().chain_update(self.key.as_bytes()).chain_update(&self.challenge).finalize().into()
    }
}

/// The initiator's message.
#[must_use]
pub fn hello(shown: Showing<'_>, target_agent: &str) -> Vec<u8> {
    let message =
        Wire { protocol_version: Some(crate::envelope::VERSION.to_owned()), target_agent: Some(target_agent.to_owned()), ..shown.wire() };
    serde_json::to_vec(&message).expect("strings always serialise")
}

/// The receiver's answer.
#[must_use]
pub fn reply(shown: Showing<'_>, session_id: &str) -> Vec<u8> {
    let message = Wire { session_id: Some(session_id.to_owned()), ..shown.wire() };
    serde_json::to_vec(&message).expect("strings always serialise")
}

/// The only refusal that has words: nobody here has the wanted name.
#[must_use]
pub fn no_such_agent(wanted: &str, own: &str) -> Vec<u8> {
    let text = format!("agent '{wanted}' not found on this endpoint (this is '{own}')");
    serde_json::to_vec(&Refusal { error: text }).expect("strings always serialise")
}

/// Parses and checks an initiator's message.
///
/// # Errors
/// [`HandshakeError`] names what is wrong; the peer is told nothing.
pub fn parse_hello(payload: &[u8]) -> Result<Credentials, HandshakeError> {
    check(serde_json::from_slice(payload)?, Side::Initiator)
}

/// Parses and checks a receiver's answer.
///
/// # Errors
/// [`HandshakeError::Refused`] with the receiver's words, else what is wrong with the answer.
pub fn parse_reply(payload: &[u8]) -> Result<Credentials, HandshakeError> {
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(payload) {
        return Err(HandshakeError::Refused(refusal.error));
    }
    check(serde_json::from_slice(payload)?, Side::Receiver)
}

enum Side {
    Initiator,
    Receiver,
}

fn check(wire: Wire, side: Side) -> Result<Credentials, HandshakeError> {
    let missing = |name| HandshakeError::Malformed(serde::de::Error::missing_field(name));
    match side {
        Side::Initiator if wire.protocol_version.is_none() => return Err(missing("protocol_version")),
        Side::Receiver if wire.session_id.is_none() => return Err(missing("session_id")),
        Side::Initiator | Side::Receiver => {}
    }
    let key = PeerKey::parse(&wire.public_key)?;
    let challenge = STANDARD.decode(&wire.challenge).map_err(|_| HandshakeError::Challenge)?;
    let signature = Signature::parse(&wire.challenge_signature)?;
    if !key.verifies(&challenge, &signature) {
        return Err(HandshakeError::Signature);
    }
    let address = Address::parse(&wire.address)?;
    let rotations = RotationProof::list_from_json(wire.rotations.as_ref());
    Ok(Credentials { key, challenge, address, target_agent: wire.target_agent, session_id: wire.session_id, rotations })
}

#[derive(Serialize, Deserialize)]
struct Wire {
    public_key: String,
    challenge: String,
    challenge_signature: String,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(default)]
    rotation_proof: Option<serde_json::Value>,
    /// Ours alone; published peers ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotations: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_agent: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Refusal {
    error: String,
}
