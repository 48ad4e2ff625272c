//! Where what members publish is kept.
//!
//! Everything that the relay promises about order and durability is promised by whatever stands behind [`Log`]; `tests/engines.rs`
//! is the list of it, and runs against every one there is.

mod memory;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use toq_store::StoreError;
use toq_store::relay::{Append, Appended, Cut, Ends, RelayLog, Stretch, Trimmed};

pub use memory::MemoryLog;

/// How far behind its end a log is read on the calling thread: what was written last is in the page cache.
const WARM: u64 = 1024;

/// A log for each channel: one total order, places from 1 without a gap.
#[async_trait]
pub trait Log: Debug + Send + Sync + 'static {
    /// Appends in order, and answers for each when it is certain to survive a crash. `now` is the time since a fixed start.
    ///
    /// # Errors
    /// [`StoreError`] where nothing of the batch was appended.
    async fn append(&self, batch: Vec<Append>, now: Duration) -> Result<Vec<Appended>, StoreError>;

    /// Reads what stands behind `after`, up to `through`, at most so many rows or, beyond the first, bytes.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read.
    async fn read(&self, channel: &str, after: u64, through: u64, most: usize, most_bytes: usize) -> Result<Stretch, StoreError>;

    /// The places of the newest commits of a channel, at most `most`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read.
    async fn commits(&self, channel: &str, most: usize) -> Result<Vec<u64>, StoreError>;

    /// The ends of a channel's log.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read.
    async fn ends(&self, channel: &str) -> Result<Ends, StoreError>;

    /// Cuts off what is too old, beginning with the first channel from `from` on.
    ///
    /// # Errors
    /// [`StoreError`] where nothing was cut off.
    async fn trim(&self, from: Option<String>, cut: Cut) -> Result<Trimmed, StoreError>;
}

#[async_trait]
impl Log for RelayLog {
    async fn append(&self, batch: Vec<Append>, now: Duration) -> Result<Vec<Appended>, StoreError> {
        RelayLog::append(self, batch, now).await
    }

    async fn read(&self, channel: &str, after: u64, through: u64, most: usize, most_bytes: usize) -> Result<Stretch, StoreError> {
        if through.saturating_sub(after) <= WARM {
            return RelayLog::read(self, channel, after, through, most, most_bytes);
        }
        // What was written long ago may have to come from the disk, and others are served on this thread.
        let (log, channel) = (self.clone(), channel.to_owned());
        let read = tokio::task::spawn_blocking(move || RelayLog::read(&log, &channel, after, through, most, most_bytes));
        read.await.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
    }

    async fn commits(&self, channel: &str, most: usize) -> Result<Vec<u64>, StoreError> {
        RelayLog::commits(self, channel, most)
    }

    async fn ends(&self, channel: &str) -> Result<Ends, StoreError> {
        RelayLog::ends(self, channel)
    }

    async fn trim(&self, from: Option<String>, cut: Cut) -> Result<Trimmed, StoreError> {
        RelayLog::trim(self, from, cut).await
    }
}
