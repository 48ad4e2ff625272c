//! The clock and the dice: the two things that the cores are not allowed to ask for themselves.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom as _, SystemRandom};

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Nanoseconds of Unix time.
    pub nanos: i64,
    /// Monotonic.
    pub instant: Instant,
}

impl Now {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that looks at the clock")]
    pub(crate) fn look() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { nanos: i64::try_from(nanos).unwrap_or(i64::MAX), instant: Instant::now() }
    }

    /// Seconds of Unix time.
    pub(crate) fn seconds(self) -> i64 {
        self.nanos / 1_000_000_000
    }

    /// The same, as groups want it.
    pub(crate) fn unsigned_seconds(self) -> u64 {
        u64::try_from(self.seconds()).unwrap_or(0)
    }
}

/// Random bytes of the system, which every platform that we build for has.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// The same, for as many as there are.
pub(crate) fn fill(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the system has random bytes");
}

/// A pause of between half and all of `longest`.
pub(crate) fn jitter(longest: Duration) -> Duration {
    let half = longest / 2;
    let span = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_nanos(u64::from_be_bytes(random()) % span)
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    hash
}

/// Pauses between attempts: they double from the first to the longest, half of each at random.
#[derive(Debug)]
pub(crate) struct Pauses {
    failures: u32,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(20);

    pub(crate) const fn new() -> Self {
        Self { failures: 0 }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let ceiling = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        jitter(ceiling)
    }

    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}
