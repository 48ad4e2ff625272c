//! What an automatic answer may cost: runs and tokens in a day, and a pause where a provider fails.
//!
//! An attacker would write as often as it can, to spend the operator's money or to keep the provider from
//! serving others. So runs are counted before they begin and the count outlives a restart.

use std::time::Duration;

use crate::time::Timestamp;

/// The most that may be spent in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Runs.
    pub runs: u64,
    /// Tokens, in and out together.
    pub tokens: u64,
}

/// What a handler may spend in a day, and what one peer may make it spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For all peers together.
    pub handler: Allowance,
    /// For one peer.
    pub peer: Allowance,
    /// Runs for one peer in an hour.
    pub peer_hour: u64,
}

impl Default for Budget {
    /// Enough for a busy agent, and no more than a few dollars at the prices of large models.
    fn default() -> Self {
        Self { handler: Allowance { runs: 2_000, tokens: 5_000_000 }, peer: Allowance { runs: 500, tokens: 1_000_000 }, peer_hour: 100 }
    }
}

impl Budget {
    /// What a command may be run for, which costs nobody anything but this machine's time.
    #[must_use]
    pub const fn of_a_command() -> Self {
        let any = Allowance { runs: u64::MAX, tokens: u64::MAX };
        Self { handler: any, peer: any, peer_hour: 1_000 }
    }
}

/// What was spent today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Runs.
    pub runs: u64,
    /// Tokens.
    pub tokens: u64,
}

/// Which budget is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The handler's.
    #[error("the handler's budget for today is spent")]
    Handler,
    /// This peer's.
    #[error("this peer's share of the handler's budget for today is spent")]
    Peer,
    /// This peer's for an hour.
    #[error("this peer has had as many runs of the handler as it may have in an hour")]
    Hour,
}

impl Budget {
    /// Whether there may be another run, after so much today and so many runs of this peer in this hour.
    ///
    /// # Errors
    /// [`Exhausted`] names the budget that is spent.
    pub const fn admit(&self, handler: Spent, peer: Spent, peer_hour: u64) -> Result<(), Exhausted> {
        if peer_hour >= self.peer_hour {
            return Err(Exhausted::Hour);
        }
        if !self.peer.covers(peer) {
            return Err(Exhausted::Peer);
        }
        if self.handler.covers(handler) { Ok(()) } else { Err(Exhausted::Handler) }
    }
}

impl Allowance {
    const fn covers(&self, spent: Spent) -> bool {
        spent.runs < self.runs && spent.tokens < self.tokens
    }
}

/// The day (UTC) to which a run is counted, in days since the epoch.
#[must_use]
pub fn day(at: Timestamp) -> u32 {
    u32::try_from(at.as_secs().div_euclid(86_400)).unwrap_or(0)
}

/// The hour (UTC) to which a run is counted, in hours since the epoch.
#[must_use]
pub fn hour(at: Timestamp) -> u32 {
    u32::try_from(at.as_secs().div_euclid(3_600)).unwrap_or(0)
}

/// How many failures in a row make a pause.
const FAILURES: u32 = 5;

/// The first pause; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause: a provider that came back is noticed within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Leaves a provider alone that fails again and again. Times are on a monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaker {
    failures: u32,
    until: Duration,
}

impl Breaker {
    /// How long to wait before the next run; nothing where it may begin at once.
    #[must_use]
    pub const fn pause(&self, now: Duration) -> Option<Duration> {
        match self.until.checked_sub(now) {
            Some(Duration::ZERO) | None => None,
            left => left,
        }
    }

    /// The provider has answered.
    pub const fn succeed(&mut self) {
        *self = Self { failures: 0, until: Duration::ZERO };
    }

    /// The provider has failed; `wanted` is how long it asked to be left alone.
    pub fn fail(&mut self, now: Duration, wanted: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let grown = match self.failures.checked_sub(FAILURES) {
            Some(more) => FIRST_PAUSE.saturating_mul(1 << more.min(10)).min(LONGEST_PAUSE),
            None => Duration::ZERO,
        };
        let wanted = wanted.unwrap_or_default().min(LONGEST_PAUSE);
        self.until = self.until.max(now + grown.max(wanted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_peer_cannot_spend_what_is_there_for_all() {
        let budget = Budget { handler: Allowance { runs: 10, tokens: 100 }, peer: Allowance { runs: 2, tokens: 50 }, peer_hour: 7 };
        let spent = |runs, tokens| Spent { runs, tokens };

        assert_eq!(budget.admit(spent(2, 9), spent(1, 9), 6), Ok(()));
        assert_eq!(budget.admit(spent(2, 9), spent(2, 9), 0), Err(Exhausted::Peer));
        assert_eq!(budget.admit(spent(1, 60), spent(1, 50), 0), Err(Exhausted::Peer));
        assert_eq!(budget.admit(spent(10, 9), spent(0, 0), 0), Err(Exhausted::Handler));
        assert_eq!(budget.admit(spent(1, 100), spent(0, 0), 0), Err(Exhausted::Handler));
        assert_eq!(budget.admit(spent(2, 9), spent(1, 9), 7), Err(Exhausted::Hour));
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let at = |text| day(Timestamp::parse(text).expect("a time"));

        assert_eq!(at("2026-01-02T00:00:00Z"), at("2026-01-01T23:59:59Z") + 1);
    }

    #[test]
    fn a_provider_that_fails_again_and_again_is_left_alone_and_tried_again() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES - 1 {
            breaker.fail(SECOND, None);
        }
        assert_eq!(breaker.pause(SECOND), None);

        breaker.fail(SECOND, None);
        assert_eq!(breaker.pause(SECOND), Some(FIRST_PAUSE));
        assert_eq!(breaker.pause(SECOND + FIRST_PAUSE), None);
        for _ in 0..100 {
            breaker.fail(SECOND, None);
        }
        assert_eq!(breaker.pause(SECOND), Some(LONGEST_PAUSE));

        breaker.succeed();
        assert_eq!(breaker.pause(SECOND), None);
    }

    #[test]
    fn a_wish_to_be_left_alone_is_granted_within_reason() {
        let mut breaker = Breaker::default();

        breaker.fail(SECOND, Some(Duration::from_secs(7)));
        assert_eq!(breaker.pause(SECOND), Some(Duration::from_secs(7)));
        breaker.fail(SECOND, Some(Duration::from_secs(1 << 40)));
        assert_eq!(breaker.pause(SECOND), Some(LONGEST_PAUSE));
    }
}
