//! Holding back a peer that sends too fast.

use std::time::Duration;

use actix::{AsyncContext as _, Context};

use super::Connection;

/// The longest time for which a socket is not read at once. It is shorter than the patience of a sender whose messages were on
/// their way and are acknowledged late for it.
const MAX_HOLD: Duration = Duration::from_secs(5);

impl Connection {
    /// Does not read for a while, and tells a peer of our own kind to write nothing meanwhile.
    pub(super) fn hold(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        if pause.is_zero() {
            return;
        }
        let now = self.home.now();
        let until = now.monotonic + pause.min(MAX_HOLD);
        let was_held = self.is_held();
        self.held_until = self.held_until.max(until);
        if !was_held {
            self.resume(ctx);
        }
        if now.monotonic + pause > self.told_until {
            // A second is the smallest pause that can be asked for; what comes within it needs no word of its own.
            self.told_until = now.monotonic + pause.max(Duration::from_secs(1));
            let hint = self.session.as_mut().map(|session| session.slow_down(pause, now)).unwrap_or_default();
            if !hint.is_empty() {
                self.write(&hint, ctx);
            }
        }
    }

    /// Reads on as soon as it may.
    fn resume(&mut self, ctx: &mut Context<Self>) {
        let left = self.held_until.saturating_sub(self.home.clock.monotonic());
        if left.is_zero() {
            return self.pull(ctx);
        }
        ctx.run_later(left, Self::resume);
    }

    pub(super) fn is_held(&self) -> bool {
        self.home.clock.monotonic() < self.held_until
    }
}
