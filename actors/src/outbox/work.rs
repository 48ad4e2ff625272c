//! Lane rows → window → settled.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_kit::fault;
use toq_protocol::delivery::{Fate, Next, Waiting, fate, is_expired};
use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;
use toq_protocol::reason::Reason;
use toq_protocol::rotation;
use toq_store::batch::Change;
use toq_store::record::State;
use toq_store::{Batch, Seq};

use super::{Outbox, Settled, Urgent};
use crate::connection::{Goodbye, Write};
use crate::home::Counters;
use crate::workspace::{Dial, OutboxIdle};

/// How long an idle lane keeps its actor, and with it its connection.
const IDLE: Duration = Duration::from_secs(300);

/// How many rows of a lane get a note about a failed attempt: those that a reader is likely to ask about.
const NOTED: usize = 32;

/// Why an answer is not written to who is at the other end.
const ANOTHER: &str = "another agent answers at this address; the one that was to have the answer only claimed it";

/// How long to wait after a failed commit before the lane is read again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

type Ctx = Context<Outbox>;

impl Outbox {
    /// Does whatever can be done now.
    pub(super) fn work(&mut self, ctx: &mut Ctx) {
        self.load(ctx);
        self.expire(ctx);
        let now = self.home.clock.monotonic();
        match self.delivery.next(self.waiting(), now) {
            Next::Dial => self.dial(ctx),
            Next::Write => {
                self.write_out(ctx);
                self.watch_acknowledgements(ctx);
            }
            Next::At(until) => self.wake_in(until.saturating_sub(now), ctx),
            Next::Rest if self.is_idle() => self.wake_in(IDLE, ctx),
            Next::Rest => {}
        }
    }

    fn waiting(&self) -> Waiting {
        let is_urgent = !self.express.is_empty() || self.queue.iter().any(|(seq, _)| self.waiters.contains_key(seq));
        match (is_urgent, self.queue.is_empty() && self.carried.is_none()) {
            (true, _) => Waiting::Urgent,
            (false, false) => Waiting::Messages,
            (false, true) => Waiting::Nothing,
        }
    }

    fn is_idle(&self) -> bool {
        !self.is_nudged
            && self.queue.is_empty()
            && self.flying.is_empty()
            && self.settling.is_empty()
            && self.express.is_empty()
            && self.express_flying.is_empty()
    }

