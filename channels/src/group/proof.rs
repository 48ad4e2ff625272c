//! That a member is the agent it says it is (threat H3).
//!
//! A basic credential is a name that anybody can write. A member with an agent key signs its MLS signature key with it, and the
//! signature stands in an extension of its leaf: the credential stays as published members expect it, and they pass over an
//! extension that the leaf's own capabilities announce (RFC 9420, section 7.2). The signature covers identity and signature key,
//! so it cannot be carried over to another leaf.

use mls_rs::ExtensionList;
use mls_rs::extension::ExtensionType;
use mls_rs::identity::SigningIdentity;
use mls_rs_core::extension::Extension;
use toq_protocol::key::{PeerKey, Signature};

/// The leaf extension with the proof, of the private-use range (RFC 9420, section 17.3).
pub(crate) const PROOF: ExtensionType = ExtensionType::new(0xF70A);

/// So that the signature can be taken for nothing else that an agent key signs.
const LABEL: &[u8] = b"toq channel member v1";

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The signature is not the key's over this agent's statement.
    #[error("the proof is not a signature of that agent key over this channel identity")]
    Signature,
}

/// An agent key and its signature over a [statement](statement).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) key: PeerKey,
    pub(crate) signature: Signature,
}

/// What an agent key signs: that this MLS signature key, under this identity, is its own.
pub(crate) fn statement(identity: &[u8], signature_key: &[u8]) -> Vec<u8> {
    // Lengths before both, so that bytes cannot wander from one to the other. Neither comes near 4 GiB.
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    [LABEL, &length(identity), identity, &length(signature_key), signature_key].concat()
}

impl Proof {
    /// Reads the proof of a leaf, without asking whether it is one.
    pub(crate) fn of(extensions: &ExtensionList) -> Option<Self> {
        let extension = extensions.iter().find(|extension| extension.extension_type == PROOF)?;
        Self::from_bytes(&extension.extension_data)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 96] = bytes.try_into().ok()?;
        Some(Self { key: PeerKey::from_bytes(*bytes.first_chunk()?), signature: Signature::from_bytes(*bytes.last_chunk()?) })
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [self.key.as_bytes().as_slice(), self.signature.as_bytes()].concat()
    }

    pub(crate) fn extension(self) -> Extension {
        Extension::new(PROOF, self.to_bytes())
    }

    /// Whether it proves that `of` belongs to the agent key.
    pub(crate) fn proves(&self, of: &SigningIdentity) -> bool {
        let Some(basic) = of.credential.as_basic() else { return false };
        self.key.verifies(&statement(&basic.identifier, &of.signature_key), &self.signature)
    }
}

/// The agent key that a leaf proves to have.
pub(crate) fn proven(of: &SigningIdentity, extensions: &ExtensionList) -> Option<PeerKey> {
    Proof::of(extensions).filter(|proof| proof.proves(of)).map(|proof| proof.key)
}
