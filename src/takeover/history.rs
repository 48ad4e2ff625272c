//! `messages.jsonl`: what a published daemon has received, one event on a line.
//!
//! It does not say which key sent a message, so the rows name none. A line that cannot be read is left out: the last one
//! may have been cut short by a crash.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;
use toq_config::Loaded;
use toq_protocol::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::policy::Proof;
use toq_protocol::time::Timestamp;
use toq_store::batch::Change;
use toq_store::record::{Direction, MessageRow, State, StateRow};

use super::{Report, TakeoverFailure};
use crate::daemon;

/// The name of the file in a workspace directory.
pub const FILE: &str = "messages.jsonl";

/// The port of an address that names none.
const PORT: u16 = 9009;

/// The longest line that is read, in bytes: the largest message with every character escaped.
const MAX_LINE: u64 = 8 << 20;

/// How much is committed as one, in bytes.
const STRETCH: u64 = 1 << 20;

#[derive(Deserialize)]
struct Event<'t> {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    from: String,
    #[serde(borrow)]
    body: Option<&'t RawValue>,
    thread_id: Option<String>,
    reply_to: Option<String>,
    content_type: Option<String>,
    timestamp: String,
}

/// The file, read up to a place.
pub struct History {
    path: PathBuf,
    lines: BufReader<File>,
    place: u64,
    line: usize,
    own: Address,
}

impl History {
    /// Opens the file of a workspace directory and goes to a place, in bytes; `None` where there is no file.
    pub fn open(loaded: &Loaded, place: u64) -> Result<Option<Self>, TakeoverFailure> {
        let path = loaded.dir.join(FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TakeoverFailure::file(&path)(error)),
        };
        let port = Some(loaded.config.port).filter(|port| *port != 0).or_else(|| daemon::last_port(&loaded.dir)).unwrap_or(PORT);
        let mut history = Self { path, lines: BufReader::new(file), place, line: 0, own: loaded.config.address(port) };
        history.skip_to(place).map_err(TakeoverFailure::file(&history.path))?;
        Ok(Some(history))
    }

    /// How much of the file has been read, in bytes.
    pub const fn place(&self) -> u64 {
        self.place
    }

    /// The messages of the next stretch; none at the end of the file.
    pub fn next(&mut self, report: &mut Report) -> Result<Vec<Change>, TakeoverFailure> {
        let (mut changes, begin) = (Vec::new(), self.place);
        while self.place - begin < STRETCH || changes.is_empty() {
            let Some(line) = self.line().map_err(TakeoverFailure::file(&self.path))? else { break };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match self.message(&line) {
                Ok(change) => changes.push(change),
                Err(why) => report.leave_out(format!("{}:{}: {why}", self.path.display(), self.line)),
            }
        }
        Ok(changes)
    }

    fn message(&self, line: &[u8]) -> Result<Change, &'static str> {
        if line.len() as u64 >= MAX_LINE {
            return Err("longer than any message");
        }
        let text = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
        let event: Event<'_> = serde_json::from_str(text).map_err(|_| "not a message")?;
        let kind = Kind::parse(&event.kind);
        let is_kept = |kind: &Kind| matches!(kind, Kind::MessageSend | Kind::MessageStreamEnd | Kind::ThreadClose);
        let message = Message {
            id: MessageId::parse(&event.id).ok_or("its `id` is no message id")?,
            kind: kind.filter(is_kept).ok_or("its `type` is not one that is kept")?,
            from: Address::parse(&event.from).map_err(|_| "its `from` is no toq address")?,
            to: self.own.clone(),
            thread_id: event.thread_id,
            reply_to: event.reply_to,
            content_type: event.content_type,
            timestamp: Timestamp::parse(&event.timestamp).ok_or("its `timestamp` is no time")?,
            ttl: None,
            body: event.body.map(|body| Json::parse(body.get())).transpose().map_err(|_| "its `body` nests too deeply")?,
        };
        let state = StateRow::new(State::Received, message.timestamp);
        let row = MessageRow::new(Direction::In, &message, None).proven(Proof::Claimed);
        Ok(Change::Restore { message: Box::new(row), state })
    }

    /// Reads a line; no more of a long one than [`MAX_LINE`], the rest of which is passed over.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut read = (&mut self.lines).take(MAX_LINE).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            return Ok(None);
        }
        if read == MAX_LINE && !line.ends_with(b"\n") {
            read += self.lines.skip_until(b'\n')? as u64;
        }
        self.place += read;
        self.line += 1;
        Ok(Some(line))
    }

    /// Goes to a place and counts the lines before it.
    fn skip_to(&mut self, place: u64) -> io::Result<()> {
        let mut left = (&mut self.lines).take(place);
        while left.skip_until(b'\n')? > 0 {
            self.line += 1;
        }
        self.lines.seek(SeekFrom::Start(place)).map(drop)
    }
}
