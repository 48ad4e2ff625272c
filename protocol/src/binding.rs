//! Channel binding: what ties a session to the one TLS connection under it.
//!
//! A toq handshake signs nothing of the TLS channel, and the certificate says nothing about the agent, so
//! whoever ends TLS in the middle could carry a whole session between two agents and read it. Two of our
//! own kind therefore compare the channel: each puts a digest into its signed negotiation body, over the
//! TLS exporter value (RFC 9266, `tls-exporter`), its role, both challenges, both keys and both addresses.
//! In the middle there are two channels with two exporter values, and the digests differ.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::address::Address;
use crate::key::PeerKey;

/// The label under which TLS derives the exporter value, without a context (RFC 9266, section 4.2).
pub const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// What separates this digest from every other one.
const DOMAIN: &[u8] = b"toq channel binding 1";

/// 32 bytes that only the two ends of one connection know. It has no printable form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Exporter([u8; 32]);

impl Exporter {
    /// Takes the value that TLS derived for [`LABEL`].
    #[must_use]
    pub const fn new(value: [u8; 32]) -> Self {
        Self(value)
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter(…)")
    }
}

/// Which side makes a digest, so that neither can send the other's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The side that dialled.
    Initiator,
    /// The side that accepted.
    Receiver,
}

/// One end of a session as its handshake showed it.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its key.
    pub key: &'a PeerKey,
    /// The challenge that it signed.
    pub challenge: &'a [u8],
    /// The address that it claims.
    pub address: &'a Address,
}

/// The digest that `side` puts into its negotiation body, in base64.
#[must_use]
pub fn digest(exporter: &Exporter, side: Side, initiator: Party<'_>, receiver: Party<'_>) -> String {
    let role: &[u8] = match side {
        Side::Initiator => b"initiator",
        Side::Receiver => b"receiver",
    };
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(DOMAIN);
    add(role);
    add(&exporter.0);
    for party in [initiator, receiver] {
        add(party.key.as_bytes());
        add(party.challenge);
        add(party.address.wire().as_bytes());
    }
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_bound() {
        let (key, other) = (PeerKey::from_bytes([1; 32]), PeerKey::from_bytes([2; 32]));
        let (address, another) =
            (Address::parse("toq://127.0.0.1:1/a").expect("valid"), Address::parse("toq://127.0.0.1:2/a").expect("valid"));
        let exporter = Exporter::new([7; 32]);
        let alice = Party { key: &key, challenge: b"one", address: &address };
        let bob = Party { key: &other, challenge: b"two", address: &another };
        let bound = digest(&exporter, Side::Initiator, alice, bob);

        let different = [
            digest(&Exporter::new([8; 32]), Side::Initiator, alice, bob),
            digest(&exporter, Side::Receiver, alice, bob),
            digest(&exporter, Side::Initiator, bob, alice),
            digest(&exporter, Side::Initiator, Party { challenge: b"three", ..alice }, bob),
            digest(&exporter, Side::Initiator, Party { key: &other, ..alice }, bob),
            digest(&exporter, Side::Initiator, alice, Party { address: &address, ..bob }),
            // The boundary between two parts is bound too.
            digest(&exporter, Side::Initiator, Party { challenge: b"onet", ..alice }, Party { challenge: b"wo", ..bob }),
        ];

        assert_eq!(bound, digest(&exporter, Side::Initiator, alice, bob));
        assert!(different.iter().all(|other| *other != bound));
    }
}
