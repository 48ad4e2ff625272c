//! Pauses that grow.

use std::time::Duration;

/// Pauses that double from the first to the longest, half of each at random.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Makes pauses from `first` to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The next pause. `random` is any random number.
    pub fn next(&mut self, random: u64) -> Duration {
        let ceiling = self.first.saturating_mul(1 << self.failures.min(20)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let half = ceiling / 2;
        half + Duration::from_nanos(random % u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1))
    }

    /// Starts over.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_longest_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(4));

        let pauses: Vec<_> = (0..4).map(|_| backoff.next(0).as_millis()).collect();
        backoff.reset();

        assert_eq!(pauses, [500, 1000, 2000, 2000]);
        assert_eq!(backoff.next(0).as_millis(), 500);
    }
}
