//! The file of the log: set aside when it is full or the day ends, and deleted when it is old or all are too large together.
//!
//! A log that cannot be written is no reason to stop, so every failure here is silent. Somebody else may empty or remove the
//! file; its size is asked for, not remembered.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toq_protocol::time::Timestamp;

/// The log that is being written.
const NAME: &str = "toq.log";

/// How many pieces the whole is cut into: the oldest goes when there is no room for another.
const PIECES: u64 = 8;

const DAY: i64 = 24 * 3600;

/// How much log is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many days it is kept.
    pub days: u32,
    /// How large all files may be together, in bytes.
    pub bytes: u64,
}

/// The log's files.
#[derive(Debug)]
pub struct Rolling {
    dir: PathBuf,
    bounds: Bounds,
    file: File,
    /// The day of its last line, counted from the Unix epoch; `None` while it has none.
    day: Option<i64>,
}

impl Rolling {
    /// Goes on with the log in a directory, which is made where there is none.
    pub fn open(dir: PathBuf, bounds: Bounds) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let file = append_to(&dir)?;
        let metadata = file.metadata()?;
        let day = (metadata.len() > 0).then(|| metadata.mtime().div_euclid(DAY));
        Ok(Self { dir, bounds, file, day })
    }

    /// Writes a line.
    pub fn append(&mut self, line: &str, now: Timestamp) {
        let _unwritten = self.try_append(line, now);
    }

    fn try_append(&mut self, line: &str, now: Timestamp) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        let today = now.as_secs().div_euclid(DAY);
        let is_full = metadata.len() + line.len() as u64 > self.bounds.bytes / PIECES;
        if metadata.nlink() == 0 {
            self.file = append_to(&self.dir)?;
        } else if metadata.len() > 0 && (is_full || self.day.is_some_and(|day| day != today)) {
            self.set_aside(now)?;
        }
        self.day = Some(today);
        self.file.write_all(line.as_bytes())
    }

    fn set_aside(&mut self, now: Timestamp) -> io::Result<()> {
        fs::rename(self.dir.join(NAME), self.dir.join(format!("{NAME}.{now}")))?;
        self.file = append_to(&self.dir)?;
        self.delete_old(now)
    }

    /// Deletes what is too old, and then the oldest until there is room for one more file.
    fn delete_old(&self, now: Timestamp) -> io::Result<()> {
        let oldest = now.minus(Duration::from_secs(u64::from(self.bounds.days) * DAY as u64)).as_secs();
        let room = self.bounds.bytes - self.bounds.bytes / PIECES;
        let mut kept = 0;
        for (path, metadata) in set_aside(&self.dir)?.into_iter().rev() {
            if metadata.mtime() < oldest || kept + metadata.len() > room {
                fs::remove_file(path)?;
            } else {
                kept += metadata.len();
            }
        }
        Ok(())
    }
}

fn append_to(dir: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join(NAME))
}

/// The files that were set aside, oldest first.
fn set_aside(dir: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().strip_prefix(NAME).is_some_and(|rest| rest.starts_with('.')) {
            found.push((entry.path(), entry.metadata()?));
        }
    }
    found.sort_by_key(|(path, metadata)| (metadata.mtime(), metadata.mtime_nsec(), path.clone()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn size(dir: &Path) -> u64 {
        fs::read_dir(dir).expect("ours").map(|entry| entry.and_then(|entry| entry.metadata()).expect("ours").len()).sum()
    }

    #[test]
    fn all_files_together_stay_below_the_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = Rolling::open(dir.path().to_owned(), Bounds { days: 1_000_000, bytes: 8_000 }).expect("opens");

        for second in 0..2_000 {
            log.append(&format!("{second:0>99}\n"), at(second));
            assert!(size(dir.path()) <= 8_000, "after {second}");
        }

        assert!(size(dir.path()) > 6_000, "and not far below");
        assert!(fs::read_to_string(dir.path().join(NAME)).expect("there").ends_with("1999\n"));
    }

    #[test]
    fn a_new_day_begins_a_new_file_and_old_ones_are_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = Rolling::open(dir.path().to_owned(), Bounds { days: 30, bytes: 1 << 20 }).expect("opens");

        log.append("one\n", at(1));
        log.append("two\n", at(DAY + 1));
        assert_eq!(set_aside(dir.path()).expect("reads").len(), 1);

        // Files are of today; a far future makes all of them old.
        let future = i64::from(u32::MAX) * 2;
        log.append("three\n", at(future));

        assert_eq!(set_aside(dir.path()).expect("reads").len(), 0);
        assert_eq!(fs::read_to_string(dir.path().join(NAME)).expect("there"), "three\n");
    }

    #[test]
    fn a_file_that_was_taken_away_is_made_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = Rolling::open(dir.path().to_owned(), Bounds { days: 30, bytes: 1 << 20 }).expect("opens");
        log.append("one\n", at(1));

        fs::remove_file(dir.path().join(NAME)).expect("ours");
        log.append("two\n", at(1));

        assert_eq!(fs::read_to_string(dir.path().join(NAME)).expect("there"), "two\n");
    }
}
