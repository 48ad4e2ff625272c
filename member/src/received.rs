//! What a program is given of a channel.

use toq_protocol::key::PeerKey;
use toq_store::member::{HappeningRow, InRow};

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What was said.
    pub payload: Vec<u8>,
    /// The sender's identity, as in its credential.
    pub sender: Vec<u8>,
    /// The agent key that vouches for the sender.
    pub proven: Option<PeerKey>,
    /// The sender's leaf.
    pub leaf: u32,
    /// The epoch in which it was sent.
    pub epoch: u64,
    /// Its place in the relay's log; `None` where the relay names none.
    pub seq: Option<u64>,
    /// Its number among the messages of this member, by which [`Channel::settle`] knows it.
    pub n: u64,
}

/// Something that happened to a channel, other than a message.
///
/// Kinds: `member_added`, `member_removed`, `key_rotated`, `owners_changed`, `removed` (this member was), `left`, `commit_refused` (somebody
/// tried what it may not), `relay_misbehaving`, `behind` (the relay no longer keeps what was missed), `restored_copy`,
/// `message_refused`, `subscription_refused`, `access_refused` (the API server does not let this client in any more), `over_quota`,
/// `join_refused`, `inbox_full` (nothing more is taken from the relay until something was read), `pin_broken` (somebody let in a member whose name is pinned to another key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Its number; they rise.
    pub n: u64,
    /// Its type.
    pub kind: String,
    /// The identity that it is about; empty where it is about none.
    pub subject: Vec<u8>,
    /// The identity that did it; empty where nobody did.
    pub by: Vec<u8>,
    /// The epoch that it began, or in which it was seen.
    pub epoch: u64,
    /// What there is to say, for a person.
    pub detail: String,
    /// When it was seen, in nanoseconds of Unix time.
    pub at: i64,
}

/// A message as its row says.
pub(crate) fn message((n, row): (u64, InRow)) -> Message {
    Message {
        payload: row.payload,
        sender: row.sender,
        proven: row.proven.map(PeerKey::from_bytes),
        leaf: row.leaf,
        epoch: row.epoch,
        seq: (row.seq > 0).then_some(row.seq),
        n,
    }
}

/// A happening as its row says.
pub(crate) fn happening((n, row): (u64, HappeningRow)) -> Happening {
    Happening { n, kind: row.kind, subject: row.subject, by: row.by, epoch: row.epoch, detail: row.detail, at: row.at }
}
