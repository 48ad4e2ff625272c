//! Rows → runs, and what the handler is told.

use std::time::Duration;

use actix::{
    ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, ResponseActFuture, ResponseFuture, WrapFuture as _,
};
use tokio::sync::{oneshot, watch};
use toq_kit::Drain;
use toq_protocol::Kind;
use toq_store::batch::{Change, Guard};
use toq_store::record::{ConsumerRow, Direction, MessageRow};
use toq_store::{Batch, Seq, StoreError};

use super::messages::Look;
use super::queue::SHARE;
use super::run::{Ended, Run, commit};
use super::{HandlerActor, Pause, Redefine, Resume, Retry, RunSeat, Show, Stop, View};
use crate::describe::{Describe, Description};

/// How many rows are read at once.
const PAGE: usize = 64;

/// How many messages are read ahead. Of one conversation there are few, so one that rests holds back no other.
const AHEAD: usize = 1024;

/// How many messages that are not wanted may wait to be confirmed.
const SKIPPED: usize = 64;

/// How long they may wait.
const SKIPPED_PAUSE: Duration = Duration::from_secs(1);

type Ctx = Context<HandlerActor>;

impl HandlerActor {
    /// Finds its place in the log, or takes one at the end.
    pub(super) fn begin(&self, ctx: &mut Ctx) {
        let (home, consumer) = (self.home.clone(), self.consumer.clone());
        let end = home.store.reader().last();
        let place = async move {
            loop {
                match home.store.reader().consumer(&consumer) {
                    // What came while it was switched off is not for it.
                    Ok(Some(row)) if row.rests_from.is_some() => commit(&home, Batch::new(vec![Change::Wake(consumer.clone())])).await,
                    Ok(Some(row)) => return row,
                    Ok(None) => commit(&home, Batch::new(vec![Change::AddConsumer(consumer.clone(), end)])).await,
                    Err(error) => {
                        tracing::error!(%error, "a handler's place cannot be read");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        };
        ctx.wait(place.into_actor(self).map(|row: ConsumerRow, act, ctx| {
            act.cursor = Seq(row.low_water);
            act.take_up(row.retried().iter().copied().map(Seq));
            act.done = row;
            let mut news = act.home.store.reader().watch();
            news.mark_changed();
            follow(news, act, ctx);
        }));
    }

    /// Reads on and begins what can begin.
    fn look(&mut self, ctx: &mut Ctx) {
        match self.catch_up().and_then(|()| self.read()) {
            Ok(true) => ctx.notify(Look),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(handler = %self.lifeline.key().0, %error, "a handler waits for the disk");
                ctx.run_later(Duration::from_secs(1), |act, ctx| act.look(ctx));
            }
        }
        self.confirm_skipped(ctx);
        self.start_runs(ctx);
    }

    /// Reads a page; true where there may be more.
    fn read(&mut self) -> Result<bool, StoreError> {
        if self.queue.len() >= AHEAD || self.is_draining {
            return Ok(false);
        }
        let rows = self.home.store.reader().messages_after(self.cursor, PAGE)?;
        let is_full = rows.len() == PAGE;
        for (seq, row) in rows {
            self.cursor = seq;
            if row.direction() != Direction::In || self.done.is_confirmed(seq.0) {
                continue;
            }
            if self.wants(&row) {
                self.queue.read(seq, conversation(&row));
            } else {
                self.skipped.push(seq);
            }
        }
        Ok(is_full)
    }

    /// Reads on in conversations that were left in the log and have room by now.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        if self.is_draining {
            return Ok(());
        }
        while let Some((name, from)) = self.queue.take_behind() {
            if let Err(error) = self.go_on(&name, from) {
                self.queue.goes_on(name, from);
                return Err(error);
            }
        }
        Ok(())
    }

    fn go_on(&mut self, name: &str, from: Seq) -> Result<(), StoreError> {
        let Some((_, thread)) = name.split_once(' ') else { return Ok(()) };
        let reader = self.home.store.reader();
        let place = reader.consumer(&self.consumer)?.unwrap_or_default();
        let rows = reader.thread_rows(thread, Seq(from.0.saturating_sub(1)), self.cursor, PAGE)?;
        let is_full = rows.len() == PAGE;
        let (mut room, mut seen) = (SHARE / 2, from);
        for (seq, row) in rows {
            let whose = conversation(&row);
            if row.direction() == Direction::In && place.is_open(seq.0) && whose.as_deref() == Some(name) {
                if room == 0 {
                    self.queue.goes_on(name.to_owned(), seq);
                    return Ok(());
                }
                if self.wants(&row) {
                    self.queue.push(seq, whose);
                    room -= 1;
                } else {
                    self.skipped.push(seq);
                }
            }
            seen = seq;
        }
        if is_full {
            self.queue.goes_on(name.to_owned(), Seq(seen.0 + 1));
        }
        Ok(())
    }

    /// Queues messages that were set aside and are open again, whatever the filter says by now: their owner asked for it.
    fn take_up(&mut self, messages: impl Iterator<Item = Seq>) {
        for seq in messages {
            let entry = self.home.store.reader().entry(seq);
            // What cannot be read or is gone has its run all the same, which sees to that.
            self.queue.push_asked(seq, entry.ok().flatten().and_then(|entry| conversation(&entry.row)));
        }
    }

