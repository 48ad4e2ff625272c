//! What lets a run answer, and do nothing else.
//!
//! A run gets a URL with 256 random bits in it. They stand for one conversation with one peer, for the time of the
//! run. The workspace keeps them; whoever shows them may send messages and streams there.

use actix::{Addr, Message};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;

use super::HandlerName;
use crate::workspace::Workspace;

/// What a run may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whose run it is.
    pub handler: HandlerName,
    /// To whom it may send.
    pub to: Address,
    /// The key of who wrote the message, which alone may have what is sent; the address is what it claims.
    pub peer: Option<PeerKey>,
    /// In which conversation; a new one where the message had none.
    pub thread_id: Option<String>,
    /// The message that it answers.
    pub message: MessageId,
    /// How many automatic answers its answer makes.
    pub hops: u32,
    /// The streams that it has opened.
    pub streams: Vec<String>,
}

/// Remember this pass.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Grant {
    /// What stands for it.
    pub token: String,
    /// What it is good for.
    pub pass: Pass,
}

/// Forget this pass.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Withdraw(pub String);

/// What is this token good for? Answers nothing where it is not, or not any more.
#[derive(Message)]
#[rtype(result = "Option<Pass>")]
pub struct FindPass(pub String);

/// The holder of this token has opened this stream.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Opened {
    /// Whose.
    pub token: String,
    /// Which.
    pub stream_id: String,
}

/// Holds a pass for as long as a run lives, however it ends.
pub(crate) struct Held {
    workspace: Addr<Workspace>,
    token: String,
}

impl Held {
    pub(crate) fn new(workspace: &Addr<Workspace>, token: String, pass: Pass) -> Self {
        workspace.do_send(Grant { token: token.clone(), pass });
        Self { workspace: workspace.clone(), token }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.workspace.do_send(Withdraw(std::mem::take(&mut self.token)));
    }
}
