//! A handler's log: what its runs wrote, line by line, in a file of its own that does not grow without end.
//!
//! ```text
//! [2026-11-21T01:20:27.057901025Z pid:20095] a line
//! [2026-11-21T01:20:27.057901025Z pid:20095:stderr] a line of standard error
//! [2026-11-21T01:20:27.057901025Z pid:20095] exited with status exit status: 3
//! ```
//!
//! The bytes are kept as they were written. Whoever shows them to a terminal makes them harmless first.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use toq_protocol::time::Timestamp;

/// How long a file may become. The one before it is kept, so a handler's logs take twice as much at most.
const MAX_BYTES: u64 = 8 << 20;

/// How long a line may become; a longer one is cut into several.
const MAX_LINE: usize = 8 * 1024;

/// Held while lines are written.
pub(super) static WRITING: Mutex<()> = Mutex::new(());

/// Which output of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Writes the lines of one run.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    process: String,
    out: Pending,
    err: Pending,
}

impl RunLog {
    /// The log of a handler in this directory. The name must be one that a file can have.
    #[must_use]
    pub fn new(dir: &Path, handler: &str) -> Self {
        Self { path: Self::path(dir, handler), process: "-".to_owned(), out: Pending::default(), err: Pending::default() }
    }

    /// Where the log of a handler is.
    #[must_use]
    pub fn path(dir: &Path, handler: &str) -> PathBuf {
        dir.join(format!("handler-{handler}.log"))
    }

    /// The run has this process id.
    pub fn began(&mut self, process: u32) {
        self.process = process.to_string();
    }

    /// Takes output; whole lines are written.
    ///
    /// # Errors
    /// The system's, where the file cannot be written. The output is then lost.
    pub fn take(&mut self, source: Source, bytes: &[u8], at: Timestamp) -> io::Result<()> {
        let lines = match source {
            Source::Out => self.out.take(bytes),
            Source::Err => self.err.take(bytes),
        };
        let framed: Vec<u8> = lines.iter().flat_map(|line| self.framed(source, line, at)).collect();
        self.append(&framed)
    }

    /// Writes what had no newline at its end, and a last line of ours.
    ///
    /// # Errors
    /// See [`RunLog::take`].
    pub fn finish(&mut self, last: &str, at: Timestamp) -> io::Result<()> {
        let mut framed = Vec::new();
        for (source, rest) in [(Source::Out, self.out.rest()), (Source::Err, self.err.rest())] {
            if !rest.is_empty() {
                framed.extend(self.framed(source, &rest, at));
            }
        }
        framed.extend(self.framed(Source::Out, last.as_bytes(), at));
        self.append(&framed)
    }

    fn framed(&self, source: Source, line: &[u8], at: Timestamp) -> Vec<u8> {
        let mark = if source == Source::Err { ":stderr" } else { "" };
        let mut framed = format!("[{at} pid:{}{mark}] ", self.process).into_bytes();
        framed.extend_from_slice(line);
        framed.push(b'\n');
        framed
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Runs of one handler write to one file, and one of them puts a full one away.
        let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let is_full = |found: fs::Metadata| found.len().saturating_add(bytes.len() as u64) > MAX_BYTES;
        if fs::symlink_metadata(&self.path).is_ok_and(is_full) {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(no_follow).open(&self.path)?;
        file.write_all(bytes)
    }
}

/// Output that has no newline yet.
#[derive(Debug, Default)]
struct Pending(Vec<u8>);

impl Pending {
    /// Takes output and gives the lines that are whole, or too long to wait for their end.
    fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.0.extend_from_slice(bytes);
        let mut lines = Vec::new();
        let mut rest = self.0.as_slice();
        loop {
            let within = &rest[..rest.len().min(MAX_LINE)];
            if let Some(end) = within.iter().position(|byte| *byte == b'\n') {
                lines.push(rest[..end].to_vec());
                rest = &rest[end + 1..];
            } else if rest.len() >= MAX_LINE {
                lines.push(within.to_vec());
                rest = &rest[MAX_LINE..];
            } else {
                self.0 = rest.to_vec();
                return lines;
            }
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_nanos(0);

    fn text(dir: &Path) -> String {
        fs::read_to_string(RunLog::path(dir, "h")).expect("written")
    }

    #[test]
    fn lines_are_framed_as_published_whatever_pieces_they_come_in() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = RunLog::new(dir.path(), "h");
        log.began(7);

        for piece in ["out-", "line\nsec", "ond\nno end"] {
            log.take(Source::Out, piece.as_bytes(), AT).expect("ours");
        }
        log.take(Source::Err, b"err-line\n", AT).expect("ours");
        log.finish("exited with status exit status: 3", AT).expect("ours");

        let stamp = AT.to_string();
        let lines: Vec<String> = text(dir.path()).lines().map(|line| line.replace(&stamp, "T")).collect();
        assert_eq!(
            lines,
            [
                "[T pid:7] out-line",
                "[T pid:7] second",
                "[T pid:7:stderr] err-line",
                "[T pid:7] no end",
                "[T pid:7] exited with status exit status: 3"
            ]
        );
    }

    #[test]
    fn a_log_does_not_grow_without_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = RunLog::new(dir.path(), "h");

        for _ in 0..40 {
            log.take(Source::Out, &vec![b'x'; 1 << 20], AT).expect("ours");
        }

        let size = |name: &str| fs::metadata(dir.path().join(name)).expect("there").len();
        assert!(size("handler-h.log") <= MAX_BYTES && size("handler-h.log.1") <= MAX_BYTES);
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 2);
    }

    #[test]
    fn a_link_in_the_place_of_a_log_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = dir.path().join("target");
        std::os::unix::fs::symlink(&target, RunLog::path(dir.path(), "h")).expect("ours");

        assert!(RunLog::new(dir.path(), "h").finish("end", AT).is_err());
        assert!(!target.exists());
    }
}