    /// Reads rows while there is room in the window.
    fn load(&mut self, ctx: &mut Ctx) {
        let window = self.home.config.delivery.window as usize;
        let room = window.saturating_sub(self.queue.len() + self.flying.len());
        if room == 0 || self.is_lane_read {
            return;
        }
        let rows = match self.home.store.reader().lane(&self.lane.0, self.cursor, room) {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(lane = %self.lane.0, %error, "a lane cannot be read");
                return;
            }
        };
        self.is_lane_read = rows.len() < room;
        let mut unreadable = Vec::new();
        for (seq, waiting) in rows {
            self.cursor = seq;
            self.highest = self.highest.max(seq);
            match waiting {
                _ if self.settling.contains(&seq) => {}
                Some(waiting) => self.queue.push_back((seq, waiting)),
                None => unreadable.push(seq),
            }
        }
        if !unreadable.is_empty() {
            tracing::error!(lane = %self.lane.0.escape_debug(), rows = unreadable.len(), "rows of a lane cannot be read and are given up");
            self.settle(unreadable, State::DeadLetter, Some("its row in the log cannot be read".to_owned()), ctx);
        }
    }

    fn expire(&mut self, ctx: &mut Ctx) {
        let now = self.home.wall();
        let expired: Vec<Seq> = self
            .queue
            .iter()
            .filter(|(_, waiting)| is_expired(waiting.message.timestamp, waiting.message.ttl, now))
            .map(|(seq, _)| *seq)
            .collect();
        self.settle(expired, State::Expired, Some("its lifetime ended before the peer took it".to_owned()), ctx);
    }

    fn dial(&mut self, ctx: &mut Ctx) {
        self.attempt += 1;
        let dial = Dial { target: self.address.clone(), attempt: self.attempt, events: ctx.address().recipient(), outbox: ctx.address() };
        self.workspace.do_send(dial);
    }

    fn write_out(&mut self, ctx: &mut Ctx) {
        let Some(connection) = self.connection.clone().filter(|_| self.is_open) else { return };
        while let Some(express) = self.express.pop_front() {
            if !self.may_have(express.only.as_ref()) {
                drop(express.tell.send(Err(ANOTHER.to_owned())));
                continue;
            }
            let (id, write) = match express.urgent {
                Urgent::Connect(streams) => {
                    // Whoever asked may have given up; that is no error.
                    let _gone = streams.send(self.streams);
                    drop(express.tell.send(Ok(())));
                    continue;
                }
                Urgent::Chunk { id, thread_id, body } => {
                    (id, Write::Chunk { id, to: self.address.clone(), thread_id, body, content_type: None })
                }
                Urgent::End(message) => (message.id, Write::Message(message)),
            };
            self.express_flying.insert(id, express.tell);
            connection.do_send(write);
        }
        while self.carried.is_none()
            && let Some((seq, waiting)) = self.queue.pop_front()
        {
            // The end of a stream says the same and is on its way.
            if self.express_flying.contains_key(&waiting.message.id) {
                self.queue.push_front((seq, waiting));
                break;
            }
            let taken = if self.may_have(waiting.only.as_ref()) { self.take_up(seq, &waiting.message) } else { Err(ANOTHER.to_owned()) };
            if let Err(why) = taken {
                self.queue.push_front((seq, waiting));
                self.settle(vec![seq], State::Rejected, Some(why), ctx);
                continue;
            }
            self.flying.insert(waiting.message.id, seq);
            self.written.insert(seq);
            connection.do_send(Write::Message(Box::new(waiting.message)));
        }
        self.carry_on(ctx);
    }

    /// Whether who is at the other end may have what answers this key: the same key, or the same agent with another one.
    fn may_have(&self, only: Option<&PeerKey>) -> bool {
        let Some((only, met)) = only.zip(self.met.as_ref()) else { return only.is_none() };
        let policy = self.home.policy.borrow();
        let is_same_agent = |known: &PeerKey, key: &PeerKey| known == key || policy.successions().leads(known, key);
        // A session that was opened before the agent replaced its key goes on with the old one. A proof that came with the handshake
        // may not be on disk yet.
        is_same_agent(only, &met.key)
            || is_same_agent(&met.key, only)
            || rotation::leads(&met.rotations, only, &met.key, &met.address.wire(), self.home.wall())
    }

    /// Gives the connection up when nothing is acknowledged for too long: it may be open and nobody there.
    fn watch_acknowledgements(&mut self, ctx: &mut Ctx) {
        if self.ack_timer.is_some() || (self.flying.is_empty() && self.express_flying.is_empty()) {
            return;
        }
        let (attempt, seen) = (self.attempt, self.acknowledgements);
        self.ack_timer = Some(ctx.run_later(self.home.config.ack_timeout, move |act, ctx| {
            act.ack_timer = None;
            let is_silent = act.attempt == attempt && act.acknowledgements == seen;
            let is_waiting = !act.flying.is_empty() || !act.express_flying.is_empty();
            if is_silent && let Some(connection) = act.connection.clone().filter(|_| act.is_open && is_waiting) {
                tracing::warn!(lane = %act.lane.0.escape_debug(), "the peer acknowledges nothing; its connection is given up");
                connection.do_send(Goodbye("no acknowledgement in time"));
                act.attempt += 1;
                return act.lost("the peer acknowledged nothing in time", ctx);
            }
            act.watch_acknowledgements(ctx);
        }));
    }

    /// The attempt failed or the connection is lost: everything is read again later.
    pub(super) fn lost(&mut self, why: &str, ctx: &mut Ctx) {
        self.connection = None;
        self.met = None;
        self.is_open = false;
        self.last_error = Some(why.to_owned());
        for (_, tell) in self.express_flying.drain() {
            drop(tell.send(Err(why.to_owned())));
        }
        for express in self.express.drain(..) {
            drop(express.tell.send(Err(why.to_owned())));
        }
        self.withdraw_awaited(why, ctx);
        if self.queue.is_empty() && self.flying.is_empty() {
            self.delivery.closed();
            self.reread();
            return self.work(ctx);
        }
        let now = self.home.now();
        let until = self.delivery.failed(now.monotonic, self.home.jitter());
        let mut tried: Vec<Seq> = self.flying.values().copied().chain(self.queue.iter().map(|(seq, _)| *seq)).collect();
        tried.sort_unstable();
        tried.truncate(NOTED);
        let next_attempt = now.wall.plus(until.saturating_sub(now.monotonic));
        let note = Change::Attempted { messages: tried.clone(), reason: why.to_owned(), next_attempt, at: now.wall };
        let journal = self.home.store.journal().clone();
        ctx.spawn(async move { journal.commit_soon(Batch::new(vec![note])).await }.into_actor(self).map(|result, act, _| {
            if let Err(error) = result {
                tracing::warn!(lane = %act.lane.0, %error, "a failed attempt could not be noted");
            }
        }));
        let exhausted: Vec<Seq> = tried.into_iter().filter(|seq| self.has_tried_enough(*seq)).collect();
        self.settle(exhausted, State::DeadLetter, Some(why.to_owned()), ctx);
        self.reread();
        self.work(ctx);
    }

    /// Counts an attempt for a message; true where it was the last one that it gets.
    fn has_tried_enough(&mut self, seq: Seq) -> bool {
        if !self.delivery.gives_up() {
            return false;
        }
        let store = &self.home.store;
        let earlier = || store.reader().entry(seq).ok().flatten().map_or(0, |entry| entry.state.attempts);
        let attempts = self.attempts.entry(seq).or_insert_with(earlier);
        *attempts = attempts.saturating_add(1);
        self.delivery.is_exhausted(*attempts)
    }

    /// Takes back what a caller waits for and the peer has certainly never seen.
    fn withdraw_awaited(&mut self, why: &str, ctx: &mut Ctx) {
        let waiting = |seq: &Seq| self.waiters.contains_key(seq) && !self.written.contains(seq) && *seq > self.inherited;
        let awaited: Vec<Seq> = self.queue.iter().map(|(seq, _)| *seq).filter(waiting).collect();
        self.settle(awaited, State::Withdrawn, Some(why.to_owned()), ctx);
    }

    fn reread(&mut self) {
        self.cursor = Seq(0);
        self.queue.clear();
        self.flying.clear();
        self.carried = None;
        self.is_lane_read = false;
    }

    /// Commits the final state of rows and tells who waits.
    ///
    /// Who waits for a delivery hears of it before our own commit: that the peer has the message is on the
    /// peer's disk, and a successor that does not find it here sends again and is told so (decision 0015).
    pub(super) fn settle(&mut self, messages: Vec<Seq>, state: State, reason: Option<String>, ctx: &mut Ctx) {
        if messages.is_empty() {
            return;
        }
        let files = self.put_down(&messages);
        self.queue.retain(|(seq, _)| !messages.contains(seq));
        self.flying.retain(|_, seq| !messages.contains(seq));
        self.settling.extend(&messages);
        let at = self.home.wall();
        let settle = Change::Settle { lane: self.lane.0.clone(), messages: messages.clone(), state, reason: reason.clone(), at };
        let journal = self.home.store.journal().clone();
        if state == State::Delivered {
            fault::crash_point("before-delivered-commit");
        }
        let settled = Settled { state, reason };
        if state == State::Delivered {
            self.tell(&messages, &settled);
        }
        let committing = async move {
            let batch = Batch::new(vec![settle]);
            if state == State::Delivered { journal.commit_soon(batch).await } else { journal.commit(batch).await }
        };
        ctx.spawn(committing.into_actor(self).map(move |result, act, ctx| {
            if state == State::Delivered {
                fault::crash_point("after-delivered-commit");
            }
            act.settling.retain(|seq| !messages.contains(seq));
            if let Err(error) = result {
                // The rows are where they were; they will be sent and recognised again.
                tracing::error!(lane = %act.lane.0, %error, "a final state could not be committed");
                Counters::count(&act.home.counters.failed_commits);
                ctx.run_later(STORE_PAUSE, |act, ctx| {
                    act.reread();
                    act.work(ctx);
                });
                return;
            }
            for seq in &messages {
                act.written.remove(seq);
                act.attempts.remove(seq);
            }
            act.drop_copies(files, ctx);
            act.tell(&messages, &settled);
            act.work(ctx);
        }));
    }

    fn tell(&mut self, messages: &[Seq], settled: &Settled) {
        for seq in messages {
            for tell in self.waiters.remove(seq).unwrap_or_default() {
                drop(tell.send(settled.clone()));
            }
        }
    }

    pub(super) fn acked(&mut self, ids: Vec<MessageId>, ctx: &mut Ctx) {
        self.delivery.progressed();
        self.acknowledgements += 1;
        self.last_error = None;
        let mut delivered = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(tell) = self.express_flying.remove(&id) {
                drop(tell.send(Ok(())));
                delivered.extend(self.queue.iter().filter(|(_, waiting)| waiting.message.id == id).map(|(seq, _)| *seq));
            } else if self.carried.as_ref().is_some_and(|carried| carried.has(&id)) {
                self.chunk_taken(&id);
            } else if let Some(seq) = self.flying.remove(&id) {
                delivered.push(seq);
            }
        }
        self.settle(delivered, State::Delivered, None, ctx);
        self.work(ctx);
    }

    pub(super) fn refused(&mut self, id: MessageId, reason: Reason, text: &str, ctx: &mut Ctx) {
        let why = if text.is_empty() || text == reason.as_str() { reason.to_string() } else { format!("{reason}: {text}") };
        if let Some(tell) = self.express_flying.remove(&id) {
            drop(tell.send(Err(why)));
            return self.work(ctx);
        }
        // A chunk that is refused takes its file with it.
        let announcing = self.carried.as_ref().filter(|carried| carried.has(&id)).map(|carried| carried.seq);
        let Some(seq) = announcing.or_else(|| self.flying.remove(&id)) else { return };
        match fate(reason) {
            Fate::Rejected => self.settle(vec![seq], State::Rejected, Some(why), ctx),
            Fate::Retry => {
                tracing::info!(lane = %self.lane.0, %id, %reason, "the peer cannot take a message now");
                if let Some(connection) = &self.connection {
                    connection.do_send(Goodbye("trying again later"));
                }
                self.flying.insert(id, seq);
            }
        }
    }

    fn wake_in(&mut self, pause: Duration, ctx: &mut Ctx) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(pause, move |act, ctx| {
            act.timer = None;
            if act.is_idle() && pause == IDLE {
                act.workspace.do_send(OutboxIdle { lane: act.lane.clone(), generation: act.lifeline.generation() });
                return;
            }
            act.work(ctx);
        }));
    }
}