    /// What waits is handled by the definition in force: what its filter does not want any more is done with, unless its owner asked
    /// for it.
    fn recheck(&mut self) {
        let unwanted = |seq: &Seq| matches!(self.home.store.reader().entry(*seq), Ok(Some(entry)) if !self.wants(&entry.row));
        let unwanted: Vec<Seq> = self.queue.unasked().filter(unwanted).collect();
        unwanted.iter().for_each(|seq| self.queue.finish(*seq));
        self.skipped.extend(unwanted);
    }

    /// A row that cannot be read is taken: its run sets it aside, where it is seen.
    fn wants(&self, row: &MessageRow) -> bool {
        let (Ok(message), Some(kind)) = (row.message(), Kind::parse(row.kind())) else { return true };
        // Whoever is let in may claim any address; a filter that names one means the agent that is there.
        let from = row.proof().is_proven().then(|| message.from.wire());
        let Some(peer) = row.peer() else { return self.filter.wants(from.as_deref(), None, kind) };
        // A filter that names a key means the agent, also after it has replaced the key.
        self.home.policy.borrow().successions().lineage(&peer).any(|key| self.filter.wants(from.as_deref(), Some(key), kind))
    }

    fn confirm_skipped(&mut self, ctx: &mut Ctx) {
        if self.skipped.is_empty() {
            return;
        }
        if self.skipped.len() < SKIPPED {
            ctx.run_later(SKIPPED_PAUSE, |act, ctx| act.flush_skipped(ctx));
        } else {
            self.flush_skipped(ctx);
        }
    }

    fn flush_skipped(&mut self, ctx: &mut Ctx) {
        let skipped = std::mem::take(&mut self.skipped);
        if skipped.is_empty() {
            return;
        }
        let (home, batch) = (self.home.clone(), Batch::new(vec![Change::Confirm(self.consumer.clone(), skipped)]));
        ctx.spawn(async move { commit(&home, batch).await }.into_actor(self));
    }

    fn start_runs(&mut self, ctx: &mut Ctx) {
        if self.is_draining || self.is_paused || self.broken.is_some() {
            return;
        }
        let Ok(work) = self.work.clone() else { return };
        let now = self.home.clock.monotonic();
        while self.runs.len() < self.definition.concurrency {
            let Some(seq) = self.queue.take(now) else { break };
            let (process, watched) = watch::channel(None);
            let run = Run {
                home: self.home.clone(),
                workspace: self.workspace.clone(),
                handler: self.lifeline.key().clone(),
                definition: self.definition.clone(),
                work: work.clone(),
                seats: self.seats.clone(),
                seq,
                process,
            };
            let future = ctx.spawn(run.run().into_actor(self).map(move |ended, act, ctx| act.ended(seq, ended, ctx)));
            self.runs.insert(seq.0, RunSeat { future, process: watched });
        }
        self.wake_later(now, ctx);
    }

    /// Looks again when a message has rested.
    fn wake_later(&mut self, now: Duration, ctx: &mut Ctx) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(at) = self.queue.next_time(now) {
            self.timer = Some(ctx.run_later(at.saturating_sub(now), |act, ctx| {
                act.timer = None;
                act.look(ctx);
            }));
        }
    }

    fn ended(&mut self, seq: Seq, ended: Ended, ctx: &mut Ctx) {
        self.runs.remove(&seq.0);
        let now = self.home.clock.monotonic();
        match ended {
            Ended::Done => self.queue.finish(seq),
            Ended::Again(pause) => self.queue.rest(seq, now + pause),
            Ended::Broken(reason) => {
                tracing::error!(handler = %self.lifeline.key().0, reason = %reason.escape_debug(), "a handler is broken; it rests until it is told to go on");
                self.queue.rest(seq, now);
                self.broken = Some(reason);
            }
        }
        if self.is_draining && self.runs.is_empty() {
            return self.leave(Vec::new(), ctx);
        }
        self.look(ctx);
    }

    /// Ends runs at once. Their futures are dropped, and with them whatever they had started.
    fn cut(&mut self, wanted: impl Fn(&RunSeat) -> bool, ctx: &mut Ctx) -> Vec<Seq> {
        let cut: Vec<u64> = self.runs.iter().filter(|(_, run)| wanted(run)).map(|(seq, _)| *seq).collect();
        for seq in &cut {
            if let Some(run) = self.runs.remove(seq) {
                ctx.cancel_future(run.future);
            }
        }
        cut.into_iter().map(Seq).collect()
    }

    /// The orderly end: what was cut short gets its attempt back.
    fn leave(&mut self, cut: Vec<Seq>, ctx: &mut Ctx) {
        let mut changes = Vec::new();
        if !cut.is_empty() {
            changes.push(Change::TakeBack(self.consumer.clone(), cut));
        }
        if !self.skipped.is_empty() {
            changes.push(Change::Confirm(self.consumer.clone(), std::mem::take(&mut self.skipped)));
        }
        let journal = self.home.store.journal().clone();
        let last = async move { if changes.is_empty() { Ok(()) } else { journal.commit(Batch::new(changes)).await.map(drop) } };
        ctx.wait(last.into_actor(self).map(|result: Result<(), StoreError>, act, ctx| {
            if let Err(error) = result {
                tracing::warn!(%error, "a handler's last progress is not on disk; some messages are tried again");
            }
            for told in act.drains.drain(..) {
                // Whoever waited may have given up; that is no error.
                let _gone = told.send(());
            }
            act.lifeline.finish();
            ctx.stop();
        }));
    }
}

