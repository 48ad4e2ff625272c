//! Permission to have one more in flight.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A fixed number of permits.
///
/// A permit travels inside what it pays for and comes back when that is dropped, so it cannot leak through
/// an error path, a stopped actor or a panic.
#[derive(Clone, Debug)]
pub struct Credit {
    permits: Arc<Semaphore>,
    size: usize,
}

/// One permit. Dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Credit {
    /// Makes a credit of `size` permits.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(size)), size }
    }

    /// Waits for a permit, in the order of asking.
    pub async fn take(&self) -> Permit {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        Permit { _permit: permit.expect("a credit is never closed") }
    }

    /// Takes a permit if one is free.
    #[must_use]
    pub fn try_take(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(Permit { _permit: permit })
    }

    /// How many permits are out.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.size - self.permits.available_permits()
    }
}
