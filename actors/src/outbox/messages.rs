//! What an outbox is told.

use actix::Message;
use tokio::sync::oneshot;
use toq_protocol::canonical::Json;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{self, MessageId};
use toq_store::Seq;
use toq_store::record::State;

/// There is something new in your lane, up to here.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Nudge(pub Seq);

/// Try again at once: something was decided.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Retry;

/// Try again at once, because the peer says so; should it not be true, it gains nothing by it.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Hasten;

/// What became of a message that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What became of it.
    pub state: State,
    /// Why, where it is not delivered.
    pub reason: Option<String>,
}

/// Tell when this message is settled. Sent before the nudge, so that a failing attempt finds it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Await {
    /// The message.
    pub seq: Seq,
    /// Where to tell.
    pub tell: oneshot::Sender<Settled>,
}

/// What travels outside the lane, because it is worth nothing later.
#[derive(Debug)]
pub enum Urgent {
    /// Nothing: only open the connection, and tell whether the peer takes streams.
    Connect(oneshot::Sender<bool>),
    /// A piece of a stream.
    Chunk {
        /// Its id.
        id: MessageId,
        /// The stream's thread.
        thread_id: String,
        /// Stream id and data.
        body: Json,
    },
    /// The end of a stream.
    End(Box<message::Message>),
}

/// Write this now and tell when the peer has acknowledged it; where that fails it is not tried again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Express {
    /// What to write.
    pub urgent: Urgent,
    /// The only key that may have it, where it answers somebody.
    pub only: Option<PeerKey>,
    /// Where to tell; the error is why, in words.
    pub tell: oneshot::Sender<Result<(), String>>,
}

/// The connection that the workspace started for a dial.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Linked {
    /// The dial.
    pub attempt: u64,
    /// The connection.
    pub connection: actix::Addr<crate::connection::Connection>,
}
