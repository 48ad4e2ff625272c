//! One open question: may this peer come in?
//!
//! The question itself is a row; this actor owns its expiry. A deny or an approve ends it, and so does
//! time.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Message};
use toq_kit::{Drain, Lifeline};
use toq_protocol::key::PeerKey;
use toq_protocol::time::Timestamp;

use crate::describe::{Describe, Description};
use crate::home::Home;
use crate::workspace::{Expire, Workspace};

/// How long a question stays open.
pub const LIFETIME: Duration = Duration::from_secs(14 * 24 * 3600);

/// One open question.
pub struct Approval {
    home: Arc<Home>,
    workspace: Addr<Workspace>,
    requested_at: Timestamp,
    lifeline: Lifeline<PeerKey>,
}

impl Approval {
    /// Makes the actor of a question that was asked at `requested_at`.
    #[must_use]
    pub const fn new(home: Arc<Home>, workspace: Addr<Workspace>, requested_at: Timestamp, lifeline: Lifeline<PeerKey>) -> Self {
        Self { home, workspace, requested_at, lifeline }
    }
}

impl Actor for Approval {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let left = LIFETIME.saturating_sub(self.home.wall().since(self.requested_at));
        ctx.run_later(left, |act, _| act.workspace.do_send(Expire(*act.lifeline.key())));
    }
}

/// The question is answered.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Resolved;

impl Handler<Resolved> for Approval {
    type Result = ();

    fn handle(&mut self, _: Resolved, ctx: &mut Self::Context) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Drain> for Approval {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Describe> for Approval {
    type Result = Description;

    fn handle(&mut self, _: Describe, _: &mut Self::Context) -> Description {
        Description::leaf("approval", self.lifeline.key().to_string(), vec![("requested_at", self.requested_at.to_string())])
    }
}
