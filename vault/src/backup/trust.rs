//! What an agent knows of other agents' keys: whose address is whose, who proves its channel, which key followed which.
//!
//! An agent that forgets this believes the first who comes. An attacker would try to have it written wrongly: so it is
//! read as strictly as keys and addresses are anywhere, and what a workspace knows itself is never overwritten by it.

use serde::{Deserialize, Serialize};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::Proof;
use toq_protocol::rotation::Succession;
use toq_protocol::time::Timestamp;

/// What is known of other agents' keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TrustEntry", into = "TrustEntry")]
pub struct Trust {
    /// The keys that belong to addresses.
    pub pins: Vec<Pin>,
    /// What peers have proven.
    pub proven: Vec<Proven>,
    /// Keys that were followed by others.
    pub successions: Vec<(PeerKey, Succession)>,
}

/// The key that belongs to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The address.
    pub address: Address,
    /// The key that was met there.
    pub key: PeerKey,
    /// How.
    pub proof: Proof,
    /// Since when.
    pub since: Timestamp,
}

/// What a peer has proven when it was last here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Who.
    pub key: PeerKey,
    /// How its address is known to be its own.
    pub proof: Proof,
    /// Whether it has bound a session to its channel, which it must do ever after.
    pub binds: bool,
}

impl Trust {
    /// True where nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pins.is_empty() && self.proven.is_empty() && self.successions.is_empty()
    }
}

/// The form in a file: texts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustEntry {
    #[serde(default)]
    pins: Vec<PinEntry>,
    #[serde(default)]
    proven: Vec<ProvenEntry>,
    #[serde(default)]
    successions: Vec<SuccessionEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinEntry {
    address: String,
    key: String,
    proof: String,
    since: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProvenEntry {
    key: String,
    proof: String,
    binds: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuccessionEntry {
    old: String,
    new: String,
    counter: u64,
    retires_at: String,
}

impl From<Trust> for TrustEntry {
    fn from(trust: Trust) -> Self {
        let pin = |pin: Pin| PinEntry {
            address: pin.address.written(),
            key: pin.key.to_string(),
            proof: pin.proof.as_str().to_owned(),
            since: pin.since.to_string(),
        };
        let proven =
            |proven: Proven| ProvenEntry { key: proven.key.to_string(), proof: proven.proof.as_str().to_owned(), binds: proven.binds };
        let succession = |(old, succession): (PeerKey, Succession)| SuccessionEntry {
            old: old.to_string(),
            new: succession.new.to_string(),
            counter: succession.counter,
            retires_at: succession.retires_at.to_string(),
        };
        Self {
            pins: trust.pins.into_iter().map(pin).collect(),
            proven: trust.proven.into_iter().map(proven).collect(),
            successions: trust.successions.into_iter().map(succession).collect(),
        }
    }
}

impl TryFrom<TrustEntry> for Trust {
    type Error = String;

    fn try_from(entry: TrustEntry) -> Result<Self, String> {
        let pin = |pin: PinEntry| {
            Ok(Pin {
                address: Address::parse(&pin.address).map_err(|error| error.to_string())?,
                key: key(&pin.key)?,
                proof: proof(&pin.proof)?,
                since: time(&pin.since)?,
            })
        };
        let proven = |proven: ProvenEntry| Ok(Proven { key: key(&proven.key)?, proof: proof(&proven.proof)?, binds: proven.binds });
        let succession = |row: SuccessionEntry| {
            let (old, new) = (key(&row.old)?, key(&row.new)?);
            if old == new {
                return Err("a key follows itself".to_owned());
            }
            Ok((old, Succession { new, counter: row.counter, retires_at: time(&row.retires_at)? }))
        };
        Ok(Self {
            pins: entry.pins.into_iter().map(pin).collect::<Result<_, String>>()?,
            proven: entry.proven.into_iter().map(proven).collect::<Result<_, String>>()?,
            successions: entry.successions.into_iter().map(succession).collect::<Result<_, String>>()?,
        })
    }
}

fn key(text: &str) -> Result<PeerKey, String> {
    PeerKey::parse(text).map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time is not RFC 3339".to_owned())
}

fn proof(text: &str) -> Result<Proof, String> {
    let known = [Proof::Claimed, Proof::Pinned, Proof::Dns, Proof::Dialled];
    known.into_iter().find(|proof| proof.as_str() == text).ok_or_else(|| "a proof is of an unknown kind".to_owned())
}
