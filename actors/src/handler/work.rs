//! What a handler does with one message, whatever its kind.
//!
//! The actor owns everything that must be the same for all kinds: which message comes next, how often it was tried,
//! when it is given up, who may answer. A kind is a [`Work`]: it is given an [`Order`] and says how the run ended.

use std::pin::Pin;
use std::sync::Arc;

use actix::Addr;
use tokio::sync::watch;
use toq_config::HandlerConfig;
use toq_protocol::key::PeerKey;
use toq_protocol::message::Message;
use toq_protocol::policy::Proof;
use toq_store::Seq;

use crate::home::Home;
use crate::workspace::Workspace;

/// One message to react to.
pub struct Order {
    /// The handler, as it was defined when the run began.
    pub definition: Arc<HandlerConfig>,
    /// The message.
    pub message: Message,
    /// Its place in the log.
    pub seq: Seq,
    /// The key that sent it.
    pub peer: Option<PeerKey>,
    /// How it was known that the sender's address is its own.
    pub proof: Proof,
    /// Whether it came over a session that is bound to its TLS channel; none where it is not known.
    pub is_bound: Option<bool>,
    /// Which attempt this is, from one.
    pub attempt: u32,
    /// How many automatic answers lead to an answer of this run.
    pub hops: u32,
    /// What lets the run, and nobody else, answer in the message's conversation: the last part of its URL. It is
    /// a secret and ends with the run.
    pub token: String,
    /// Where the run says which process it is.
    pub process: watch::Sender<Option<u32>>,
    /// What the workspace's actors share: its log, its clock.
    pub home: Arc<Home>,
    /// Where a run that answers by itself sends its commands.
    pub workspace: Addr<Workspace>,
}

/// How a run ended that did what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// There is nothing to send, or the run has sent it.
    Nothing,
    /// This is the answer. It is committed together with the message's confirmation, so it is sent exactly once.
    Answer {
        /// What it says.
        text: String,
        /// Whether the conversation ends with it.
        close_thread: bool,
        /// The stream by which the peer has the beginning of it already.
        stream: Option<Streamed>,
    },
}

/// A stream that lacks its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// Its id.
    pub stream_id: String,
    /// What of the answer it has not carried yet.
    pub rest: Option<String>,
}

/// Why a run did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// This message was not handled. It is tried again, and set aside after too many attempts.
    #[error("{0}")]
    Failed(String),
    /// No message can be handled until somebody mends something, for instance a missing key. The attempt does not
    /// count, and the handler rests until its owner says that it may go on.
    #[error("{0}")]
    Broken(String),
    /// This message was not handled, and is not tried again before this pause.
    #[error("{reason}")]
    Delayed {
        /// Why.
        reason: String,
        /// How long it rests at least.
        pause: std::time::Duration,
    },
    /// This message will never be handled: it is set aside at once.
    #[error("{0}")]
    Hopeless(String),
    /// Nothing was tried, because nothing can be until this pause is over. The attempt does not count.
    #[error("{reason}")]
    Postponed {
        /// Why.
        reason: String,
        /// How long it rests.
        pause: std::time::Duration,
    },
}

/// A run. Dropping it ends whatever it had started.
pub type Running = Pin<Box<dyn Future<Output = Result<Reaction, RunError>>>>;

/// One kind of handler.
pub trait Work: Send + Sync {
    /// Reacts to one message.
    fn run(&self, order: Order) -> Running;
}

/// Knows the handlers of a workspace and how to make what they do.
pub trait Workshop: Send + Sync {
    /// The handlers as they are configured now.
    ///
    /// # Errors
    /// In words, where the configuration cannot be used.
    fn definitions(&self) -> Result<Vec<HandlerConfig>, String>;

    /// Makes what a handler does.
    ///
    /// # Errors
    /// In words, where it cannot do anything; the handler is then shown as broken.
    fn work(&self, definition: &HandlerConfig) -> Result<Arc<dyn Work>, String>;
}

/// The workshop of a workspace without handlers.
#[derive(Clone, Copy, Debug)]
pub struct NoHandlers;

impl Workshop for NoHandlers {
    fn definitions(&self) -> Result<Vec<HandlerConfig>, String> {
        Ok(Vec::new())
    }

    fn work(&self, _: &HandlerConfig) -> Result<Arc<dyn Work>, String> {
        Err("there are no handlers here".to_owned())
    }
}
