//! What a workspace is asked for by whoever speaks for the owner, and what it answers.

use actix::Message;
use tokio::sync::oneshot;
use toq_protocol::address::{Address, AgentName};
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;
use toq_protocol::policy::{Mode, Ruling, Subject};
use toq_protocol::rotation::RotationProof;
use toq_protocol::time::Timestamp;
use toq_store::{Seq, StoreError};

use crate::connection::{ConnectionView, Pinged};
use crate::outbox::Settled;
use crate::thread::Answer;

/// Why a command was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// The definitions of the handlers cannot be used, for this reason in words.
    #[error("{0}")]
    Handlers(String),
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    IdempotencyConflict,
    /// The key files cannot be used, for this reason in words.
    #[error("{0}")]
    Keys(String),
    /// The workspace is shutting down.
    #[error("the daemon is shutting down")]
    Draining,
    /// The outbox holds as many messages as it may.
    #[error("{0} messages wait to be delivered, which is the limit")]
    OutboxFull(u64),
    /// The outbox holds as many messages to this address as an automatic answer may join.
    #[error("{0} messages wait for that address, and no more automatic answers are added to them")]
    LaneFull(usize),
    /// Half of the outbox is taken; the other half is not for automatic answers.
    #[error("{0} messages wait to be delivered, and no more automatic answers are added to them")]
    ShareFull(u64),
    /// A message cannot be sent to oneself.
    #[error("invalid envelope: cannot send message to own address")]
    SelfMessage,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are as many open streams as there may be.
    #[error("{0} streams are open to this agent, which is the limit")]
    TooManyStreams(usize),
    /// The message cannot reach the peer, for this reason in words.
    #[error("{0}")]
    Unreachable(String),
    /// No stream has this id.
    #[error("stream not found")]
    UnknownStream,
}

/// What makes two requests the same.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The key that the caller chose.
    pub key: String,
    /// A digest of the request.
    pub fingerprint: [u8; 32],
}

/// Send a message to each of these.
#[derive(Message)]
#[rtype(result = "Result<Vec<Accepted>, WorkspaceError>")]
pub struct Send {
    /// To whom.
    pub to: Vec<Address>,
    /// `message.send` or `thread.close`.
    pub kind: Kind,
    /// What it says.
    pub body: Option<Json>,
    /// The conversation; each recipient gets a new one where there is none.
    pub thread_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// The MIME type of the body.
    pub content_type: Option<String>,
    /// What makes this request the same as an earlier one.
    pub idempotency: Option<Idempotency>,
    /// Whether somebody waits for the delivery.
    pub patience: Patience,
    /// Who wants it sent.
    pub origin: Origin,
}

/// Who wants a message sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The owner, or a program of the owner's.
    Owner,
    /// A handler, in answer to the peer with this key, where it is known; no other key may have it, whatever address the peer claims.
    /// It gets a share of the queue, so that no peer fills what is the owner's.
    Handler(Option<PeerKey>),
}

impl Origin {
    /// The only key that may have what is sent; `None` where the address alone decides.
    #[must_use]
    pub const fn only(self) -> Option<PeerKey> {
        match self {
            Self::Owner => None,
            Self::Handler(peer) => peer,
        }
    }
}

/// Whether somebody waits for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// The commit is enough.
    Accepted,
    /// Tell what becomes of it.
    Settled,
}

/// An accepted message.
#[derive(Debug)]
pub struct Accepted {
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub id: MessageId,
    /// Its type.
    pub kind: Kind,
    /// To whom it goes.
    pub to: Address,
    /// Its conversation.
    pub thread_id: String,
    /// When it was accepted.
    pub timestamp: Timestamp,
    /// Whether an earlier send with the same idempotency key is what was accepted.
    pub is_repeated: bool,
    /// Tells what becomes of it, where somebody waits.
    pub settled: Option<oneshot::Receiver<Settled>>,
}

/// Tell when an answer comes in this thread after this place.
#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Answer>")]
pub struct AwaitReply {
    /// The thread.
    pub thread_id: String,
    /// The place of the question.
    pub after: Seq,
    /// Who was asked; a stranger who uses the same thread id answers nothing.
    pub agent: AgentName,
}

/// Open a stream to this agent.
#[derive(Message)]
#[rtype(result = "Result<StreamOpened, WorkspaceError>")]
pub struct OpenStream {
    /// To whom.
    pub to: Address,
    /// The conversation; a new one where there is none.
    pub thread_id: Option<String>,
    /// Its id; a new one where there is none.
    pub stream_id: Option<String>,
    /// The only key that may have it, where it answers somebody.
    pub only: Option<PeerKey>,
}

/// A stream that was opened.
#[derive(Clone, Debug)]
pub struct StreamOpened {
    /// Its id.
    pub stream_id: String,
    /// Its conversation.
    pub thread_id: String,
}

/// Send a piece of a stream; answers when the peer has it.
#[derive(Message)]
#[rtype(result = "Result<MessageId, WorkspaceError>")]
pub struct StreamChunk {
    /// The stream.
    pub stream_id: String,
    /// The text.
    pub text: String,
}

/// End a stream; answers when the peer has committed it.
#[derive(Message)]
#[rtype(result = "Result<MessageId, WorkspaceError>")]
pub struct EndStream {
    /// The stream.
    pub stream_id: String,
    /// The last text.
    pub text: Option<String>,
    /// Whether the conversation ends with it.
    pub close_thread: bool,
    /// What it answers, where no person wrote it.
    pub answers: Option<Answers>,
}

/// What an automatic answer answers.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// The message.
    pub message: MessageId,
    /// How many automatic answers lead to it and are in it.
    pub hops: u32,
}

/// Add or remove a rule; answers when it is on disk and in force.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), WorkspaceError>")]
pub enum Rule {
    /// Add it.
    Add(Subject, Ruling),
    /// Remove it.
    Remove(Subject, Ruling),
    /// Answer a pending question with no; the peer may ask again.
    Deny(PeerKey),
    /// Take back a question that nobody answered in its time.
    Lapse(PeerKey),
}

/// Replace the identity key.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<RotationProof, WorkspaceError>")]
pub struct RotateKeys;

/// Change the mode; it is in force at once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct SetMode(pub Mode);

/// Which mode is in force?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Mode")]
pub struct CurrentMode;

/// Commit something about a consumer.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), WorkspaceError>")]
pub enum Consume {
    /// Make a consumer that begins after this place, unless it exists.
    Begin(String, Seq),
    /// Count an offer of these.
    Offer(String, Vec<Seq>),
    /// Confirm these.
    Confirm(String, Vec<Seq>),
    /// Confirm everything up to this place.
    ConfirmUpTo(String, Seq),
    /// Keep these from the consumer, for this reason; they stay where their owner finds them.
    SetAside(String, Vec<Seq>, String),
    /// Note that nobody can read these, and keep them from the consumer, where one met them.
    Unreadable(Option<String>, Vec<Seq>),
    /// Forget the consumer.
    Forget(String),
}

/// Who answers at this address?
#[derive(Message)]
#[rtype(result = "Result<Pinged, String>")]
pub struct Ping(pub Address);

/// List the live connections.
#[derive(Clone, Copy, Message)]
#[rtype(result = "Vec<ConnectionView>")]
pub struct Connections;
