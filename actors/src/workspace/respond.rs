//! Automatic answers: committed once, together with the confirmation of what they answer.
//!
//! A streamed answer is no exception. Its whole text is committed as a message before the peer is told of the end of the stream, and
//! that end has the message's id. So whatever is lost on the way, the end or its acknowledgement, the message goes again, a peer that
//! has it recognises it, and no later attempt of the handler says it a second time.

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseActFuture, WrapFuture as _};
use tokio::sync::oneshot;
use toq_protocol::auto_reply::mark;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::Message as Row;
use toq_store::batch::{Change, Guard};
use toq_store::{Batch, Outcome, Seq};

use super::send::accept;
use super::{Patience, Send, Workspace, WorkspaceError};
use crate::handler::Streamed;
use crate::home::Counters;
use crate::outbox::{Express, Lane, Nudge, Urgent};
use crate::stream::{Conclude, OutKey};

type Ctx = Context<Workspace>;

/// Send an answer and confirm what it answers, in one commit. Where that was confirmed already, nothing is sent.
#[derive(Message)]
#[rtype(result = "Result<(), WorkspaceError>")]
pub struct Respond {
    /// The answer.
    pub send: Send,
    /// What closes the conversation behind it.
    pub close: Option<Send>,
    /// The stream by which the peer has the beginning of it.
    pub stream: Option<Streamed>,
    /// How many automatic answers it makes.
    pub hops: u32,
    /// Whose.
    pub consumer: String,
    /// To which message.
    pub seq: Seq,
}

impl Workspace {
    /// Puts a committed answer on its way.
    fn send_off(&mut self, answer: Vec<(Seq, Row)>, only: Option<PeerKey>, stream: Option<(Streamed, u32)>, ctx: &mut Ctx) {
        let open = stream.and_then(|(stream, hops)| Some((self.outgoing.remove(&OutKey(stream.stream_id.clone()))?, stream, hops)));
        let Some((actor, stream, hops)) = open else { return self.launch_all(answer, ctx) };
        let concluding = actor.send(Conclude(stream.rest));
        ctx.spawn(concluding.into_actor(self).map(move |end, act, ctx| {
            if let (Some(end), Some((seq, whole))) = (end.ok().flatten(), answer.first()) {
                let end = Row {
                    kind: Kind::MessageStreamEnd,
                    content_type: None,
                    ttl: None,
                    body: Some(mark(Some(&end), hops)),
                    ..whole.clone()
                };
                act.express_end(*seq, end, only, ctx);
            }
            act.launch_all(answer, ctx);
        }));
    }

    fn launch_all(&mut self, messages: Vec<(Seq, Row)>, ctx: &mut Ctx) {
        for (seq, message) in messages {
            self.launch(&mut accept(seq, message), Patience::Accepted, ctx);
        }
    }

    /// Ends the stream with an envelope that has the answer's id. The lane, which is told first, keeps the answer back meanwhile.
    fn express_end(&mut self, seq: Seq, end: Row, only: Option<PeerKey>, ctx: &mut Ctx) {
        let outbox = self.outbox(&end.to, Seq(seq.0 - 1), ctx);
        // What becomes of it is seen in the lane.
        let (tell, _told) = oneshot::channel();
        outbox.do_send(Nudge(seq));
        outbox.do_send(Express { urgent: Urgent::End(Box::new(end)), only, tell });
    }

    /// Ends a stream whose answer was committed by an earlier attempt.
    fn abandon(&mut self, stream: Option<Streamed>) {
        if let Some(actor) = stream.and_then(|stream| self.outgoing.remove(&OutKey(stream.stream_id))) {
            actor.do_send(toq_kit::Drain { grace: std::time::Duration::ZERO });
        }
    }
}

impl Handler<Respond> for Workspace {
    type Result = ResponseActFuture<Self, Result<(), WorkspaceError>>;

    fn handle(&mut self, respond: Respond, _: &mut Ctx) -> Self::Result {
        let Respond { send, close, stream, hops, consumer, seq } = respond;
        let ready = match send.to.first() {
            // The end of the daemon is no reason to lose an answer: it is committed, and sent at the next start.
            Some(to) => self.check_lane(&send).map(|()| (self.message(&send, to), close.map(|close| self.message(&close, to)))),
            None => Err(WorkspaceError::SelfMessage),
        };
        let (answer, close) = match ready {
            Ok(messages) => messages,
            Err(error) => return Box::pin(async move { Err(error) }.into_actor(self)),
        };
        let (lane, only) = (Lane::of(&answer.to).0, send.origin.only());
        let sends = [Some(&answer), close.as_ref()].into_iter().flatten();
        let mut changes: Vec<Change> =
            sends.map(|message| Change::Send { lane: lane.clone(), message: Box::new(message.clone()), only }).collect();
        changes.push(Change::Confirm(consumer.clone(), vec![seq]));
        let batch = Batch::guarded(Guard::Unconfirmed(consumer, seq), changes);
        let (home, lanes) = (self.home.clone(), self.hand_over(&send));
        let committing = async move { home.store.journal().commit(batch).await };
        Box::pin(committing.into_actor(self).map(move |outcome, act, ctx| {
            act.handed_over(&lanes);
            let Outcome::Committed(seqs) = outcome? else {
                act.abandon(stream);
                return Ok(());
            };
            Counters::count(&act.home.counters.messages_out);
            if !act.is_draining {
                let committed = seqs.into_iter().zip(std::iter::once(answer).chain(close)).collect();
                act.send_off(committed, only, stream.map(|stream| (stream, hops)), ctx);
            }
            Ok(())
        }))
    }
}
