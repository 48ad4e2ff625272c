//! One active conversation.
//!
//! Owns a [`Conversation`] and those who wait for an answer in it. Its history is rows; the actor is there
//! while the conversation is active and goes when it has been idle for a minute.

mod handlers;
mod messages;

use std::sync::Arc;

use actix::{Actor, Addr, Context, SpawnHandle};
use toq_kit::Lifeline;
use toq_protocol::conversation::Conversation;

pub use messages::{Answer, AwaitAnswer, Recorded};

use crate::home::Home;
use crate::workspace::Workspace;

/// A thread's name in its workspace. Two peers that write under one id share the actor: who may answer whom is asked of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ThreadKey {
    /// Its id.
    pub id: String,
}

/// One active conversation.
pub struct Thread {
    home: Arc<Home>,
    workspace: Addr<Workspace>,
    conversation: Conversation,
    waiters: Vec<AwaitAnswer>,
    timer: Option<SpawnHandle>,
    lifeline: Lifeline<ThreadKey>,
}

impl Thread {
    /// Makes the actor of a conversation.
    #[must_use]
    pub fn new(home: Arc<Home>, workspace: Addr<Workspace>, lifeline: Lifeline<ThreadKey>) -> Self {
        Self { home, workspace, conversation: Conversation::default(), waiters: Vec::new(), timer: None, lifeline }
    }
}

impl Actor for Thread {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.rest(ctx);
    }
}
