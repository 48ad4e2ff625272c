//! Named points at which a test lets the process end, as `kill -9` would.

/// Ends the process where this point was chosen by `TOQ_MEMBER_CRASH`, at its nth time (`name:n`).
#[cfg(feature = "faults")]
#[allow(clippy::disallowed_methods, reason = "a test chooses the point by environment")]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let read = || {
        let text = std::env::var("TOQ_MEMBER_CRASH").ok()?;
        let (name, nth) = text.rsplit_once(':')?;
        Some((name.to_owned(), nth.parse().ok()?))
    };
    if let Some((chosen, nth)) = CHOSEN.get_or_init(read)
        && chosen == name
        && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        std::process::abort();
    }
}

/// Does nothing in this build.
#[cfg(not(feature = "faults"))]
#[inline]
pub(crate) const fn point(_name: &str) {}
