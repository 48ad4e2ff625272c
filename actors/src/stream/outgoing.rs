//! A stream that we send.

use std::sync::Arc;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, ResponseActFuture, WrapFuture as _,
};
use tokio::sync::oneshot;
use toq_kit::{Drain, Lifeline};
use toq_protocol::address::Address;
use toq_protocol::auto_reply::mark;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::flow::{Flow, Piece as FlowPiece, assembled_body, chunk_body, end_body};
use toq_protocol::key::PeerKey;
use toq_protocol::message::{self, MessageId};
use toq_store::Batch;
use toq_store::batch::Change;
use toq_store::record::State;

use super::{aborted, described, limits};
use crate::describe::{Describe, Description};
use crate::home::{Counters, Home};
use crate::outbox::{Express, Outbox, Urgent};
use crate::workspace::{Answers, Origin, Patience, Send, Workspace, WorkspaceError};

/// The name of an outgoing stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutKey(pub String);

/// What a stream begins with.
pub struct Start {
    /// Its id.
    pub stream_id: String,
    /// Its conversation.
    pub thread_id: String,
    /// To whom.
    pub to: Address,
    /// The only key that may have it, where it answers somebody.
    pub only: Option<PeerKey>,
    /// Through which lane.
    pub outbox: Addr<Outbox>,
    /// Whether the peer takes streams; one that does not gets the whole as a message.
    pub is_live: bool,
}

/// A stream that we send.
pub struct OutgoingStream {
    home: Arc<Home>,
    workspace: Addr<Workspace>,
    start: Start,
    flow: Flow,
    lifeline: Lifeline<OutKey>,
}

impl OutgoingStream {
    /// Makes the actor of a stream to a peer that was reached.
    #[must_use]
    pub fn new(home: Arc<Home>, workspace: Addr<Workspace>, start: Start, lifeline: Lifeline<OutKey>) -> Self {
        let flow = Flow::new(limits(&home), home.clock.monotonic());
        Self { home, workspace, start, flow, lifeline }
    }

    fn watch(&self, ctx: &mut Context<Self>) {
        let left = self.flow.deadline().saturating_sub(self.home.clock.monotonic());
        ctx.run_later(left, |act, ctx| {
            if act.home.clock.monotonic() < act.flow.deadline() {
                return act.watch(ctx);
            }
            act.abort("no chunk came for too long", ctx);
        });
    }

    /// Notes that the stream came to nothing, and stops.
    fn abort(&mut self, why: &str, ctx: &mut Context<Self>) {
        tracing::warn!(stream = %self.start.stream_id, %why, "a stream was aborted");
        let batch = aborted(&self.home, &self.start.stream_id, self.start.to.wire(), why);
        let journal = self.home.store.journal().clone();
        ctx.wait(async move { journal.commit(batch).await }.into_actor(self).map(|result, act, ctx| {
            if let Err(error) = result {
                tracing::error!(%error, "an aborted stream could not be noted");
            }
            act.lifeline.finish();
            ctx.stop();
        }));
    }

    fn express(&self, urgent: Urgent) -> oneshot::Receiver<Result<(), String>> {
        let (tell, told) = oneshot::channel();
        self.start.outbox.do_send(Express { urgent, only: self.start.only, tell });
        told
    }

    fn too_large(&mut self, ctx: &mut Context<Self>) -> WorkspaceError {
        let limit = self.home.config.limits.stream_max_bytes;
        self.abort("the stream is over its limit", ctx);
        WorkspaceError::Unreachable(format!("a stream may have {limit} bytes"))
    }
}

async fn told(answer: oneshot::Receiver<Result<(), String>>) -> Result<(), WorkspaceError> {
    let lost = || WorkspaceError::Unreachable("the connection was given up".to_owned());
    answer.await.map_err(|_| lost())?.map_err(WorkspaceError::Unreachable)
}

impl Actor for OutgoingStream {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.watch(ctx);
    }
}

/// Send this text; answers when the peer has it.
#[derive(Message)]
#[rtype(result = "Result<MessageId, WorkspaceError>")]
pub struct Piece(pub String);

impl Handler<Piece> for OutgoingStream {
    type Result = ResponseActFuture<Self, Result<MessageId, WorkspaceError>>;

    fn handle(&mut self, piece: Piece, ctx: &mut Self::Context) -> Self::Result {
        let body = chunk_body(&self.start.stream_id, &piece.0);
        let fits = FlowPiece::parse(Some(&body)).is_some_and(|piece| self.flow.chunk(&piece, self.home.clock.monotonic()).is_ok());
        if !fits {
            let error = self.too_large(ctx);
            return Box::pin(async move { Err(error) }.into_actor(self));
        }
        let id = self.home.new_id();
        if !self.start.is_live {
            return Box::pin(async move { Ok(id) }.into_actor(self));
        }
        let answer = self.express(Urgent::Chunk { id, thread_id: self.start.thread_id.clone(), body });
        Box::pin(told(answer).into_actor(self).map(move |result, act, ctx| match result {
            Ok(()) => Ok(id),
            Err(error) => {
                act.abort(&error.to_string(), ctx);
                Err(error)
            }
        }))
    }
}

/// End the stream; answers when the peer has committed it and it is in our history.
#[derive(Message)]
#[rtype(result = "Result<MessageId, WorkspaceError>")]
pub struct EndOut {
    /// The last text.
    pub text: Option<String>,
    /// Whether the conversation ends with it.
    pub close_thread: bool,
    /// What it answers, where no person wrote it.
    pub answers: Option<Answers>,
}

