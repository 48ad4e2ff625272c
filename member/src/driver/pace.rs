//! How much of what comes is handled at once.
//!
//! Each batch is one durable commit, whose cost hardly depends on how much is in it. Where messages come one by one, a commit for each
//! would keep the disk and the processor busy for little; so after a small batch what comes is gathered for a while, in proportion to
//! what that batch took. On a machine with time to spare that is less than a message needs to come at all; on a busy one the batches
//! grow until it is not.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use toq_dataplane::link::Event;

use crate::chance::Now;
use crate::line::Arrivals;

/// How many events are handled in one transaction.
const BATCH: usize = 256;

/// How many bytes of frames.
const BATCH_OCTETS: usize = 8 << 20;

/// A batch of fewer events was a small one.
const SMALL: usize = BATCH / 8;

/// How many times as long as a small batch took, the next one is gathered.
const REST: u32 = 3;

/// For how long at most.
const LONGEST_REST: Duration = Duration::from_millis(20);

/// When the next batch is handled, counted from the end of the one before.
#[derive(Debug, Default)]
pub(super) struct Pace {
    until: Option<Instant>,
}

impl Pace {
    /// The next batch; empty where nothing comes any more.
    pub(super) async fn gather(&self, arrivals: &mut Arrivals) -> Vec<Event> {
        let Some(first) = arrivals.next().await else { return Vec::new() };
        let mut octets = size(&first);
        let mut events = vec![first];
        // What is there is taken even where the time is over, and a batch that is full waits for nothing.
        let until = self.until.unwrap_or_else(|| at(Now::look()));
        while events.len() < BATCH
            && octets < BATCH_OCTETS
            && !events.last().is_some_and(is_the_end)
            && let Ok(Some(event)) = timeout_at(until, arrivals.next()).await
        {
            octets = octets.saturating_add(size(&event));
            events.push(event);
        }
        events
    }

    /// A batch of so many events was handled from `began` to `ended`.
    pub(super) fn rest(&mut self, events: usize, began: Now, ended: Now) {
        let took = ended.instant.saturating_duration_since(began.instant);
        let rest = if events < SMALL { (took * REST).min(LONGEST_REST) } else { Duration::ZERO };
        self.until = at(ended).checked_add(rest);
    }
}

fn at(now: Now) -> Instant {
    Instant::from_std(now.instant)
}

fn is_the_end(event: &Event) -> bool {
    matches!(event, Event::Closed(_))
}

fn size(event: &Event) -> usize {
    if let Event::Delivered { blob, .. } = event { blob.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rested(events: usize, took: Duration) -> Duration {
        let began = Now::look();
        let ended = Now { instant: began.instant + took, ..began };
        let mut pace = Pace::default();
        pace.rest(events, began, ended);
        pace.until.expect("a time") - at(ended)
    }

    #[test]
    fn what_comes_after_a_small_batch_is_gathered_in_proportion_to_what_that_took() {
        assert_eq!(rested(1, Duration::from_micros(700)), Duration::from_micros(2100));
        assert_eq!(rested(SMALL - 1, Duration::from_millis(5)), Duration::from_millis(15));
    }

    #[test]
    fn a_slow_disk_delays_nothing_for_longer_than_the_longest_rest() {
        assert_eq!(rested(1, Duration::from_secs(5)), LONGEST_REST);
    }

    #[test]
    fn after_a_large_batch_nothing_waits() {
        assert_eq!(rested(SMALL, Duration::from_millis(5)), Duration::ZERO);
    }
}
