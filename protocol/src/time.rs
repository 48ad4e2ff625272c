//! Points in time as they are written on the wire: RFC 3339, UTC, nanoseconds.

use std::fmt;
use std::time::Duration;

/// A point in time in nanoseconds since the Unix epoch (UTC).
///
/// This room never asks what time it is; a `Timestamp` always arrives as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// Makes a timestamp from nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Parses RFC 3339 text such as `2026-01-02T03:04:05.678901234Z`.
    ///
    /// Returns `None` for anything else, and for dates outside the years 1678 to 2262 that a count of
    /// nanoseconds cannot hold.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(parsed.as_nanosecond()).ok().map(Self)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// This time plus `by`, held at the far end of what can be represented.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This time less `by`, held at the near end of what can be represented.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How long it is from `earlier` to this time; zero where `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The distance between two times, whichever comes first.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_nanos(self.0.abs_diff(other.0))
    }
}

/// The two clocks of one instant.
///
/// Lifetimes that cross machines are counted on the wall clock, everything that waits on the monotonic
/// one, so that a jump of the wall clock expires nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What the wall clock shows.
    pub wall: Timestamp,
    /// The time since an arbitrary fixed start; it never runs backwards.
    pub monotonic: Duration,
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with `Z`, the fraction without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => f.write_str("1970-01-01T00:00:00Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_a_round_trip_and_loses_trailing_zeros() {
        for (text, printed) in [
            ("2026-01-02T03:04:05.678901234Z", "2026-01-02T03:04:05.678901234Z"),
            ("2026-11-21T01:19:01.323083200Z", "2026-11-21T01:19:01.3230832Z"),
            ("2026-11-21T02:19:01+01:00", "2026-11-21T01:19:01Z"),
        ] {
            assert_eq!(Timestamp::parse(text).expect("valid").to_string(), printed);
        }
    }

    #[test]
    fn nonsense_is_not_a_time() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
