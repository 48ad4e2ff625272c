//! Whether there is room for more messages.
//!
//! A full disk would also stop what must go on: acknowledgements of what was sent, rules, the orderly end. So new messages are
//! refused a little earlier, at nine tenths of the workspace's quota or when the file system has little left, and the rest is
//! a reserve for the others.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::StoreError;

/// How long a look at the disk counts.
const FRESH: Duration = Duration::from_millis(200);

/// What the file system must have left, in bytes.
const RESERVE: u64 = 4 << 20;

/// The room of a workspace.
#[derive(Debug)]
pub struct Room {
    /// The file; `None` in memory.
    path: Option<PathBuf>,
    /// What the file may take up, in bytes; 0 is whatever the disk has.
    quota: u64,
    /// What files beside the log take up, in bytes.
    files: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    looked: Option<Duration>,
    /// What is free inside the file, in bytes. A file does not shrink when rows are deleted; new ones take their place.
    slack: u64,
    /// Why new messages were refused at the last look, if they were.
    refusal: Option<StoreError>,
}

/// Room for something that is to be written. What was not written is given back when this is dropped, however that comes.
#[derive(Debug)]
pub(crate) struct Lent {
    room: Arc<Room>,
    /// What it really took of what is free inside the file, in bytes: no more is given back.
    taken: u64,
}

impl Lent {
    /// Notes that so many bytes were written.
    pub(crate) const fn written(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_sub(bytes as u64);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.room.free(self.taken);
    }
}

impl Room {
    pub(crate) const fn unlimited() -> Self {
        Self { path: None, quota: 0, files: AtomicU64::new(0), seen: Mutex::new(Seen { looked: None, slack: 0, refusal: None }) }
    }

    /// The room of a file; `used` counts the bytes of its rows and is asked only where the file is large.
    pub(crate) fn new(path: &Path, quota: u64, used: impl FnOnce() -> Result<u64, StoreError>) -> Result<Self, StoreError> {
        let size = size(path);
        let slack = if quota > 0 && size >= mark(quota) { size.saturating_sub(used()?) } else { 0 };
        Ok(Self { path: Some(path.to_owned()), quota, files: AtomicU64::new(0), seen: Mutex::new(Seen { slack, ..Seen::default() }) })
    }

    /// Asks for room for new messages of so many bytes; `now` is the time since a fixed start.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::OverQuota`] where they must be refused.
    pub fn take(&self, bytes: usize, now: Duration) -> Result<(), StoreError> {
        self.taken(bytes, now).map(drop)
    }

    /// The same for what may not be written after all.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::OverQuota`] where they must be refused.
    pub(crate) fn lend(self: &Arc<Self>, bytes: usize, now: Duration) -> Result<Lent, StoreError> {
        Ok(Lent { taken: self.taken(bytes, now)?, room: self.clone() })
    }

    /// Takes room; returns how much of what is free inside the file that was.
    fn taken(&self, bytes: usize, now: Duration) -> Result<u64, StoreError> {
        let Some(path) = &self.path else { return Ok(0) };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_none_or(|looked| now.saturating_sub(looked) >= FRESH) {
            seen.looked = Some(now);
            let used = size(path).saturating_sub(seen.slack).saturating_add(self.files.load(Ordering::Relaxed));
            let is_over = self.quota > 0 && used >= mark(self.quota);
            let refusal = if has_little_left(path) { Some(StoreError::Full) } else { is_over.then(|| self.over_quota()) };
            if refusal.is_some() != seen.refusal.is_some() {
                let reason = refusal.as_ref().map_or_else(|| "there is room again".to_owned(), StoreError::to_string);
                tracing::warn!(is_full = refusal.is_some(), reason, "whether new messages are refused for lack of room has changed");
            }
            seen.refusal = refusal;
        }
        if let Some(refusal) = &seen.refusal {
            return Err(refusal.clone());
        }
        Ok(seen.take(bytes as u64))
    }

    const fn over_quota(&self) -> StoreError {
        StoreError::OverQuota { mib: self.quota >> 20 }
    }

    /// Whether so many bytes of a file would fit, without what is kept for the log's own needs.
    #[must_use]
    pub fn fits(&self, bytes: u64) -> bool {
        self.shortage(bytes).is_none()
    }

    /// Why so many bytes of a file would not fit, if they would not.
    #[must_use]
    pub fn shortage(&self, bytes: u64) -> Option<StoreError> {
        let path = self.path.as_ref()?;
        let slack = self.seen.lock().unwrap_or_else(PoisonError::into_inner).slack;
        let used = size(path).saturating_sub(slack).saturating_add(self.files.load(Ordering::Relaxed));
        let is_within = self.quota == 0 || used.saturating_add(bytes) < mark(self.quota);
        let left = rustix::fs::statvfs(path).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if left <= bytes.saturating_add(RESERVE) {
            return Some(StoreError::Full);
        }
        (!is_within).then(|| self.over_quota())
    }

    /// Asks for room for something that comes now and then, and takes it.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::OverQuota`] where it must be refused.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Result<Lent, StoreError> {
        if let Some(shortage) = self.shortage(bytes as u64) {
            return Err(shortage);
        }
        let taken = self.seen.lock().unwrap_or_else(PoisonError::into_inner).take(bytes as u64);
        Ok(Lent { room: self.clone(), taken })
    }

    /// Notes that files have grown by so many bytes.
    pub(crate) fn add_files(&self, bytes: u64) {
        self.files.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes what all files take up.
    pub(crate) fn set_files(&self, bytes: u64) {
        self.files.store(bytes, Ordering::Relaxed);
    }

    /// Notes that rows of so many bytes were deleted.
    pub fn give(&self, bytes: usize) {
        self.free(bytes as u64);
    }

    fn free(&self, bytes: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.slack = seen.slack.saturating_add(bytes);
    }

    /// Whether new messages were refused at the last look.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.refusal().is_some()
    }

    /// Why new messages were refused at the last look, if they were.
    #[must_use]
    pub fn refusal(&self) -> Option<StoreError> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).refusal.clone()
    }
}

impl Seen {
    fn take(&mut self, bytes: u64) -> u64 {
        let taken = self.slack.min(bytes);
        self.slack -= taken;
        taken
    }
}

const fn mark(quota: u64) -> u64 {
    quota / 10 * 9
}

/// What a file takes up on the disk, which may be less than its length.
fn size(path: &Path) -> u64 {
    rustix::fs::stat(path).map_or(0, |file| u64::try_from(file.st_blocks).unwrap_or(0).saturating_mul(512))
}

fn has_little_left(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_and_not_written_is_given_back_and_no_more() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let room = Arc::new(Room::new(file.path(), 0, || Ok(0)).expect("a room"));
        let slack = || room.seen.lock().expect("whole").slack;
        let lend = |bytes| room.lend(bytes, Duration::ZERO).expect("there is room");

        drop(lend(100));
        assert_eq!(slack(), 0, "there was nothing free inside the file, so nothing is");

        room.give(60);
        let mut first = lend(50);
        first.written(20);
        let second = room.hold(100).expect("there is room");
        assert_eq!(slack(), 0);
        drop((first, second));
        assert_eq!(slack(), 40, "what was written is not free");

        let mut all = lend(10);
        all.written(1000);
        drop(all);
        assert_eq!(slack(), 30);
    }
}
