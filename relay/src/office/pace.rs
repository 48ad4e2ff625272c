//! How often somebody may ask.
//!
//! One number for each who asks: when the credit of what was asked so far is whole again (the generic cell rate algorithm, ITU-T
//! I.371). The map is bounded; who finds it full shares one number with all the others who do.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How many are counted apart.
const MOST: usize = 16 * 1024;

/// How often a full map is searched for those who can go.
const SWEEP: Duration = Duration::from_secs(1);

/// How often, and how often at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// One for each such time in the long run.
    pub every: Duration,
    /// So many at once.
    pub burst: u32,
}

impl Rate {
    /// So many in a second in the long run, and so many at once.
    #[must_use]
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self { every: Duration::from_nanos(1_000_000_000 / count as u64), burst }
    }

    /// So many in a minute in the long run, and so many at once.
    #[must_use]
    pub const fn per_minute(count: u32, burst: u32) -> Self {
        Self { every: Duration::from_nanos(60_000_000_000 / count as u64), burst }
    }
}

/// Everybody's credit.
#[derive(Debug)]
pub struct Pace<K> {
    rate: Rate,
    whole_at: HashMap<K, Duration>,
    shared: Duration,
    swept: Duration,
}

impl<K: Eq + Hash> Pace<K> {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, whole_at: HashMap::new(), shared: Duration::ZERO, swept: Duration::ZERO }
    }

    /// Counts one; `now` is a monotonic clock.
    ///
    /// # Errors
    /// How long to wait; nothing was counted then.
    pub fn take(&mut self, key: K, now: Duration) -> Result<(), Duration> {
        self.may(&key, now)?;
        let every = self.rate.every;
        let slot = self.slot(key, now);
        *slot = (*slot).max(now) + every;
        Ok(())
    }

    /// Whether one more would be counted.
    ///
    /// # Errors
    /// How long to wait.
    pub fn may(&self, key: &K, now: Duration) -> Result<(), Duration> {
        let is_full = self.whole_at.len() >= MOST;
        let whole_at = self.whole_at.get(key).copied().unwrap_or(if is_full { self.shared } else { Duration::ZERO });
        let debt = whole_at.saturating_sub(now) + self.rate.every;
        match debt.checked_sub(self.rate.every * self.rate.burst) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    fn slot(&mut self, key: K, now: Duration) -> &mut Duration {
        if self.whole_at.len() >= MOST && !self.whole_at.contains_key(&key) {
            if now.saturating_sub(self.swept) >= SWEEP {
                self.swept = now;
                self.whole_at.retain(|_, whole_at| *whole_at > now);
            }
            if self.whole_at.len() >= MOST {
                return &mut self.shared;
            }
        }
        self.whole_at.entry(key).or_default()
    }
}

/// What counts as one place to ask from: an IPv4 address, or the network of an IPv6 address (/64). This machine is none of a network.
#[must_use]
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => address,
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_at_a_time() {
        let mut pace = Pace::new(Rate { every: Duration::from_secs(10), burst: 3 });

        assert_eq!([0, 0, 0].map(|_| pace.take("a", at(0))), [Ok(()); 3]);
        assert_eq!(pace.take("a", at(0)), Err(Duration::from_secs(10)));
        assert_eq!(pace.take("a", at(4)), Err(Duration::from_secs(6)));
        assert_eq!(pace.take("a", at(10)), Ok(()));
        assert!(pace.take("a", at(10)).is_err());
        assert_eq!(pace.take("b", at(10)), Ok(()), "another one has credit of its own");
    }

    #[test]
    fn asking_whether_counts_nothing() {
        let mut pace = Pace::new(Rate::per_minute(60, 1));
        for _ in 0..5 {
            assert_eq!(pace.may(&"a", at(0)), Ok(()));
        }
        assert_eq!(pace.take("a", at(0)), Ok(()));
        assert!(pace.may(&"a", at(0)).is_err());
    }

    #[test]
    fn a_flood_of_names_grows_no_further_and_known_ones_keep_their_credit() {
        let mut pace = Pace::new(Rate { every: Duration::from_secs(3600), burst: 2 });
        assert_eq!(pace.take(u32::MAX, at(0)), Ok(()));
        for name in 0..u32::try_from(MOST).expect("small") * 2 {
            let _full = pace.take(name, at(1));
        }

        assert_eq!(pace.whole_at.len(), MOST);
        assert!(pace.take(u32::MAX - 1, at(1)).is_err(), "newcomers share what is left");
        assert_eq!(pace.take(u32::MAX, at(1)), Ok(()));
        assert_eq!(pace.take(u32::MAX - 1, at(10_000)), Ok(()), "what is whole again is forgotten");
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let of = |text: &str| source(text.parse().expect("an address"));

        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:3::1"), of("2001:db8:1:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert!(of("::1").is_loopback() && !of("::2").is_loopback());
    }
}
