//! Named crash points and broken variants, for checkers.
//!
//! Only builds with the feature `faults` have them; elsewhere every function here is empty. A checker runs
//! such a build with a crash point, kills nothing itself, and looks at what survived. A broken variant
//! proves that the checker would notice.

/// Ends the process at once, as `kill -9` would, if this is the point that was chosen and it is reached
/// for the chosen time. Says so on standard error first.
#[cfg(feature = "faults")]
pub fn crash_point(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};

    static REACHED: AtomicU64 = AtomicU64::new(0);
    let Some((point, nth)) = chosen() else { return };
    if point == name && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
        use std::io::Write as _;
        let mut log = std::io::stderr().lock();
        drop(writeln!(log, "crash point hit: {name}").and_then(|()| log.flush()));
        std::process::abort();
    }
}

/// Does nothing in this build.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn crash_point(_name: &str) {}

/// True in a build that is broken on purpose in this way.
#[cfg(feature = "faults")]
#[allow(clippy::disallowed_methods, reason = "a checker chooses the variant by environment, before any configuration")]
pub fn is_broken(variant: &str) -> bool {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("TOQ_FAULT").ok()).as_deref() == Some(variant)
}

/// False: this build is whole.
#[cfg(not(feature = "faults"))]
#[inline]
#[must_use]
pub const fn is_broken(_variant: &str) -> bool {
    false
}

#[cfg(feature = "faults")]
#[allow(clippy::disallowed_methods, reason = "a checker chooses the point by environment, before any configuration")]
fn chosen() -> Option<&'static (String, u64)> {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    let read = || {
        let text = std::env::var("TOQ_CRASH_POINT").ok()?;
        let (name, nth) = text.rsplit_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), nth.parse().unwrap_or(1)))
    };
    CHOSEN.get_or_init(read).as_ref()
}
