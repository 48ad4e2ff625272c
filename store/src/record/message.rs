//! Messages, and what became of them.

use std::time::Duration;

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::policy;
use toq_protocol::time::Timestamp;

use super::{Proof, Record as _};
use crate::error::StoreError;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Direction {
    /// It came in.
    #[n(0)]
    In,
    /// It goes out.
    #[n(1)]
    Out,
}

impl Direction {
    /// `in` or `out`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::In => "in",
            Direction::Out => "out",
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum State {
    /// Committed here, not yet acknowledged there.
    #[n(0)]
    Accepted,
    /// The peer has committed it.
    #[n(1)]
    Delivered,
    /// The peer refused it.
    #[n(2)]
    Rejected,
    /// Its lifetime ended first.
    #[n(3)]
    Expired,
    /// It was given up.
    #[n(4)]
    DeadLetter,
    /// It was taken back before it was ever written to the peer.
    #[n(5)]
    Withdrawn,
    /// It came in and is stored.
    #[n(6)]
    Received,
}

impl State {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Accepted => "accepted",
            State::Delivered => "delivered",
            State::Rejected => "rejected",
            State::Expired => "expired",
            State::DeadLetter => "dead_letter",
            State::Withdrawn => "withdrawn",
            State::Received => "received",
        }
    }

    /// True where nothing will change it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, State::Accepted)
    }
}

/// A message, as it was sent or received.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct MessageRow {
    #[n(0)]
    direction: Direction,
    #[cbor(n(1), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(2)]
    kind: String,
    #[n(3)]
    from: String,
    #[n(4)]
    to: String,
    #[cbor(n(5), with = "minicbor::bytes")]
    peer: Option<[u8; 32]>,
    #[n(6)]
    thread_id: Option<String>,
    #[n(7)]
    reply_to: Option<String>,
    #[n(8)]
    content_type: Option<String>,
    #[n(9)]
    timestamp: i64,
    #[n(10)]
    ttl: Option<u64>,
    #[n(11)]
    body: Option<String>,
    #[n(12)]
    proof: Option<Proof>,
    #[n(13)]
    is_bound: Option<bool>,
    #[n(14)]
    meant_for: Option<ByteArray<32>>,
}

impl MessageRow {
    /// The row of `message`; `peer` is the key that sent it, where it came in.
    #[must_use]
    pub fn new(direction: Direction, message: &Message, peer: Option<PeerKey>) -> Self {
        Self {
            direction,
            id: *message.id.as_bytes(),
            kind: message.kind.as_str().to_owned(),
            from: message.from.written(),
            to: message.to.written(),
            peer: peer.map(|key| *key.as_bytes()),
            thread_id: message.thread_id.clone(),
            reply_to: message.reply_to.clone(),
            content_type: message.content_type.clone(),
            timestamp: message.timestamp.as_nanos(),
            ttl: message.ttl.map(|ttl| ttl.as_secs()),
            body: message.body.as_ref().map(|body| body.as_str().to_owned()),
            proof: None,
            is_bound: None,
            meant_for: None,
        }
    }

    /// The same row with how it was known, when the message came in, that the sender's address is its own.
    #[must_use]
    pub const fn proven(mut self, proof: policy::Proof) -> Self {
        self.proof = Proof::of(proof);
        self
    }

    /// The same row with whether the message came over a session that was bound to its TLS channel.
    #[must_use]
    pub const fn bound(mut self, is_bound: bool) -> Self {
        self.is_bound = Some(is_bound);
        self
    }

    /// The same row of an outgoing message with the only key that may have it, whoever answers at its address.
    #[must_use]
    pub fn meant_for(mut self, key: Option<PeerKey>) -> Self {
        self.meant_for = key.map(|key| ByteArray::from(*key.as_bytes()));
        self
    }

    /// The only key that may have this outgoing message; `None` where it is for whoever the address belongs to.
    #[must_use]
    pub fn only_for(&self) -> Option<PeerKey> {
        self.meant_for.as_ref().map(|bytes| PeerKey::from_bytes(**bytes))
    }

    /// Whether the message came over a bound session; `None` where that was not noted: it went out, or was taken over, or is from
    /// before this was kept.
    #[must_use]
    pub const fn is_bound(&self) -> Option<bool> {
        self.is_bound
    }

    /// How it was known that the sender's address is its own.
    #[must_use]
    pub fn proof(&self) -> policy::Proof {
        Proof::read(self.proof)
    }

    /// Which way it went.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        MessageId::from_bytes(self.id)
    }

    /// Its type's name.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The key that sent it, where it came in and was not taken over from a log that does not tell.
    #[must_use]
    pub fn peer(&self) -> Option<PeerKey> {
        self.peer.map(PeerKey::from_bytes)
    }

    /// The key by which a repetition of an incoming message is recognised: the sender's, or nobody's where another
    /// log did not tell it.
    pub(crate) fn sender(&self) -> PeerKey {
        PeerKey::from_bytes(self.peer.unwrap_or_default())
    }

    /// The thread it belongs to.
    #[must_use]
    pub fn thread_id(&self) -> Option<&str> {
        self.thread_id.as_deref()
    }

    /// The message it answers.
    #[must_use]
    pub fn reply_to(&self) -> Option<&str> {
        self.reply_to.as_deref()
    }

    /// How large its body is, in bytes.
    #[must_use]
    pub fn body_size(&self) -> usize {
        self.body.as_ref().map_or(0, String::len)
    }

    /// The state of a message of which nothing more has been written, on its lane or not.
    pub(crate) fn unwritten_state(&self, is_on_lane: bool) -> StateRow {
        let (state, attempts) = match (self.direction, is_on_lane) {
            (Direction::In, _) => (State::Received, 0),
            (Direction::Out, true) => (State::Accepted, 0),
            (Direction::Out, false) => (State::Delivered, 1),
        };
        StateRow { attempts, ..StateRow::new(state, Timestamp::from_nanos(self.timestamp)) }
    }

    /// The message itself.
    ///
    /// # Errors
    /// [`StoreError::Record`] where the row holds what no version of ours wrote.
    pub fn message(&self) -> Result<Message, StoreError> {
        let damaged = || StoreError::Record { table: Self::TABLE };
        Ok(Message {
            id: self.id(),
            kind: Kind::parse(&self.kind).ok_or_else(damaged)?,
            from: Address::parse(&self.from).map_err(|_| damaged())?,
            to: Address::parse(&self.to).map_err(|_| damaged())?,
            thread_id: self.thread_id.clone(),
            reply_to: self.reply_to.clone(),
            content_type: self.content_type.clone(),
            timestamp: Timestamp::from_nanos(self.timestamp),
            ttl: self.ttl.map(Duration::from_secs),
            body: self.body.as_deref().map(Json::from_canonical),
        })
    }
}

/// What became of a message, and how often it was tried.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct StateRow {
    /// What became of it.
    #[n(0)]
    pub state: State,
    /// How often it was tried.
    #[n(1)]
    pub attempts: u32,
    /// Why it is not delivered, where it is not.
    #[n(2)]
    pub reason: Option<String>,
    /// When it is tried again, in nanoseconds of Unix time.
    #[n(3)]
    pub next_attempt: Option<i64>,
    /// When this row was written, in nanoseconds of Unix time.
    #[n(4)]
    pub changed: i64,
}

impl StateRow {
    /// A state with nothing more to say.
    #[must_use]
    pub const fn new(state: State, at: Timestamp) -> Self {
        Self { state, attempts: 0, reason: None, next_attempt: None, changed: at.as_nanos() }
    }
}