impl Handler<EndOut> for OutgoingStream {
    type Result = ResponseActFuture<Self, Result<MessageId, WorkspaceError>>;

    fn handle(&mut self, end: EndOut, ctx: &mut Self::Context) -> Self::Result {
        let body = end_body(&self.start.stream_id, end.text.as_deref(), self.flow.chunks());
        let whole = FlowPiece::parse(Some(&body)).and_then(|piece| self.flow.end(&piece).ok());
        let Some(whole) = whole else {
            let error = self.too_large(ctx);
            return Box::pin(async move { Err(error) }.into_actor(self));
        };
        if !self.start.is_live {
            return self.end_whole(&whole, &end);
        }
        let body = end.answers.map_or_else(|| body.clone(), |answers| mark(Some(&body), answers.hops));
        let reply_to = end.answers.map(|answers| answers.message.to_string());
        let message = message::Message {
            id: self.home.new_id(),
            kind: Kind::MessageStreamEnd,
            from: self.home.local().address.clone(),
            to: self.start.to.clone(),
            thread_id: Some(self.start.thread_id.clone()),
            reply_to,
            content_type: None,
            timestamp: self.home.wall(),
            ttl: None,
            body: Some(body.clone()),
        };
        let mut stored = message.clone();
        stored.body = Some(assembled_body(&body, &whole));
        let id = message.id;
        let answer = self.express(Urgent::End(Box::new(message)));
        let (home, workspace, to) = (self.home.clone(), self.workspace.clone(), self.start.to.clone());
        let (thread_id, only) = (self.start.thread_id.clone(), self.start.only);
        let ending = async move {
            told(answer).await?;
            home.store.journal().commit(Batch::new(vec![Change::Sent { message: Box::new(stored) }])).await?;
            Counters::count(&home.counters.messages_out);
            if end.close_thread {
                workspace.send(closing(to, thread_id, only, end.answers)).await.map_err(|_| WorkspaceError::Draining)??;
            }
            Ok(id)
        };
        self.see_through(ending)
    }
}

type Ending = ResponseActFuture<OutgoingStream, Result<MessageId, WorkspaceError>>;

impl OutgoingStream {
    /// Ends a stream to a peer that takes none: the whole is a message like any other.
    fn end_whole(&self, whole: &str, end: &EndOut) -> Ending {
        let (workspace, to, thread_id) = (self.workspace.clone(), self.start.to.clone(), self.start.thread_id.clone());
        let text = Json::from_text(whole);
        let (only, answers) = (self.start.only, end.answers);
        let send = Send {
            kind: Kind::MessageSend,
            body: Some(answers.map_or_else(|| text.clone(), |answers| mark(Some(&text), answers.hops))),
            content_type: Some("application/json".to_owned()),
            patience: Patience::Settled,
            ..closing(to.clone(), thread_id.clone(), only, answers)
        };
        let close = end.close_thread.then(|| closing(to, thread_id, only, answers));
        self.see_through(async move {
            let gone = || WorkspaceError::Draining;
            let accepted = workspace.send(send).await.map_err(|_| gone())??.pop().ok_or_else(gone)?;
            let settled = match accepted.settled {
                Some(settled) => settled.await.map_err(|_| gone())?,
                None => return Err(gone()),
            };
            if settled.state != State::Delivered {
                return Err(WorkspaceError::Unreachable(settled.reason.unwrap_or_else(|| settled.state.as_str().to_owned())));
            }
            if let Some(close) = close {
                workspace.send(close).await.map_err(|_| gone())??;
            }
            Ok(accepted.id)
        })
    }

    /// Waits for the end of the end, and stops with it.
    fn see_through(&self, ending: impl Future<Output = Result<MessageId, WorkspaceError>> + 'static) -> Ending {
        Box::pin(ending.into_actor(self).map(|result: Result<MessageId, WorkspaceError>, act, ctx| {
            match &result {
                Ok(_) => {
                    act.lifeline.finish();
                    ctx.stop();
                }
                Err(error) => act.abort(&error.to_string(), ctx),
            }
            result
        }))
    }
}

/// What closes the conversation behind a stream.
fn closing(to: Address, thread_id: String, only: Option<PeerKey>, answers: Option<Answers>) -> Send {
    Send {
        to: vec![to],
        kind: Kind::ThreadClose,
        body: answers.map(|answers| mark(None, answers.hops)),
        thread_id: Some(thread_id),
        reply_to: answers.map(|answers| answers.message.to_string()),
        content_type: None,
        idempotency: None,
        patience: Patience::Accepted,
        origin: if answers.is_some() { Origin::Handler(only) } else { Origin::Owner },
    }
}

/// Tell what ends the stream, with this text for its last, and be done; somebody else sends it. Nothing where it cannot end well.
#[derive(Message)]
#[rtype(result = "Option<Json>")]
pub struct Conclude(pub Option<String>);

impl Handler<Conclude> for OutgoingStream {
    type Result = Option<Json>;

    fn handle(&mut self, last: Conclude, ctx: &mut Self::Context) -> Option<Json> {
        let body = end_body(&self.start.stream_id, last.0.as_deref(), self.flow.chunks());
        let is_whole = FlowPiece::parse(Some(&body)).is_some_and(|piece| self.flow.end(&piece).is_ok());
        self.lifeline.finish();
        ctx.stop();
        (is_whole && self.start.is_live).then_some(body)
    }
}

impl Handler<Drain> for OutgoingStream {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Describe> for OutgoingStream {
    type Result = Description;

    fn handle(&mut self, _: Describe, _: &mut Self::Context) -> Description {
        described(&self.start.stream_id, ("out", "to"), &self.start.to, &self.flow)
    }
}
