//! What belongs to the process that made it.
//!
//! After a fork both processes hold the same open database and connection, but only the parent has the threads that serve them. The
//! child is told so instead of waiting for ever, and what it drops must not touch the parent's files.

use crate::failure::Failure;

/// A value that only the process that made it may use.
pub struct Owned<T> {
    process: u32,
    /// None only while it is dropped.
    value: Option<T>,
}

impl<T> Owned<T> {
    /// Makes it the calling process's own.
    pub fn new(value: T) -> Self {
        Self { process: std::process::id(), value: Some(value) }
    }

    /// The value.
    ///
    /// # Errors
    /// In any other process than the one that made it.
    pub fn get(&self) -> Result<&T, Failure> {
        self.value.as_ref().filter(|_| self.process == std::process::id()).ok_or(Failure::Forked { owner: self.process })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.value.take());
        }
    }
}
