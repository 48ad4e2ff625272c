//! What is known of peers: who was here, whose address is whose, who asks, which key followed which.

use minicbor::{Decode, Encode};
use toq_protocol::key::PeerKey;
use toq_protocol::policy;
use toq_protocol::time::Timestamp;

/// [`policy::Proof`] as it is stored, where there is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Proof {
    /// The same key was met at the address before.
    #[n(0)]
    Pinned,
    /// A DNS record names the key.
    #[n(1)]
    Dns,
    /// The address was dialled and the same key answered.
    #[n(2)]
    Dialled,
}

impl Proof {
    /// `None` for a mere claim.
    #[must_use]
    pub const fn of(proof: policy::Proof) -> Option<Self> {
        match proof {
            policy::Proof::Claimed => None,
            policy::Proof::Pinned => Some(Self::Pinned),
            policy::Proof::Dns => Some(Self::Dns),
            policy::Proof::Dialled => Some(Self::Dialled),
        }
    }

    /// What was stored.
    #[must_use]
    pub const fn read(stored: Option<Self>) -> policy::Proof {
        match stored {
            None => policy::Proof::Claimed,
            Some(Self::Pinned) => policy::Proof::Pinned,
            Some(Self::Dns) => policy::Proof::Dns,
            Some(Self::Dialled) => policy::Proof::Dialled,
        }
    }
}

/// The key that belongs to an address.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct PinRow {
    /// The address as it was written.
    #[n(0)]
    pub address: String,
    /// The key that was met there.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub key: [u8; 32],
    /// How.
    #[n(2)]
    pub proof: Option<Proof>,
    /// Since when, in nanoseconds of Unix time.
    #[n(3)]
    pub since: i64,
}

impl PinRow {
    /// The key that was met there.
    #[must_use]
    pub const fn peer(&self) -> PeerKey {
        PeerKey::from_bytes(self.key)
    }
}

/// A peer that has proven itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct PeerRow {
    /// The address that it claims.
    #[n(0)]
    pub address: String,
    /// When it was first here, in nanoseconds of Unix time.
    #[n(1)]
    pub first_seen: i64,
    /// When it was last here, in nanoseconds of Unix time.
    #[n(2)]
    pub last_seen: i64,
    /// How it was known, when it was last here, that this address is its own.
    #[n(3)]
    pub proof: Option<Proof>,
    /// `Some(true)` once it has bound a session to its channel; it must do so ever after.
    #[n(4)]
    pub binds: Option<bool>,
}

impl PeerRow {
    /// A peer that was met for the first time.
    #[must_use]
    pub const fn new(address: String, at: Timestamp) -> Self {
        Self { address, first_seen: at.as_nanos(), last_seen: at.as_nanos(), proof: None, binds: None }
    }
}

/// The key that followed another key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct RotationRow {
    /// The new key.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub new: [u8; 32],
    /// The rotation's counter.
    #[n(1)]
    pub counter: u64,
    /// From when on the old key is refused, in nanoseconds of Unix time.
    #[n(2)]
    pub retires_at: i64,
}

/// A peer that waits for the owner's decision.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct ApprovalRow {
    /// The address that it claims.
    #[n(0)]
    pub address: String,
    /// When it last asked, in nanoseconds of Unix time.
    #[n(1)]
    pub requested_at: i64,
    /// How often it has asked.
    #[n(2)]
    pub requests: u32,
    /// How it is known that this address is its own.
    #[n(3)]
    pub proof: Option<Proof>,
    /// Where it asks from: a network prefix.
    #[n(4)]
    pub source: Option<String>,
    /// The key that is pinned to the address, where this one is another.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub previous: Option<[u8; 32]>,
    /// When it first asked, in nanoseconds of Unix time, where that was before `requested_at`.
    #[n(6)]
    pub first_asked: Option<i64>,
    /// `Some(true)` where it hears what is decided about it.
    #[n(7)]
    pub hears_decisions: Option<bool>,
}

/// Who waits for a word that it may come in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct TurnedAwayRow {
    /// The address that it claims.
    #[n(0)]
    pub address: String,
    /// When its question was answered, in nanoseconds of Unix time.
    #[n(1)]
    pub at: i64,
}

/// Sessions with one key that were refused for one reason: somebody may be in between.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct AlarmRow {
    /// The address that was claimed or dialled last.
    #[n(0)]
    pub address: String,
    /// When it happened first, in nanoseconds of Unix time.
    #[n(1)]
    pub first: i64,
    /// When it happened last, in nanoseconds of Unix time.
    #[n(2)]
    pub last: i64,
    /// How often.
    #[n(3)]
    pub count: u64,
    /// Whether the key was met before.
    #[n(4)]
    pub is_known: bool,
}

impl ApprovalRow {
    /// The key that is pinned to the address, where this one is another.
    #[must_use]
    pub fn previous(&self) -> Option<PeerKey> {
        self.previous.map(PeerKey::from_bytes)
    }

    /// When it first asked.
    #[must_use]
    pub fn first_asked(&self) -> Timestamp {
        Timestamp::from_nanos(self.first_asked.unwrap_or(self.requested_at))
    }
}
