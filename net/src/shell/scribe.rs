//! Writes a run's log where writing may block.

use std::io;
use std::path::Path;

use toq_protocol::time::Timestamp;

use super::{RunLog, Source};

/// A [`RunLog`] for those who must not wait for a disk. Each call ends when its lines are written, so a command that writes
/// faster than the disk is held back by its pipe.
#[derive(Debug)]
pub struct Scribe {
    /// Away while it writes.
    log: Option<RunLog>,
}

impl Scribe {
    /// The log of a handler in this directory. The name must be one that a file can have.
    #[must_use]
    pub fn new(dir: &Path, handler: &str) -> Self {
        Self { log: Some(RunLog::new(dir, handler)) }
    }

    /// The run has this process id.
    pub fn began(&mut self, process: u32) {
        if let Some(log) = &mut self.log {
            log.began(process);
        }
    }

    /// Takes output; whole lines are written.
    ///
    /// # Errors
    /// See [`RunLog::take`].
    pub async fn take(&mut self, source: Source, bytes: Vec<u8>, at: Timestamp) -> io::Result<()> {
        self.aside(move |log| log.take(source, &bytes, at)).await
    }

    /// Writes what had no newline at its end, and a last line of ours.
    ///
    /// # Errors
    /// See [`RunLog::take`].
    pub async fn finish(&mut self, last: String, at: Timestamp) -> io::Result<()> {
        self.aside(move |log| log.finish(&last, at)).await
    }

    async fn aside(&mut self, write: impl FnOnce(&mut RunLog) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let lost = || io::Error::other("the writer of the log is gone");
        let mut log = self.log.take().ok_or_else(lost)?;
        let writing = tokio::task::spawn_blocking(move || {
            let written = write(&mut log);
            (log, written)
        });
        let (log, written) = writing.await.map_err(|_| lost())?;
        self.log = Some(log);
        written
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::super::log::WRITING;
    use super::*;

    const AT: Timestamp = Timestamp::from_nanos(0);

    #[tokio::test]
    async fn whoever_writes_a_log_does_not_wait_for_the_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut scribe = Scribe::new(dir.path(), "h");
        let disk_is_slow = WRITING.lock().expect("not poisoned");

        {
            let mut writing = pin!(scribe.take(Source::Out, b"a line\n".to_vec(), AT));
            let polled = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending), "this thread is free while another one writes");
            drop(disk_is_slow);
            writing.await.expect("written");
        }

        scribe.finish("end".to_owned(), AT).await.expect("written");
        let text = std::fs::read_to_string(RunLog::path(dir.path(), "h")).expect("written");
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[tokio::test]
    async fn runs_that_write_at_once_lose_no_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let writing = (0..4).map(|run: usize| {
            let mut scribe = Scribe::new(dir.path(), "h");
            async move {
                for _ in 0..100 {
                    scribe.take(Source::Out, format!("{run} {}\n", "x".repeat(7_000)).into_bytes(), AT).await.expect("written");
                }
            }
        });

        futures_util::future::join_all(writing).await;

        let text = std::fs::read_to_string(RunLog::path(dir.path(), "h")).expect("written");
        assert_eq!((text.lines().count(), text.lines().filter(|line| line.len() > 7_000).count()), (400, 400));
    }
}
