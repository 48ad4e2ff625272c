//! What everybody in the relay knows: its log, its clock, its limits, its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use toq_kit::Clock;
use toq_protocol::Timestamp;

use crate::bus::Bus;
use crate::guests::Guests;
use crate::log::Log;

/// What one connection may have on its way into the log, in bytes, where messages are no larger than usual.
const WINDOW: usize = 2 << 20;
/// What all connections together may have on their way into the log, in bytes, unless a few of the largest messages are more.
const ALL_WINDOWS: usize = 64 << 20;

/// How much anybody may have of something.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest blob, in bytes.
    pub max_message: usize,
    /// Connections altogether.
    pub connections: usize,
    /// Sockets without a stream: newcomers and health checks.
    pub newcomers: usize,
    /// Connections of one account.
    pub connections_per_account: usize,
    /// Channels that one connection listens to.
    pub subscriptions: usize,
    /// Channels that are in use at once; an account, or an address where there are no accounts, has no more of them than are free.
    pub channels_in_use: usize,
    /// Channels that one account begins; without accounts there is no such limit.
    pub channels_per_account: u64,
    /// Messages in a month for each plan; those of a plan that is not here have no limit.
    pub messages_per_month: Vec<(String, u64)>,
}

impl Limits {
    /// What one connection may have on its way into the log, in bytes: two of the largest messages.
    #[must_use]
    pub fn window(&self) -> usize {
        WINDOW.max(self.max_message.saturating_mul(2))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            connections: 10_000,
            newcomers: 256,
            connections_per_account: 256,
            subscriptions: 1024,
            channels_in_use: 65_536,
            channels_per_account: 1024,
            messages_per_month: vec![("free".to_owned(), 100_000), ("pro".to_owned(), 1_000_000)],
        }
    }
}

/// How long what was published is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// From when it was published.
    pub age: Duration,
    /// For one channel, in bytes; more is refused until something is old enough to go.
    pub bytes_per_channel: u64,
    /// How far back a joiner without the extension is given commits.
    pub replay: Duration,
    /// How often it is looked whether something is to go.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(7 * 24 * 3600),
            bytes_per_channel: 1 << 30,
            replay: Duration::from_secs(3600),
            every: Duration::from_secs(30),
        }
    }
}

/// Who publishes and pays.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id; empty for everybody where no tokens are asked for.
    pub id: Arc<str>,
    /// How many messages it may publish in a month.
    pub messages_per_month: u64,
    /// How many channels it may begin.
    pub channels: u64,
    /// When its token ends, in seconds of Unix time.
    pub until: Option<i64>,
    /// The API key that its token was made with.
    pub key: Option<Arc<str>>,
}

/// What happened since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that are open.
    pub connections: AtomicU64,
    /// Topics that are awake.
    pub topics: AtomicU64,
    /// Publications that were appended.
    pub accepted: AtomicU64,
    /// Publications that were in the log already.
    pub repeated: AtomicU64,
    /// Frames handed to subscribers.
    pub delivered: AtomicU64,
    /// Frames that were not done as asked.
    pub refused: AtomicU64,
    /// Connections that were not let in.
    pub turned_away: AtomicU64,
    /// Rows that retention has removed.
    pub trimmed: AtomicU64,
    /// Actors that have panicked.
    pub panics: AtomicU64,
}

impl Counters {
    /// Counts one more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them with their names.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 9] {
        let Self { connections, topics, accepted, repeated, delivered, refused, turned_away, trimmed, panics } = self;
        [
            ("connections", connections),
            ("topics", topics),
            ("accepted", accepted),
            ("repeated", repeated),
            ("delivered", delivered),
            ("refused", refused),
            ("turned_away", turned_away),
            ("trimmed", trimmed),
            ("panics", panics),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Home {
    /// What was published.
    pub log: Arc<dyn Log>,
    /// Who is told that there is more.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Clock,
    /// How much.
    pub limits: Limits,
    /// How long.
    pub retention: Retention,
    /// Who may take part in which channel; everybody in all of them where it is not said.
    pub guests: Option<Guests>,
    /// What happened.
    pub counters: Counters,
    /// The room for what all connections have on its way into the log, in bytes.
    pub windows: Arc<Semaphore>,
}

impl Home {
    /// Puts it together.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, bus: Arc<dyn Bus>, clock: Clock, limits: Limits, retention: Retention) -> Self {
        let windows = Arc::new(Semaphore::new(ALL_WINDOWS.max(limits.window().saturating_mul(2)).min(Semaphore::MAX_PERMITS)));
        Self { log, bus, clock, limits, retention, guests: None, counters: Counters::default(), windows }
    }

    /// Lets only those take part in a channel who may.
    #[must_use]
    pub fn with_guests(mut self, guests: Guests) -> Self {
        self.guests = Some(guests);
        self
    }

    /// Seconds of Unix time.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        Timestamp::from_nanos(self.clock.wall_nanos()).as_secs()
    }

    /// The month that something published now is counted in: year × 100 + month.
    #[must_use]
    pub fn month(&self) -> u32 {
        month(self.clock.wall_nanos())
    }
}

fn month(nanos: i64) -> u32 {
    let text = Timestamp::from_nanos(nanos).to_string();
    let digits: String = text.chars().take(7).filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_the_largest_messages_fit_into_a_window_whatever_they_are() {
        for max_message in [1024, 1 << 20, 16 << 20] {
            let limits = Limits { max_message, ..Limits::default() };

            assert!(limits.window() >= 2 * max_message && limits.window() >= 2 << 20);
        }
    }

    #[test]
    fn a_month_ends_with_its_last_second() {
        let at = |text: &str| month(Timestamp::parse(text).expect("a time").as_nanos());

        assert_eq!(at("2026-11-30T23:59:59.999999999Z"), 202_611);
        assert_eq!(at("2026-12-01T00:00:00Z"), 202_612);
    }
}