/// Whose conversation a message belongs to.
fn conversation(row: &MessageRow) -> Option<String> {
    row.thread_id().map(|thread| format!("{} {thread}", row.peer().map(|key| key.to_string()).unwrap_or_default()))
}

fn follow(mut news: watch::Receiver<Seq>, act: &mut HandlerActor, ctx: &mut Ctx) {
    let waiting = async move { news.changed().await.map(|()| news) };
    ctx.spawn(waiting.into_actor(act).map(|news, act, ctx| {
        if let Ok(news) = news {
            act.look(ctx);
            follow(news, act, ctx);
        }
    }));
}

impl Handler<Look> for HandlerActor {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Ctx) {
        self.look(ctx);
    }
}

impl Handler<Redefine> for HandlerActor {
    type Result = ();

    fn handle(&mut self, new: Redefine, ctx: &mut Ctx) {
        self.filter = new.definition.filter();
        self.definition = new.definition;
        self.work = new.work;
        self.broken = None;
        self.recheck();
        self.look(ctx);
    }
}

impl Handler<Retry> for HandlerActor {
    type Result = ();

    fn handle(&mut self, retry: Retry, ctx: &mut Ctx) {
        self.take_up(retry.0.into_iter());
        self.look(ctx);
    }
}

impl Handler<Pause> for HandlerActor {
    type Result = ();

    fn handle(&mut self, _: Pause, _: &mut Ctx) {
        self.is_paused = true;
    }
}

impl Handler<Resume> for HandlerActor {
    type Result = ();

    fn handle(&mut self, _: Resume, ctx: &mut Ctx) {
        self.is_paused = false;
        self.broken = None;
        self.look(ctx);
    }
}

impl Handler<Stop> for HandlerActor {
    type Result = ResponseActFuture<Self, usize>;

    fn handle(&mut self, stop: Stop, ctx: &mut Ctx) -> Self::Result {
        let cut = self.cut(|run| stop.process.is_none_or(|process| *run.process.borrow() == Some(process)), ctx);
        let (home, at) = (self.home.clone(), self.home.wall());
        let set_aside = |seq: &Seq| {
            let change = Change::SetAside {
                consumer: self.consumer.clone(),
                message: *seq,
                reason: format!("handler {}: stopped by its owner", self.lifeline.key().0),
                at,
            };
            // An answer that was on its way to the disk when its run was cut may have confirmed the message.
            Batch::guarded(Guard::Unconfirmed(self.consumer.clone(), *seq), vec![change])
        };
        let batches: Vec<Batch> = cut.iter().map(set_aside).collect();
        let committed = async move {
            for batch in batches {
                commit(&home, batch).await;
            }
        };
        Box::pin(committed.into_actor(self).map(move |(), act, ctx| {
            cut.iter().for_each(|seq| act.queue.finish(*seq));
            act.look(ctx);
            cut.len()
        }))
    }
}

impl Handler<Show> for HandlerActor {
    type Result = View;

    fn handle(&mut self, _: Show, _: &mut Ctx) -> View {
        View {
            definition: self.definition.clone(),
            condition: self.condition(),
            active: self.runs.len(),
            processes: self.runs.values().filter_map(|run| *run.process.borrow()).collect(),
            waiting: self.queue.len() - self.runs.len().min(self.queue.len()),
            cursor: self.cursor,
        }
    }
}

impl Handler<Drain> for HandlerActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, order: Drain, ctx: &mut Ctx) -> Self::Result {
        self.is_draining = true;
        let (tell, told) = oneshot::channel();
        self.drains.push(tell);
        if self.runs.is_empty() {
            self.leave(Vec::new(), ctx);
        } else {
            // A little earlier than whoever waits gives up.
            ctx.run_later(order.grace.mul_f32(0.9), |act, ctx| {
                let cut = act.cut(|_| true, ctx);
                act.leave(cut, ctx);
            });
        }
        Box::pin(async move { drop(told.await) })
    }
}

impl Handler<Describe> for HandlerActor {
    type Result = Description;

    fn handle(&mut self, _: Describe, _: &mut Ctx) -> Description {
        let condition = self.condition();
        let detail = vec![
            ("state", condition.as_str().to_owned()),
            ("runs", self.runs.len().to_string()),
            ("seats", self.definition.concurrency.to_string()),
            ("waiting", (self.queue.len() - self.runs.len().min(self.queue.len())).to_string()),
            ("cursor", self.cursor.0.to_string()),
        ];
        Description::leaf("handler", self.lifeline.key().0.clone(), detail)
    }
}
