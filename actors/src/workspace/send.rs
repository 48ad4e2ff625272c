//! What goes out: ids, one batch, a nudge.

use actix::{ActorFutureExt as _, Context, Handler, ResponseActFuture, WrapFuture as _};
use tokio::sync::oneshot;
use toq_kit::fault;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::message::Message;
use toq_store::batch::{Change, Guard};
use toq_store::record::Direction;
use toq_store::{Batch, Outcome, Seq};

use super::{Accepted, AwaitReply, Idempotency, Origin, Patience, Send, Workspace, WorkspaceError};
use crate::home::Counters;
use crate::outbox::{Await, Lane, Nudge, Settled};
use crate::thread::{Answer, AwaitAnswer, Recorded};

type Ctx = Context<Workspace>;

impl Workspace {
    pub(super) fn message(&self, send: &Send, to: &Address) -> Message {
        let thread_id = send.thread_id.clone().unwrap_or_else(|| self.home.new_id().to_string());
        Message {
            id: self.home.new_id(),
            kind: send.kind,
            from: self.home.local().address.clone(),
            to: to.clone(),
            thread_id: Some(thread_id),
            reply_to: send.reply_to.clone(),
            content_type: send.content_type.clone(),
            timestamp: self.home.wall(),
            ttl: Some(self.home.config.delivery.message_ttl),
            body: send.body.clone(),
        }
    }

    fn check(&self, send: &Send) -> Result<(), WorkspaceError> {
        if self.is_draining {
            return Err(WorkspaceError::Draining);
        }
        self.check_lane(send)
    }

    /// True enough to be put on a lane, whether the workspace goes on or not.
    pub(super) fn check_lane(&self, send: &Send) -> Result<(), WorkspaceError> {
        // Own address or an alias of it: a message to oneself would go round in circles.
        if send.to.iter().any(|to| self.home.local().locality.includes(to)) {
            return Err(WorkspaceError::SelfMessage);
        }
        let bytes = send.body.as_ref().map_or(0, |body| body.as_str().len()).saturating_mul(send.to.len());
        self.home.store.room().take(bytes, self.home.clock.monotonic())?;
        let (reader, limit) = (self.home.store.reader(), self.home.config.max_message_queue as u64);
        let waiting = reader.waiting()?;
        if waiting >= limit {
            return Err(WorkspaceError::OutboxFull(waiting));
        }
        if send.origin == Origin::Owner {
            return Ok(());
        }
        // What peers cause never takes what the owner needs, and no peer takes what others need.
        if waiting >= limit.div_ceil(2) {
            return Err(WorkspaceError::ShareFull(waiting));
        }
        let share = self.home.config.limits.answers_per_address;
        for to in &send.to {
            let lane = Lane::of(to);
            let on_its_way = self.answering.get(&lane).copied().unwrap_or_default();
            if reader.lane_len(&lane.0, share)? + on_its_way >= share {
                return Err(WorkspaceError::LaneFull(share));
            }
        }
        Ok(())
    }
}

impl Workspace {
    /// Counts what is handed to the journal, until [`Workspace::handed_over`]: many answers at once are no way round the share.
    pub(super) fn hand_over(&mut self, send: &Send) -> Vec<Lane> {
        let lanes: Vec<Lane> = if send.origin != Origin::Owner { send.to.iter().map(Lane::of).collect() } else { Vec::new() };
        for lane in &lanes {
            *self.answering.entry(lane.clone()).or_default() += 1;
        }
        lanes
    }

    /// The journal has answered.
    pub(super) fn handed_over(&mut self, lanes: &[Lane]) {
        for lane in lanes {
            if let Some(count) = self.answering.get_mut(lane) {
                *count -= 1;
            }
        }
        self.answering.retain(|_, count| *count > 0);
    }

