//! What a session asks its driver to do, what the driver answers, and how it ends.

use std::time::Duration;

use super::Decision;
use crate::card::{Card, CardError};
use crate::envelope::{Envelope, EnvelopeError};
use crate::frame::Oversized;
use crate::handshake::HandshakeError;
use crate::key::PeerKey;
use crate::message::MessageId;
use crate::reason::Reason;
use crate::rotation::Notice;

/// What the receiver's owner says to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Come in.
    Accept,
    /// The owner will be asked.
    Ask,
    /// Go away, without a word.
    Refuse,
    /// Come back with a session that is bound to its channel: this key has done so before.
    Unbound,
}

/// How a session ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The peer's card is not acceptable.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The peer sent an envelope that cannot be read or verified.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// We said goodbye.
    #[error("we closed the session: {0}")]
    Left(&'static str),
    /// A stage took too long.
    #[error("the peer was silent for too long during {0}")]
    Late(&'static str),
    /// A frame is larger than its limit.
    #[error(transparent)]
    Oversized(#[from] Oversized),
    /// The peer's owner has not decided yet.
    #[error("{0}")]
    Pending(String),
    /// The peer said goodbye or closed the connection.
    #[error("the peer closed the session during {0}")]
    PeerLeft(&'static str),
    /// The peer or our policy refused.
    #[error("refused: {0}")]
    Refused(Reason),
    /// The peer at the dialled address has another key than the one that is pinned to it or that its domain announces.
    #[error(
        "{}: expected {} ({expected}), met {} ({met}); nothing was sent",
        ANOTHER_KEY, expected.words(), met.words()
    )]
    KeyChanged {
        /// The key that was expected.
        expected: PeerKey,
        /// The key that answered.
        met: PeerKey,
    },
    /// The peer broke the protocol.
    #[error("protocol violation: {0}")]
    Violation(&'static str),
}

/// How [`End::KeyChanged`] begins in words, for whoever explains it to those who sent a message.
pub const ANOTHER_KEY: &str = "another key answers than is pinned to this address or announced by its domain";

/// What a step asks its driver to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Write these bytes to the socket.
    Write(Vec<u8>),
    /// The peer has proven itself; ask the policy and call [`Session::admit`]. Until then no frame is read.
    Authenticated,
    /// Cards are exchanged, messages may flow both ways.
    Opened(Box<Card>),
    /// A message, a close, a chunk or an end arrived and is good; commit it, then [`Session::ack`] it.
    Received(Box<Envelope>),
    /// A received envelope is refused; the session has said so if it may.
    Rejected(MessageId, Reason),
    /// The peer has committed these.
    Acked(Vec<MessageId>),
    /// The peer refused this message.
    Refused(MessageId, Reason, String),
    /// The peer has so many bytes of the file that this message announces.
    Wanted(MessageId, u64),
    /// The peer says which key it has from now on; answer with [`Session::answer_rotation`].
    Rotated(MessageId, Box<Notice>),
    /// Whether the peer follows us to the key that it was told of.
    Followed(bool),
    /// The peer wants a pause of this length.
    Slow(Duration),
    /// The peer's owner has decided about us.
    Decided(Decision),
    /// The session is over. Write what was asked to be written before, then close the socket.
    End(End),
}
