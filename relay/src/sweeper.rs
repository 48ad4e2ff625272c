//! Removes what is kept no longer, in small steps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_kit::Lifeline;
use toq_store::relay::Cut;

use crate::home::Home;

/// How many rows are removed at once: a few milliseconds in which nobody publishes.
const STEP: usize = 500;
/// How long publications go first after each step.
const PAUSE: Duration = Duration::from_millis(20);

/// The only sweeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SweeperKey;

/// See the module.
#[derive(Debug)]
pub struct Sweeper {
    home: Arc<Home>,
    #[expect(dead_code, reason = "tells the parent when it is dropped")]
    lifeline: Lifeline<SweeperKey>,
}

impl Sweeper {
    /// Makes one that begins once it is started.
    #[must_use]
    pub const fn new(home: Arc<Home>, lifeline: Lifeline<SweeperKey>) -> Self {
        Self { home, lifeline }
    }

    fn step(&self, from: Option<String>, ctx: &mut Context<Self>) {
        let home = self.home.clone();
        let age = i64::try_from(home.retention.age.as_nanos()).unwrap_or(i64::MAX);
        let before = home.clock.wall_nanos().saturating_sub(age);
        let cut = Cut { before, rows: STEP };
        let trimming = async move { home.log.trim(from, cut).await };
        let trimming = trimming.into_actor(self).map(|trimmed, act: &mut Self, ctx: &mut Context<Self>| match trimmed {
            Ok(trimmed) => {
                act.home.counters.trimmed.fetch_add(trimmed.rows as u64, Ordering::Relaxed);
                let pause = if trimmed.next.is_some() { PAUSE } else { act.home.retention.every };
                ctx.run_later(pause, move |act, ctx| act.step(trimmed.next, ctx));
            }
            Err(error) => {
                tracing::error!(%error, "old messages cannot be removed; trying again");
                ctx.run_later(act.home.retention.every, |act, ctx| act.step(None, ctx));
            }
        });
        ctx.spawn(trimming);
    }
}

impl Actor for Sweeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.step(None, ctx);
    }
}
