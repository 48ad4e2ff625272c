//! What time it is, for those who run actors.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A wall clock and a monotonic one.
///
/// The monotonic clock is tokio's, so that a paused test clock moves it; the paused variant derives the
/// wall clock from it as well.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall: Wall,
}

#[derive(Clone, Copy, Debug)]
enum Wall {
    System,
    From(i64),
}

impl Clock {
    /// The clocks of this machine.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that looks at the clock")]
    pub fn system() -> Self {
        Self { start: Instant::now(), wall: Wall::System }
    }

    /// Clocks that only move when tokio's test clock does, from this many nanoseconds of Unix time.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that looks at the clock")]
    pub fn paused(wall: i64) -> Self {
        Self { start: Instant::now(), wall: Wall::From(wall) }
    }

    /// Nanoseconds of Unix time.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that looks at the clock")]
    pub fn wall_nanos(&self) -> i64 {
        match self.wall {
            Wall::From(start) => start.saturating_add(nanos(self.monotonic())),
            Wall::System => nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        }
    }

    /// The time since this clock was made.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
