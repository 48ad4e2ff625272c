//! How often one place in the program may write to the log.
//!
//! An attacker would fill the log, and with it the disk, by causing the same line again and again. Places are known when the
//! program is compiled, so there are only so many of them.

use std::collections::HashMap;
use std::time::Duration;

use tracing::callsite::Identifier;

/// How many lines one place may write in [`WINDOW`]: more than a person reads, less than a disk notices.
const LINES: u32 = 100;

/// How long a place waits when it has written that many.
const WINDOW: Duration = Duration::from_secs(10);

/// What may be written.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This line, after a note that so many before it were left out.
    Write { left_out: u32 },
    /// Nothing.
    LeaveOut,
}

/// Counts the lines of each place.
#[derive(Debug, Default)]
pub struct Flood {
    places: HashMap<Identifier, Place>,
}

#[derive(Debug)]
struct Place {
    since: Duration,
    written: u32,
    left_out: u32,
}

impl Flood {
    /// Says whether a place may write a line now; `now` is the time since a fixed start.
    pub fn verdict(&mut self, place: Identifier, now: Duration) -> Verdict {
        let place = self.places.entry(place).or_insert(Place { since: now, written: 0, left_out: 0 });
        if now.saturating_sub(place.since) >= WINDOW {
            (place.since, place.written) = (now, 0);
        }
        if place.written == LINES {
            place.left_out = place.left_out.saturating_add(1);
            return Verdict::LeaveOut;
        }
        place.written += 1;
        Verdict::Write { left_out: std::mem::take(&mut place.left_out) }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite as _;
    use tracing::callsite::DefaultCallsite;

    use super::*;

    fn place() -> Identifier {
        static META: tracing::Metadata<'static> = tracing::metadata! {
            name: "place", target: "test", level: tracing::Level::WARN, fields: &[], callsite: &SITE, kind: tracing::metadata::Kind::EVENT
        };
        static SITE: DefaultCallsite = DefaultCallsite::new(&META);
        SITE.metadata().callsite()
    }

    #[test]
    fn a_place_that_repeats_itself_is_cut_short_and_says_so_later() {
        let (mut flood, place) = (Flood::default(), place());
        for _ in 0..LINES {
            assert_eq!(flood.verdict(place.clone(), Duration::ZERO), Verdict::Write { left_out: 0 });
        }
        for _ in 0..5_000 {
            assert_eq!(flood.verdict(place.clone(), Duration::from_secs(9)), Verdict::LeaveOut);
        }

        assert_eq!(flood.verdict(place.clone(), Duration::from_secs(10)), Verdict::Write { left_out: 5_000 });
        assert_eq!(flood.verdict(place, Duration::from_secs(10)), Verdict::Write { left_out: 0 });
    }
}
