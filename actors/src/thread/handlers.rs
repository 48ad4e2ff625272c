//! Recorded messages → answers.

use std::time::Duration;

use actix::{ActorContext as _, AsyncContext as _, Context, Handler};
use toq_kit::Drain;
use toq_protocol::conversation::ThreadState;
use toq_store::record::Direction;

use super::{AwaitAnswer, Recorded, Thread};
use crate::describe::{Describe, Description};
use crate::workspace::ThreadIdle;

/// How long a conversation stays active without a message.
const IDLE: Duration = Duration::from_secs(60);

type Ctx = Context<Thread>;

impl Thread {
    /// Starts to be idle.
    pub(super) fn rest(&mut self, ctx: &mut Ctx) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(IDLE, |act, ctx| {
            act.timer = None;
            act.waiters.retain(|wait| !wait.tell.is_closed());
            if act.waiters.is_empty() {
                act.workspace.do_send(ThreadIdle { key: act.lifeline.key().clone(), generation: act.lifeline.generation() });
            } else {
                act.rest(ctx);
            }
        }));
    }
}

impl Thread {
    /// Tells the answer if it is in the log, else keeps waiting.
    fn answer(&mut self, wait: AwaitAnswer) {
        match self.home.store.reader().answer(&self.lifeline.key().id, wait.after, &wait.agent) {
            Ok(Some(seq)) => {
                // Whoever waited may have gone; that is no error.
                let _gone = wait.tell.send(seq);
            }
            Ok(None) => self.waiters.push(wait),
            Err(error) => tracing::error!(%error, "a thread cannot be read"),
        }
    }
}

impl Handler<Recorded> for Thread {
    type Result = ();

    fn handle(&mut self, recorded: Recorded, ctx: &mut Ctx) {
        self.conversation.step(recorded.kind, recorded.at);
        if recorded.direction == Direction::In {
            for wait in std::mem::take(&mut self.waiters) {
                self.answer(wait);
            }
        }
        self.rest(ctx);
    }
}

impl Handler<AwaitAnswer> for Thread {
    type Result = ();

    fn handle(&mut self, wait: AwaitAnswer, _: &mut Ctx) {
        // The answer may have come between the question's commit and this command.
        self.answer(wait);
    }
}

impl Handler<Drain> for Thread {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Ctx) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Describe> for Thread {
    type Result = Description;

    fn handle(&mut self, _: Describe, _: &mut Ctx) -> Description {
        let head = self.conversation.head();
        let state = match head.state {
            ThreadState::Open => "open",
            ThreadState::Closed => "closed",
        };
        Description::leaf(
            "thread",
            self.lifeline.key().id.clone(),
            vec![("state", state.to_owned()), ("messages_seen", head.messages.to_string()), ("waiting", self.waiters.len().to_string())],
        )
    }
}
