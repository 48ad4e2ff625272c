//! What a thread is told.

use actix::Message;
use tokio::sync::oneshot;
use toq_protocol::address::AgentName;
use toq_protocol::envelope::Kind;
use toq_protocol::time::Timestamp;
use toq_store::Seq;
use toq_store::record::Direction;

/// A message of this conversation is committed.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Recorded {
    /// Its place.
    pub seq: Seq,
    /// Which way it went.
    pub direction: Direction,
    /// Its type.
    pub kind: Kind,
    /// When it was written.
    pub at: Timestamp,
}

/// The place of the answer that somebody waited for.
pub type Answer = Seq;

/// Tell when a message comes in after this place.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AwaitAnswer {
    /// The place of the question.
    pub after: Seq,
    /// Who was asked.
    pub agent: AgentName,
    /// Where to tell.
    pub tell: oneshot::Sender<Answer>,
}
