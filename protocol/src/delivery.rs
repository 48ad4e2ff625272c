//! When the messages to one address are tried, and what an answer means for them.
//!
//! One `Delivery` belongs to one lane. It knows nothing of rows: its driver asks [`Delivery::next`] with
//! what waits, performs the answer and reports what came of it.

use std::time::Duration;

use crate::message::MAX_TTL;
use crate::reason::Reason;
use crate::time::Timestamp;

/// How attempts are spaced.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The pause after the first failure.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
    /// Attempts before a message is given up; 0 for as many as its lifetime allows.
    pub max_attempts: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { initial: Duration::from_millis(500), max: Duration::from_secs(300), max_attempts: 0 }
    }
}

/// What a lane's driver shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Open a connection to the address.
    Dial,
    /// Write what waits, inside the window.
    Write,
    /// Ask again at this time of the monotonic clock.
    At(Duration),
    /// Nothing waits, or an attempt is under way.
    Rest,
}

/// What becomes of a message that the peer answered with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays and is tried again.
    Retry,
    /// The refusal is final.
    Rejected,
}

/// What waits in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing.
    Nothing,
    /// Messages.
    Messages,
    /// Messages of which somebody waits for at least one, right now.
    Urgent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Down,
    Dialing,
    Up,
    Paused(Duration),
}

/// The attempts of one lane.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    schedule: Schedule,
    link: Link,
    failures: u32,
    /// The peer asked that nothing be written before.
    not_before: Duration,
}

impl Delivery {
    /// A lane that has not been tried.
    #[must_use]
    pub const fn new(schedule: Schedule) -> Self {
        Self { schedule, link: Link::Down, failures: 0, not_before: Duration::ZERO }
    }

    /// What to do now. A caller who waits does not wait for a pause of ours to end, but for one that the peer asked for.
    #[must_use]
    pub fn next(&mut self, waiting: Waiting, now: Duration) -> Next {
        match (self.link, waiting) {
            (Link::Dialing, _) | (_, Waiting::Nothing) => Next::Rest,
            (Link::Up | Link::Down | Link::Paused(_), _) if now < self.not_before => Next::At(self.not_before),
            (Link::Up, _) => Next::Write,
            (Link::Paused(until), Waiting::Messages) if now < until => Next::At(until),
            (Link::Down | Link::Paused(_), _) => {
                self.link = Link::Dialing;
                Next::Dial
            }
        }
    }

    /// The connection is open.
    pub const fn connected(&mut self) {
        self.link = Link::Up;
    }

    /// A message was acknowledged: the peer is well.
    pub const fn progressed(&mut self) {
        self.failures = 0;
    }

    /// The attempt failed or the connection was lost. `jitter` is any random number. Returns the time of the
    /// next attempt on the monotonic clock.
    pub fn failed(&mut self, now: Duration, jitter: u64) -> Duration {
        let doublings = self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.schedule.initial.saturating_mul(1 << doublings).min(self.schedule.max);
        // Between half and the whole of the ceiling: retries of many senders spread, none comes at once.
        let half = ceiling / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        let until = now + half + Duration::from_nanos(jitter % nanos);
        self.link = Link::Paused(until);
        until
    }

    /// The peer asked for a pause. The connection stays, and what was written on it may still be answered.
    pub fn slow(&mut self, until: Duration) {
        self.not_before = self.not_before.max(until);
    }

    /// Something was decided that may make the next attempt a success: pauses end and failures are forgotten.
    pub const fn retry(&mut self) {
        self.failures = 0;
        self.hasten();
    }

    /// Somebody else says that the next attempt may be a success: the pause ends, and should that not be so, the next one is no shorter.
    pub const fn hasten(&mut self) {
        if let Link::Paused(_) = self.link {
            self.link = Link::Down;
        }
    }

    /// The lane is idle and its connection was closed in order.
    pub const fn closed(&mut self) {
        self.link = Link::Down;
    }

    /// How many attempts have failed since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// True where messages are given up after some attempts.
    #[must_use]
    pub const fn gives_up(&self) -> bool {
        self.schedule.max_attempts > 0
    }

    /// True where a message that has been tried `attempts` times is to be given up.
    #[must_use]
    pub const fn is_exhausted(&self, attempts: u32) -> bool {
        self.gives_up() && attempts >= self.schedule.max_attempts
    }
}

/// What a refusal means for the message.
#[must_use]
pub const fn fate(reason: Reason) -> Fate {
    if reason.is_retryable() { Fate::Retry } else { Fate::Rejected }
}

/// True where a message written at `written` is past its lifetime.
#[must_use]
pub fn is_expired(written: Timestamp, ttl: Option<Duration>, now: Timestamp) -> bool {
    now >= written.plus(ttl.unwrap_or(MAX_TTL).min(MAX_TTL))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn failures_double_the_pause_up_to_its_limit() {
        let schedule = Schedule { initial: SECOND, max: 8 * SECOND, max_attempts: 0 };
        let mut delivery = Delivery::new(schedule);
        let mut ceilings = Vec::new();
        for _ in 0..6 {
            ceilings.push(delivery.failed(Duration::ZERO, u64::MAX));
        }

        for (pause, ceiling) in ceilings.iter().zip([1, 2, 4, 8, 8, 8]) {
            let ceiling = ceiling * SECOND;
            assert!(*pause >= ceiling / 2 && *pause <= ceiling, "{pause:?} of {ceiling:?}");
        }
    }

    #[test]
    fn a_lane_dials_once_and_writes_when_it_is_up() {
        let mut delivery = Delivery::new(Schedule::default());

        assert_eq!(delivery.next(Waiting::Nothing, SECOND), Next::Rest);
        assert_eq!(delivery.next(Waiting::Messages, SECOND), Next::Dial);
        assert_eq!(delivery.next(Waiting::Urgent, SECOND), Next::Rest);
        delivery.connected();
        assert_eq!(delivery.next(Waiting::Messages, SECOND), Next::Write);
    }

    #[test]
    fn a_waiting_caller_cuts_a_pause_short() {
        let mut delivery = Delivery::new(Schedule::default());
        let until = delivery.failed(SECOND, 0);

        assert_eq!(delivery.next(Waiting::Messages, SECOND), Next::At(until));
        assert_eq!(delivery.next(Waiting::Urgent, SECOND), Next::Dial);
    }

    #[test]
    fn a_pause_that_the_peer_asked_for_keeps_the_connection_and_binds_those_who_wait_too() {
        let mut delivery = Delivery::new(Schedule::default());
        delivery.connected();

        delivery.slow(5 * SECOND);
        delivery.slow(2 * SECOND);

        assert_eq!(delivery.next(Waiting::Nothing, SECOND), Next::Rest);
        assert_eq!(delivery.next(Waiting::Messages, SECOND), Next::At(5 * SECOND));
        assert_eq!(delivery.next(Waiting::Urgent, SECOND), Next::At(5 * SECOND));
        assert_eq!(delivery.next(Waiting::Messages, 5 * SECOND), Next::Write, "no new connection is made");
        delivery.slow(9 * SECOND);
        delivery.failed(6 * SECOND, 0);
        assert_eq!(delivery.next(Waiting::Urgent, 8 * SECOND), Next::At(9 * SECOND), "nor is the pause got round by one");
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let mut delivery = Delivery::new(Schedule::default());
        delivery.failed(SECOND, 0);
        delivery.connected();
        delivery.progressed();

        assert_eq!(delivery.failures(), 0);
        assert!(!delivery.is_exhausted(u32::MAX));
    }
}
