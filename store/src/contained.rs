//! Panics of the database library, where they are contained.
//!
//! The library checks the pages of a file when it repairs one, not when it reads. Where pages contradict each other, by a disk that
//! failed or a hand that slipped, it panics where it finds out. That is no mistake of the program but a damaged file, and whoever asked is
//! told so.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::error::StoreError;

thread_local! {
    /// How many [`contained`] this thread is inside of.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether a panic of this thread would be told as an error of the store. A panic hook asks it, to keep quiet about what is told anyway.
#[must_use]
pub fn is_contained() -> bool {
    DEPTH.with(Cell::get) > 0
}

/// What a panic of the library means.
pub(crate) fn contradiction() -> StoreError {
    StoreError::Corrupt { path: PathBuf::from("the database"), detail: "what it says of itself contradicts itself".to_owned() }
}

/// Does something with the library. What `act` has in hand is not used again where it panicked.
///
/// # Errors
/// What `act` says, and [`StoreError::Corrupt`] where it panicked.
pub(crate) fn contained<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let end = catch_unwind(AssertUnwindSafe(act));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    end.unwrap_or_else(|_| Err(contradiction()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_is_an_error_and_one_outside_is_not_hidden() {
        let inside = contained(|| -> Result<(), StoreError> {
            assert!(is_contained());
            panic!("pages contradict each other")
        });

        assert!(matches!(inside, Err(StoreError::Corrupt { .. })));
        assert!(!is_contained());
    }
}
