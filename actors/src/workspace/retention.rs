//! Forgetting what is old, in small batches while nothing else happens.
//!
//! A message goes when it is older than the configuration keeps, is not among the newest, waits for nobody and is confirmed by
//! every consumer. By what its repetition is recognised stays for longer than a message can live.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_store::batch::Change;
use toq_store::{Batch, Seq};

use super::Workspace;

/// How often the log is gone through.
const PASS: Duration = Duration::from_secs(3600);

/// How long to wait between two batches, and for a moment in which nothing is committed.
const PAUSE: Duration = Duration::from_millis(250);

/// How often to wait for such a moment; a daemon that is always busy must forget too.
const PATIENCE: u32 = 40;

/// How many messages one batch deletes.
const BATCH: usize = 256;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long repetitions are recognised: a message lives at most 30 days, and may be that old when it comes.
const SEEN: Duration = Duration::from_secs(60 * 24 * 3600);

/// How long an answer is kept for those who ask again with the same idempotency key.
const KEYS: Duration = DAY;

type Ctx = Context<Workspace>;

/// A pass over the log.
#[derive(Clone, Copy)]
struct Pass {
    /// How far it has come.
    at: Seq,
    /// The end of the log when it was last looked at.
    tail: Seq,
    waited: u32,
}

impl Workspace {
    /// Begins a pass now and from time to time.
    pub(super) fn retain(&self, ctx: &mut Ctx) {
        let pass = Pass { at: Seq(0), tail: self.home.store.reader().last(), waited: 0 };
        ctx.run_later(PAUSE, move |act, ctx| act.step(pass, ctx));
        ctx.run_later(PASS, |act, ctx| act.retain(ctx));
    }

    fn step(&self, mut pass: Pass, ctx: &mut Ctx) {
        let reader = self.home.store.reader();
        let tail = reader.last();
        if tail != pass.tail && pass.waited < PATIENCE {
            (pass.tail, pass.waited) = (tail, pass.waited + 1);
            ctx.run_later(PAUSE, move |act, ctx| act.step(pass, ctx));
            return;
        }
        let (config, now) = (&self.home.config, self.home.wall());
        let before = now.minus(DAY * config.thread_cleanup_days);
        let found = match reader.expendable(pass.at, before, config.message_history_limit, BATCH) {
            Ok(found) => found,
            Err(error) => return tracing::error!(%error, "old messages cannot be found"),
        };
        let changes = vec![
            Change::Forget { messages: found.messages, at: now },
            Change::ForgetEvents(before),
            Change::ForgetKeys(now.minus(KEYS)),
            Change::ForgetSeen(now.minus(SEEN)),
        ];
        let home = self.home.clone();
        let forgetting = async move { home.store.journal().commit(Batch::new(changes)).await };
        ctx.spawn(forgetting.into_actor(self).map(move |result, act, ctx| match result {
            Ok(_) => {
                act.home.store.room().give(found.bytes);
                let oldest = act.home.store.reader().events_after(Seq(0), 1).ok().and_then(|mut events| events.pop());
                // The newest row stays, however old it is.
                let is_old = |(seq, event): (Seq, toq_store::record::EventRow)| {
                    event.timestamp < before.as_nanos() && seq < act.home.store.reader().last()
                };
                let has_old_events = oldest.is_some_and(is_old);
                // What has no next message goes on behind the last one, where there is nothing to find, for its events.
                let next = found.next.or_else(|| has_old_events.then(|| act.home.store.reader().last()));
                if let Some(at) = next {
                    let pass = Pass { at, tail: act.home.store.reader().last(), waited: 0 };
                    ctx.run_later(PAUSE, move |act, ctx| act.step(pass, ctx));
                }
            }
            Err(error) => tracing::warn!(%error, "old messages could not be deleted; the next pass tries again"),
        }));
    }
}
