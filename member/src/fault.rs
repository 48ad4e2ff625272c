//! What tests do to a member from outside: points at which the process ends as `kill -9` would end it, a variant that is broken on
//! purpose, and weather.
//!
//! `TOQ_MEMBER_CRASH=point:n` ends the process at its nth time at the point. `TOQ_MEMBER_FAULT` names the broken variant.
//! `TOQ_MEMBER_WEATHER` is [`weather`](crate::weather)'s. Nothing of it is in a build without the feature `faults`.

/// Ends the process where this point was chosen, at its nth time.
#[cfg(feature = "faults")]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let read = || {
        let text = setting("TOQ_MEMBER_CRASH")?;
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

/// Whether this member is the variant of that name, which is broken.
#[cfg(feature = "faults")]
pub(crate) fn is_broken(variant: &str) -> bool {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| setting("TOQ_MEMBER_FAULT")).as_deref() == Some(variant)
}

/// A setting of the test's, from the environment.
#[cfg(feature = "faults")]
#[allow(clippy::disallowed_methods, reason = "a test chooses by environment")]
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Does nothing in this build.
#[cfg(not(feature = "faults"))]
#[inline]
pub(crate) const fn point(_name: &str) {}

/// Never, in this build.
#[cfg(not(feature = "faults"))]
#[inline]
pub(crate) const fn is_broken(_variant: &str) -> bool {
    false
}
