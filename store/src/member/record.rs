//! The values of a member's tables.

use minicbor::{Decode, Encode};

use crate::record::Record;

/// How a member stands in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Standing {
    /// It takes part.
    #[n(0)]
    Member,
    /// It was removed by somebody else.
    #[n(1)]
    Removed,
    /// It has left, or asked to.
    #[n(2)]
    Left,
    /// The relay no longer keeps what it has not read: it must be added anew.
    #[n(3)]
    Behind,
    /// Its directory is an older copy of what was used later: it must be added anew.
    #[n(4)]
    Restored,
}

/// A channel: how far its log was read, and how the next rows are numbered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct ChannelRow {
    /// Its name, `org/namespace/service`.
    #[n(0)]
    pub name: String,
    /// Whether members must be proven.
    #[n(1)]
    pub proven: bool,
    /// How this member stands in it.
    #[n(2)]
    pub standing: Standing,
    /// The last place of the relay's log that was read.
    #[n(3)]
    pub cursor: u64,
    /// The hash chain of the log up to there; `None` where its beginning is not known.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub chain: Option<[u8; 32]>,
    /// The number of the next message that comes.
    #[n(5)]
    pub next_in: u64,
    /// The number of the next happening.
    #[n(6)]
    pub next_happening: u64,
    /// Whether requests to join are answered here: by who made it, and by who has invited to it.
    #[n(7)]
    pub answers_joins: bool,
    /// When the own leaf got its keys, in seconds of Unix time.
    #[n(8)]
    pub rotated_at: i64,
    /// The latest places with their hashes, the one of `chain` last: for each 8 bytes of number, big-endian, and 32 of hash.
    #[cbor(n(9), default, with = "minicbor::bytes")]
    pub heads: Vec<u8>,
    /// Whether the relay has numbered and confirmed what stands in its log. One that does not any more is not believed.
    #[cbor(n(10), default)]
    pub was_numbered: bool,
    /// How many bytes have come in messages, as [`InRow::octets`] counts them.
    #[cbor(n(11), default)]
    pub octets_in: u64,
    /// Whether places of the log were passed over that the relay withholds, and no commit was read since.
    #[cbor(n(12), default)]
    pub has_skipped: bool,
}

/// What a row of the outbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum OutKind {
    /// A message whose ciphertext is not made yet: the relay is away, or the log is not read to its end.
    #[n(0)]
    Draft,
    /// The ciphertext of a message.
    #[n(1)]
    Message,
    /// A commit that is staged.
    #[n(2)]
    Commit,
    /// A proposal.
    #[n(3)]
    Proposal,
}

/// Something on its way to the relay.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct OutRow {
    /// What it is.
    #[n(0)]
    pub kind: OutKind,
    /// By which the relay recognises a repetition.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub tag: [u8; 16],
    /// The frame; empty for a draft.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub frame: Vec<u8>,
    /// The epoch in which the frame was made.
    #[n(3)]
    pub epoch: u64,
    /// What was said, so that it can be said again in a later epoch; empty for what is no message.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// SHA-256 of earlier frames of the same tag, one after the other.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub earlier: Vec<u8>,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct InRow {
    /// Its place in the relay's log; 0 where the relay does not tell.
    #[n(0)]
    pub seq: u64,
    /// The epoch in which it was sent.
    #[n(1)]
    pub epoch: u64,
    /// The sender's identity, as in its credential.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub sender: Vec<u8>,
    /// The agent key that vouches for the sender, where one does.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub proven: Option<[u8; 32]>,
    /// The sender's leaf.
    #[n(4)]
    pub leaf: u32,
    /// What was said.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// How many bytes had come in messages of this channel, this one and something for each row included: what waits to be read is a
    /// difference of two of these, and need not be looked through.
    #[cbor(n(6), default)]
    pub octets: u64,
}

/// Something that happened to a channel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct HappeningRow {
    /// Its type, such as `member_added`.
    #[n(0)]
    pub kind: String,
    /// The identity that it is about; empty where it is about none.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub subject: Vec<u8>,
    /// The identity that did it; empty where nobody did.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub by: Vec<u8>,
    /// The epoch that it began, or in which it was seen.
    #[n(3)]
    pub epoch: u64,
    /// What there is to say, for a person.
    #[n(4)]
    pub detail: String,
    /// When it was seen, in nanoseconds of Unix time.
    #[n(5)]
    pub at: i64,
}

/// A Welcome that those whom it is for may not have yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct WelcomeRow {
    /// The references of the key packages that it is for, 32 bytes each.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub references: Vec<u8>,
    /// The signature keys of those who were added and not heard of yet, 32 bytes each.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub joiners: Vec<u8>,
    /// The MLSMessage.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub welcome: Vec<u8>,
}

/// An invite whose secret was made here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct InviteRow {
    /// The whole token, `skt_inv_...`.
    #[n(0)]
    pub token: String,
    /// When it ends, in seconds of Unix time.
    #[n(1)]
    pub expires_at: i64,
    /// How many it lets in; `None` where only the server counts.
    #[n(2)]
    pub max_uses: Option<u32>,
    /// SHA-256 of the key packages that it let in, 32 bytes each.
    #[cbor(n(3), default, with = "minicbor::bytes")]
    pub used: Vec<u8>,
}

/// A request of this member to be let into a channel by an invite.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct RequestRow {
    /// The key package that is to be added.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub package: Vec<u8>,
    /// By which the API server knows it, once it has told.
    #[n(1)]
    pub id: Option<String>,
    /// When it was made, in seconds of Unix time.
    #[n(2)]
    pub made_at: i64,
    /// Whether the member came in by it.
    #[n(3)]
    pub is_in: bool,
}

macro_rules! records {
    ($($name:ident = $table:literal),* $(,)?) => {$(impl Record for $name { const TABLE: &'static str = $table; })*};
}

records! {
    ChannelRow = "channels", OutRow = "outbox", InRow = "inbox", HappeningRow = "happenings", InviteRow = "invites", WelcomeRow = "welcomes",
    RequestRow = "requests",
}
