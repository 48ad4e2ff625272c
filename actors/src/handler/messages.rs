//! What a handler is told and asked.

use std::sync::Arc;

use actix::{Message, MessageResponse};
use toq_config::HandlerConfig;
use toq_store::Seq;

use super::work::Work;

/// A handler's name in its workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerName(pub String);

impl HandlerName {
    /// The name of the handler's place in the log. No consumer of the API can have it.
    #[must_use]
    pub fn consumer(&self) -> String {
        format!("{CONSUMER}{}", self.0)
    }
}

/// What the names of handlers' consumers begin with.
pub const CONSUMER: &str = "handler:";

/// Look whether there is something to do.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Look;

/// Be this from now on; runs in progress go on as they began.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Redefine {
    /// The new definition.
    pub definition: Arc<HandlerConfig>,
    /// What it does now.
    pub work: Result<Arc<dyn Work>, String>,
}

/// Begin no run until told to.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Pause;

/// Go on, paused or broken.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Resume;

/// End runs at once, all of them or the one that is this process; their messages are set aside. Answers how many.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "usize")]
pub struct Stop {
    /// Which process; all if absent.
    pub process: Option<u32>,
}

/// Show yourself.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "View")]
pub struct Show;

/// These were set aside and are open again.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Retry(pub Vec<Seq>);

/// Whether a handler works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    #[default]
    Working,
    /// It was told to rest.
    Paused,
    /// It cannot, for this reason.
    Broken(String),
    /// It is switched off in its definition.
    Disabled,
}

impl Condition {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Paused => "paused",
            Self::Broken(_) => "broken",
            Self::Disabled => "disabled",
        }
    }
}

/// A handler as it is now.
#[derive(Clone, Debug, MessageResponse)]
pub struct View {
    /// Its definition.
    pub definition: Arc<HandlerConfig>,
    /// Whether it works.
    pub condition: Condition,
    /// How many runs there are.
    pub active: usize,
    /// The processes of those that are one.
    pub processes: Vec<u32>,
    /// How many messages it has read and not done.
    pub waiting: usize,
    /// Up to where it has read.
    pub cursor: Seq,
}

impl View {
    /// A handler that does not live.
    #[must_use]
    pub const fn resting(definition: Arc<HandlerConfig>, condition: Condition) -> Self {
        Self { definition, condition, active: 0, processes: Vec::new(), waiting: 0, cursor: Seq(0) }
    }
}
