//! Forgetting what is old, in small batches while nothing else happens.
//!
//! A message goes when it is older than the configuration keeps, is not among the newest, waits for nobody and is confirmed by
//! every consumer. By what its repetition is recognised stays for longer than a message can live.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_store::batch::Change;
use toq_store::{Batch, Seq, StoreError};

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

/// How long an accepted challenge is remembered, so that a recorded handshake is good for nothing; its envelope is stale long before.
const CHALLENGES: Duration = DAY;

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
        let (home, now) = (self.home.clone(), self.home.wall());
        let before = now.minus(DAY * home.config.thread_cleanup_days);
        let forgetting = async move {
            let (reader, keep) = (home.store.reader().clone(), home.config.message_history_limit);
            // Many rows are read, and the thread of this actor carries messages.
            let looking = tokio::task::spawn_blocking(move || reader.expendable(pass.at, before, keep, BATCH));
            let found = looking.await.map_err(|_| StoreError::Closed)??;
            let mut changes = vec![
                Change::Forget { messages: found.messages, at: now },
                Change::ForgetEvents(before),
                Change::ForgetKeys(now.minus(KEYS)),
                Change::TrimChallenges(now.minus(CHALLENGES)),
                Change::ForgetSeen(now.minus(SEEN)),
            ];
            for message in found.unreadable {
                tracing::error!(place = %message, "a row of the log cannot be read; it stays where it is");
                changes.push(Change::Unreadable { message, at: now });
            }
            home.store.journal().commit(Batch::new(changes)).await?;
            home.store.room().give(found.bytes);
            let reader = home.store.reader();
            let has_more = reader.has_events_before(before)? || reader.has_aged(now.minus(KEYS), now.minus(CHALLENGES))?;
            // What has no next message goes on behind the last one, where there is nothing to find, for the others.
            Ok::<_, StoreError>(found.next.or_else(|| has_more.then(|| reader.last())))
        };
        ctx.spawn(forgetting.into_actor(self).map(|next, act, ctx| match next {
            Ok(Some(at)) => {
                let pass = Pass { at, tail: act.home.store.reader().last(), waited: 0 };
                ctx.run_later(PAUSE, move |act, ctx| act.step(pass, ctx));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "old messages could not be deleted; the next pass tries again"),
        }));
    }
}
