//! Streams in both directions: finding and starting their actors.

use actix::{AsyncContext as _, Context, Handler, ResponseFuture};
use tokio::sync::oneshot;
use toq_kit::Lifeline;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;

use super::{EndStream, OpenStream, StreamChunk, StreamOpened, Workspace, WorkspaceError};
use crate::outbox::{Express, Lane, Urgent};
use crate::stream::{EndOut, InKey, IncomingStream, OutKey, OutgoingStream, Piece, Start};

type Ctx = Context<Workspace>;

impl Workspace {
    /// The actor of a stream that a peer sends, unless the peer has too many.
    pub(super) fn incoming_stream(
        &mut self,
        peer: PeerKey,
        address: &Address,
        stream_id: &str,
        limit: usize,
        ctx: &mut Ctx,
    ) -> Option<actix::Addr<IncomingStream>> {
        let key = InKey { peer, stream_id: stream_id.to_owned() };
        let is_known = self.incoming.find(&key).is_some();
        if !is_known && self.incoming.iter().filter(|(key, _)| key.peer == peer).count() >= limit {
            return None;
        }
        let (home, seat, parent, from) = (self.home.clone(), self.seat.clone(), ctx.address(), address.clone());
        let stream = self.incoming.find_or_start(&key, |generation| {
            let lifeline = Lifeline::new(key.clone(), generation, parent.recipient());
            seat.start(move |_| IncomingStream::new(home, from, lifeline))
        });
        Some(stream.clone())
    }

    pub(super) fn find_incoming(&self, peer: PeerKey, stream_id: &str) -> Option<actix::Addr<IncomingStream>> {
        self.incoming.find(&InKey { peer, stream_id: stream_id.to_owned() }).cloned()
    }
}

/// The peer is not reachable: its stream takes no place any more.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Unreached(OutKey);

impl Handler<Unreached> for Workspace {
    type Result = ();

    fn handle(&mut self, unreached: Unreached, _: &mut Ctx) {
        self.sending.remove(&unreached.0);
    }
}

/// The peer is reachable: start the stream's actor.
#[derive(actix::Message)]
#[rtype(result = "StreamOpened")]
struct Launch {
    start: Start,
}

impl Handler<OpenStream> for Workspace {
    type Result = ResponseFuture<Result<StreamOpened, WorkspaceError>>;

    fn handle(&mut self, open: OpenStream, ctx: &mut Ctx) -> Self::Result {
        if self.is_draining {
            return Box::pin(async { Err(WorkspaceError::Draining) });
        }
        if self.home.local().locality.includes(&open.to) {
            return Box::pin(async { Err(WorkspaceError::SelfMessage) });
        }
        let limit = self.home.config.limits.max_streams_per_peer;
        let lane = Lane::of(&open.to);
        if self.sending.values().filter(|sending| **sending == lane).count() >= limit {
            return Box::pin(async move { Err(WorkspaceError::TooManyStreams(limit)) });
        }
        let last = self.home.store.reader().last();
        let outbox = self.outbox(&open.to, last, ctx);
        let random = || self.home.new_id().to_string();
        let start = Start {
            stream_id: open.stream_id.unwrap_or_else(random),
            thread_id: open.thread_id.unwrap_or_else(random),
            to: open.to,
            outbox: outbox.clone(),
            only: open.only,
            is_live: true,
        };
        // Counted before the peer is reached, so that many calls at once do not get round the limit.
        let place = OutKey(start.stream_id.clone());
        self.sending.insert(place.clone(), lane);
        let workspace = ctx.address();
        Box::pin(async move {
            let (tell, connected) = oneshot::channel();
            let (say, streams) = oneshot::channel();
            outbox.do_send(Express { urgent: Urgent::Connect(say), only: start.only, tell });
            let gone = || WorkspaceError::Unreachable("the connection was given up".to_owned());
            let connected = connected.await.map_err(|_| gone()).and_then(|connected| connected.map_err(WorkspaceError::Unreachable));
            if let Err(error) = connected {
                workspace.do_send(Unreached(place));
                return Err(error);
            }
            let start = Start { is_live: streams.await.unwrap_or(true), ..start };
            workspace.send(Launch { start }).await.map_err(|_| WorkspaceError::Draining)
        })
    }
}

impl Handler<Launch> for Workspace {
    type Result = actix::MessageResult<Launch>;

    fn handle(&mut self, launch: Launch, ctx: &mut Ctx) -> Self::Result {
        let start = launch.start;
        let opened = StreamOpened { stream_id: start.stream_id.clone(), thread_id: start.thread_id.clone() };
        let key = OutKey(opened.stream_id.clone());
        let (home, seat, parent) = (self.home.clone(), self.seat.clone(), ctx.address());
        self.outgoing.find_or_start(&key, |generation| {
            let lifeline = Lifeline::new(key.clone(), generation, parent.clone().recipient());
            seat.start(move |_| OutgoingStream::new(home, parent, start, lifeline))
        });
        actix::MessageResult(opened)
    }
}

impl Handler<StreamChunk> for Workspace {
    type Result = ResponseFuture<Result<MessageId, WorkspaceError>>;

    fn handle(&mut self, chunk: StreamChunk, _: &mut Ctx) -> Self::Result {
        let Some(stream) = self.outgoing.find(&OutKey(chunk.stream_id)).cloned() else {
            return Box::pin(async { Err(WorkspaceError::UnknownStream) });
        };
        Box::pin(async move { stream.send(Piece(chunk.text)).await.unwrap_or(Err(WorkspaceError::UnknownStream)) })
    }
}

impl Handler<EndStream> for Workspace {
    type Result = ResponseFuture<Result<MessageId, WorkspaceError>>;

    fn handle(&mut self, end: EndStream, _: &mut Ctx) -> Self::Result {
        // Out of the roster first: a chunk after the end meets no stream.
        let Some(stream) = self.outgoing.remove(&OutKey(end.stream_id)) else {
            return Box::pin(async { Err(WorkspaceError::UnknownStream) });
        };
        let order = EndOut { text: end.text, close_thread: end.close_thread, answers: end.answers };
        Box::pin(async move { stream.send(order).await.unwrap_or(Err(WorkspaceError::UnknownStream)) })
    }
}
