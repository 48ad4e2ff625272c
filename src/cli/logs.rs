//! Prints the daemon's log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use toq_api::LogEntry;

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// How often to look for new lines.
const LOOK: Duration = Duration::from_millis(250);
/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// Prints the daemon's log
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Goes on with new lines as they are written, until interrupted
    #[arg(long)]
    follow: bool,
}

impl Logs {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let path = desk.dir()?.join("logs").join("toq.log");
        let mut tail = Tail::new(path);
        let found = tail.look(desk)?;
        if !self.follow {
            if !found {
                return desk.output.answer(|| json!({"entries": []}), || "No logs found".to_owned());
            }
            return Ok(());
        }
        loop {
            tokio::time::sleep(LOOK).await;
            tail.look(desk)?;
        }
    }
}

/// A file that grows, and that a new start replaces.
struct Tail {
    path: PathBuf,
    open: Option<File>,
    inode: u64,
    line: Vec<u8>,
}

impl Tail {
    const fn new(path: PathBuf) -> Self {
        Self { path, open: None, inode: 0, line: Vec::new() }
    }

    /// Prints the whole lines that are new; false if there is no file.
    fn look(&mut self, desk: &Desk) -> Result<bool, Failure> {
        self.reopen()?;
        let Some(file) = &mut self.open else {
            return Ok(false);
        };
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok(true);
            }
            for byte in &piece[..read] {
                if *byte == b'\n' {
                    print(desk, &std::mem::take(&mut self.line))?;
                } else {
                    self.line.push(*byte);
                }
            }
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.open.is_none() || metadata.ino() != self.inode {
            self.open = Some(File::open(&self.path)?);
            self.inode = metadata.ino();
            self.line.clear();
        } else if let Some(file) = &mut self.open
            && file.stream_position()? > metadata.len()
        {
            file.seek(SeekFrom::Start(0))?;
        }
        Ok(())
    }
}

fn print(desk: &Desk, line: &[u8]) -> Result<(), Failure> {
    let line = String::from_utf8_lossy(line);
    match LogEntry::parse(&line) {
        Some(entry) => desk.output.answer(|| json!(entry), || sanitize::text(&entry.words())),
        None => Ok(()),
    }
}
