//! A stream that a peer sends.

use std::sync::Arc;

use actix::{Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use toq_kit::{Drain, Lifeline};
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Envelope;
use toq_protocol::flow::{self, Aborted, Flow};
use toq_protocol::key::PeerKey;
use toq_protocol::message;

use super::{aborted, described, limits};
use crate::describe::{Describe, Description};
use crate::home::Home;
use crate::live::LiveChunk;

/// The name of an incoming stream: an id is unique only for its sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InKey {
    /// Who sends it.
    pub peer: PeerKey,
    /// Its id.
    pub stream_id: String,
}

/// A stream that a peer sends.
pub struct IncomingStream {
    home: Arc<Home>,
    from: Address,
    flow: Flow,
    lifeline: Lifeline<InKey>,
}

impl IncomingStream {
    /// Makes the actor of a stream that begins.
    #[must_use]
    pub fn new(home: Arc<Home>, from: Address, lifeline: Lifeline<InKey>) -> Self {
        let flow = Flow::new(limits(&home), home.clock.monotonic());
        Self { home, from, flow, lifeline }
    }

    fn watch(&self, ctx: &mut Context<Self>) {
        let left = self.flow.deadline().saturating_sub(self.home.clock.monotonic());
        ctx.run_later(left, |act, ctx| {
            if act.home.clock.monotonic() < act.flow.deadline() {
                return act.watch(ctx);
            }
            act.abort(Aborted::Idle, ctx);
        });
    }

    fn abort(&mut self, why: Aborted, ctx: &mut Context<Self>) {
        let stream_id = self.lifeline.key().stream_id.clone();
        tracing::warn!(peer = %self.lifeline.key().peer.short(), stream = %stream_id.escape_debug(), %why, "a stream was aborted");
        let batch = aborted(&self.home, &stream_id, self.from.wire(), &why.to_string());
        let journal = self.home.store.journal().clone();
        ctx.wait(async move { journal.commit(batch).await }.into_actor(self).map(|result, act, ctx| {
            if let Err(error) = result {
                tracing::error!(%error, "an aborted stream could not be noted");
            }
            act.lifeline.finish();
            ctx.stop();
        }));
    }
}

impl Actor for IncomingStream {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.watch(ctx);
    }
}

/// A piece came.
#[derive(Message)]
#[rtype(result = "Result<(), Aborted>")]
pub struct Chunk {
    /// What came.
    pub envelope: Box<Envelope>,
    /// Its body, read.
    pub piece: flow::Piece,
}

impl Handler<Chunk> for IncomingStream {
    type Result = Result<(), Aborted>;

    fn handle(&mut self, chunk: Chunk, ctx: &mut Self::Context) -> Self::Result {
        if let Err(why) = self.flow.chunk(&chunk.piece, self.home.clock.monotonic()) {
            self.abort(why, ctx);
            return Err(why);
        }
        let live = LiveChunk {
            id: chunk.envelope.id,
            from: self.from.wire(),
            peer: self.lifeline.key().peer,
            thread_id: chunk.envelope.thread_id,
            body: chunk.envelope.body,
            timestamp: self.home.wall(),
        };
        // Nobody watching is not an error; the whole message is stored at the end.
        drop(self.home.live.send(Arc::new(live)));
        Ok(())
    }
}

/// The end came; answers with the whole message.
#[derive(Message)]
#[rtype(result = "Result<Box<message::Message>, Aborted>")]
pub struct End {
    /// What came.
    pub message: Box<message::Message>,
    /// Its body, read.
    pub piece: flow::Piece,
}

impl Handler<End> for IncomingStream {
    type Result = Result<Box<message::Message>, Aborted>;

    fn handle(&mut self, end: End, ctx: &mut Self::Context) -> Self::Result {
        match self.flow.end(&end.piece) {
            Ok(whole) => {
                // It stays until it is idle: should the commit fail, the peer sends the end again.
                let mut message = *end.message;
                message.body = Some(flow::assembled_body(message.body.as_ref().unwrap_or(&Json::from_canonical("{}")), &whole));
                ctx.run_later(self.home.config.ack_timeout, |act, ctx| {
                    act.lifeline.finish();
                    ctx.stop();
                });
                Ok(Box::new(message))
            }
            Err(why) => {
                self.abort(why, ctx);
                Err(why)
            }
        }
    }
}

/// The message of a stream whose chunks made `text`.
#[must_use]
pub fn assembled(mut message: message::Message, piece: &flow::Piece, text: &str) -> message::Message {
    let last = piece.data.as_ref().and_then(|data| data.get("text")).and_then(|text| text.as_str()).unwrap_or_default();
    let end = message.body.clone().unwrap_or_else(|| Json::from_canonical("{}"));
    message.body = Some(flow::assembled_body(&end, &format!("{text}{last}")));
    message
}

impl Handler<Drain> for IncomingStream {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Describe> for IncomingStream {
    type Result = Description;

    fn handle(&mut self, _: Describe, _: &mut Self::Context) -> Description {
        described(&self.lifeline.key().stream_id, ("in", "from"), &self.from, &self.flow)
    }
}