    /// A message is committed: tells its lane and its thread.
    pub(super) fn launch(&mut self, message: &mut Accepted, patience: Patience, ctx: &mut Ctx) {
        // A message that was accepted earlier may be written, or settled, already.
        let inherited = if message.is_repeated { self.home.store.reader().last() } else { Seq(message.seq.0 - 1) };
        let outbox = self.outbox(&message.to, inherited, ctx);
        if patience == Patience::Settled {
            let (tell, settled) = oneshot::channel::<Settled>();
            outbox.do_send(Await { seq: message.seq, tell });
            message.settled = Some(settled);
        }
        outbox.do_send(Nudge(message.seq));
        if message.is_repeated {
            return;
        }
        let recorded = Recorded { seq: message.seq, direction: Direction::Out, kind: message.kind, at: message.timestamp };
        self.thread(&message.thread_id, ctx).do_send(recorded);
    }
}

fn batch(messages: &[Message], only: Option<PeerKey>, idempotency: Option<Idempotency>) -> Batch {
    let send = |message: &Message| Change::Send { lane: Lane::of(&message.to).0, message: Box::new(message.clone()), only };
    let mut changes: Vec<_> = messages.iter().map(send).collect();
    let Some(idempotency) = idempotency else { return Batch::new(changes) };
    let at = messages.first().map(|message| message.timestamp).unwrap_or_default();
    changes.push(Change::Remember { key: idempotency.key.clone(), fingerprint: idempotency.fingerprint, at });
    Batch::guarded(Guard::FreshKey(idempotency.key), changes)
}

impl Handler<Send> for Workspace {
    type Result = ResponseActFuture<Self, Result<Vec<Accepted>, WorkspaceError>>;

    fn handle(&mut self, send: Send, _: &mut Ctx) -> Self::Result {
        if let Err(error) = self.check(&send) {
            return Box::pin(async move { Err(error) }.into_actor(self));
        }
        let messages: Vec<Message> = send.to.iter().map(|to| self.message(&send, to)).collect();
        let lanes = self.hand_over(&send);
        let fingerprint = send.idempotency.as_ref().map(|idempotency| idempotency.fingerprint);
        let batch = batch(&messages, send.origin.only(), send.idempotency);
        let (home, patience) = (self.home.clone(), send.patience);
        fault::crash_point("before-outbox-commit");
        let committing = async move {
            let outcome = home.store.journal().commit(batch).await;
            fault::crash_point("after-outbox-commit");
            match outcome? {
                Outcome::Committed(seqs) => {
                    messages.iter().for_each(|_| Counters::count(&home.counters.messages_out));
                    Ok(messages.into_iter().zip(seqs).map(|(message, seq)| accept(seq, message)).collect::<Vec<_>>())
                }
                Outcome::Duplicate { fingerprint: earlier, .. } if earlier != fingerprint => Err(WorkspaceError::IdempotencyConflict),
                Outcome::Duplicate { messages, .. } => {
                    let earlier = |seq: Seq| -> Result<Accepted, WorkspaceError> {
                        let entry = home.store.reader().entry(seq)?;
                        let entry = entry.ok_or(toq_store::StoreError::Record { table: "idempotency" })?;
                        Ok(Accepted { is_repeated: true, ..accept(seq, entry.row.message()?) })
                    };
                    messages.into_iter().map(earlier).collect()
                }
            }
        };
        Box::pin(committing.into_actor(self).map(move |accepted, act, ctx| {
            act.handed_over(&lanes);
            let mut accepted = accepted?;
            accepted.iter_mut().for_each(|message| act.launch(message, patience, ctx));
            Ok(accepted)
        }))
    }
}

pub(super) fn accept(seq: Seq, message: Message) -> Accepted {
    Accepted {
        seq,
        id: message.id,
        kind: message.kind,
        thread_id: message.thread_id.unwrap_or_default(),
        timestamp: message.timestamp,
        to: message.to,
        is_repeated: false,
        settled: None,
    }
}

impl Handler<AwaitReply> for Workspace {
    type Result = actix::MessageResult<AwaitReply>;

    fn handle(&mut self, wait: AwaitReply, ctx: &mut Ctx) -> Self::Result {
        let (tell, answered) = oneshot::channel::<Answer>();
        self.thread(&wait.thread_id, ctx).do_send(AwaitAnswer { after: wait.after, agent: wait.agent, tell });
        actix::MessageResult(answered)
    }
}
