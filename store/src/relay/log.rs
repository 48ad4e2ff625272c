//! The log of every channel of a relay.
//!
//! A batch of publications is one transaction, decided in order: a tag that is known already, an epoch that is taken, an account
//! that has used up its month, or a new place. Nobody is answered before the flush, so a place that somebody was told of is on
//! disk. What an attacker would try is to fill the disk: places, bytes and channels are counted here, where they come into being.

mod pen;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::rows::{self, Mark, Row};
use super::tables::{BEGUN, CHANNELS, COMMITS, ChannelRow, EPOCHS, META, PAYERS, ROWS, SCHEMA, SHARES, TAGS, USE};
use super::trim::trim;
use crate::desk::Desk;
use crate::error::StoreError;
use crate::room::Room;
use pen::Pen;

/// What a row takes up beside its frame, about.
const OVERHEAD: u64 = 64;

/// Something to be appended.
#[derive(Clone, Debug)]
pub struct Append {
    /// The channel's name.
    pub channel: Arc<str>,
    /// What its sender calls it, or what the relay calls it where `is_tagged` is false.
    pub tag: [u8; 16],
    /// Whether the tag is its sender's, so that another one with the same tag is the same.
    pub is_tagged: bool,
    /// What it is.
    pub mark: Mark,
    /// The epoch that it belongs to, where that can be seen.
    pub epoch: u64,
    /// How far its sender has read the log; a commit is refused where another one of its epoch stands beyond that.
    pub seen: u64,
    /// When it was published, in nanoseconds of Unix time.
    pub at: i64,
    /// Who pays for it.
    pub account: Arc<str>,
    /// The month it is counted in: year × 100 + month.
    pub month: u32,
    /// How many messages the account may publish in a month.
    pub messages_per_month: u64,
    /// How many channels the account may begin.
    pub channels: u64,
    /// How many bytes the channel may keep; an account may have no more of them than are still free.
    pub bytes_per_channel: u64,
    /// The frame; its last eight bytes are replaced by its place.
    pub frame: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It has this place now.
    At(u64),
    /// It had this place already.
    Known(u64),
    /// The commit at this place took the epoch.
    EpochTaken(u64),
    /// The account has published its messages of this month.
    NoMessages,
    /// The account has begun as many channels as it may.
    NoChannels,
    /// The channel keeps as much as it may, altogether or of this account.
    ChannelFull,
}

/// The ends of a channel's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The oldest place that is kept; one more than the last where nothing is.
    pub first: u64,
    /// The last place that was given; 0 before the first.
    pub last: u64,
    /// What the kept frames take up, in bytes.
    pub bytes: u64,
}

/// A part of a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Consecutive rows.
    pub rows: Vec<Row>,
    /// The ends of the log in the same snapshot.
    pub ends: Ends,
}

/// What is to be cut off.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Rows of before this time, in nanoseconds of Unix time.
    pub before: i64,
    /// At most so many rows, and looks at channels, at once, so that nobody waits long for the writer.
    pub rows: usize,
}

/// What was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// How many rows.
    pub rows: usize,
    /// Where to go on; `None` where every channel has been looked at.
    pub next: Option<String>,
}

/// What an account published in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Messages, commits included.
    pub messages: u64,
    /// Bytes of frames.
    pub bytes: u64,
}

/// The log of every channel of a relay. Clones share it.
#[derive(Clone, Debug)]
pub struct RelayLog {
    desk: Desk,
    room: Arc<Room>,
}

impl RelayLog {
    pub(super) async fn open(desk: Desk, path: &Path) -> Result<Self, StoreError> {
        let found = desk.run(prepare).await?;
        if found > SCHEMA {
            return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA });
        }
        Ok(Self { desk, room: Arc::new(Room::unlimited()) })
    }

    pub(super) fn within(self, room: Arc<Room>) -> Self {
        Self { room, ..self }
    }

    /// Appends in order; answers when everything that has a place is on disk. `now` is the time since a fixed start.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is full or failed; nothing was appended then.
    pub async fn append(&self, batch: Vec<Append>, now: Duration) -> Result<Vec<Appended>, StoreError> {
        let sizes: Vec<usize> = batch.iter().map(|append| append.frame.len()).collect();
        let mut lent = self.room.lend(sizes.iter().sum(), now)?;
        // What was not written has taken no room.
        let kept = move |answers: &Vec<Appended>| {
            let is_written = |(_, answer): &(&usize, &Appended)| matches!(answer, Appended::At(_));
            lent.written(sizes.iter().zip(answers).filter(is_written).map(|(size, _)| size).sum());
        };
        self.desk.run_then(move |transaction| Pen::new(transaction)?.write(&batch), kept).await
    }

    /// Reads what stands behind `after`, up to `through`, at most so many rows or, beyond the first, bytes.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn read(&self, channel: &str, after: u64, through: u64, most: usize, most_bytes: usize) -> Result<Stretch, StoreError> {
        self.desk.read(|transaction| {
            let Some((id, ends)) = find(&transaction.open_table(CHANNELS)?, channel)? else {
                return Ok(Stretch { rows: Vec::new(), ends: Ends { first: 1, last: 0, bytes: 0 } });
            };
            let (from, through) = (after.saturating_add(1), through.min(ends.last));
            let mut rows = Vec::new();
            let mut bytes = 0;
            if from <= through {
                for row in transaction.open_table(ROWS)?.range((id, from)..=(id, through))?.take(most) {
                    let (key, value) = row?;
                    let row = rows::read(key.value().1, value.value())?;
                    bytes += row.frame.len();
                    if bytes > most_bytes && !rows.is_empty() {
                        break;
                    }
                    rows.push(row);
                }
            }
            Ok(Stretch { rows, ends })
        })
    }

    /// The ends of a channel's log.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn ends(&self, channel: &str) -> Result<Ends, StoreError> {
        self.desk.read(|transaction| {
            let found = find(&transaction.open_table(CHANNELS)?, channel)?;
            Ok(found.map_or(Ends { first: 1, last: 0, bytes: 0 }, |(_, ends)| ends))
        })
    }

    /// The places of the newest commits of a channel, at most `most`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn commits(&self, channel: &str, most: usize) -> Result<Vec<u64>, StoreError> {
        self.desk.read(|transaction| {
            let Some((id, _)) = find(&transaction.open_table(CHANNELS)?, channel)? else { return Ok(Vec::new()) };
            let mut found = Vec::new();
            for commit in transaction.open_table(COMMITS)?.range((id, 0)..=(id, u64::MAX))?.rev().take(most) {
                found.push(commit?.0.value().1);
            }
            found.reverse();
            Ok(found)
        })
    }

    /// Cuts off what is too old, beginning with the first channel from `from` on.
    ///
    /// # Errors
    /// [`StoreError`] where the disk failed; nothing was cut off then.
    pub async fn trim(&self, from: Option<String>, cut: Cut) -> Result<Trimmed, StoreError> {
        let room = self.room.clone();
        let trim = move |transaction: &WriteTransaction| trim(transaction, from.as_deref(), cut);
        let (trimmed, _) = self.desk.run_then(trim, move |(_, bytes)| room.give(*bytes)).await?;
        Ok(trimmed)
    }

    /// What an account published in a month (year × 100 + month).
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn used(&self, account: &str, month: u32) -> Result<Use, StoreError> {
        self.desk.read(|transaction| {
            let row = transaction.open_table(USE)?.get((account, month))?.map(|row| row.value());
            Ok(row.map_or_else(Use::default, |(messages, bytes)| Use { messages, bytes }))
        })
    }

    /// How many channels there are, and what all of them keep: rows and bytes of frames.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn totals(&self) -> Result<(u64, u64, u64), StoreError> {
        self.desk.read(|transaction| {
            let channels = transaction.open_table(CHANNELS)?;
            let mut bytes = 0;
            for row in channels.iter()? {
                bytes += row?.1.value().3;
            }
            Ok((channels.len()?, transaction.open_table(ROWS)?.len()?, bytes))
        })
    }

    pub(super) fn used_bytes(&self) -> Result<u64, StoreError> {
        // A channel has rows of its own, with its name, that stay when everything in it has gone.
        self.totals().map(|(channels, rows, bytes)| bytes + (rows + 2 * channels) * OVERHEAD)
    }
}

/// Makes the tables, so that readers find them; returns the version that the file has.
fn prepare(transaction: &WriteTransaction) -> Result<u64, StoreError> {
    let mut meta = transaction.open_table(META)?;
    let found = meta.get("schema")?.map(|row| row.value());
    if let Some(found) = found.filter(|found| *found >= SCHEMA) {
        return Ok(found);
    }
    // What an earlier layout lacks begins empty: its rows are nobody's, and go by their age.
    meta.insert("schema", SCHEMA)?;
    transaction.open_table(CHANNELS)?;
    transaction.open_table(BEGUN)?;
    transaction.open_table(ROWS)?;
    transaction.open_table(TAGS)?;
    transaction.open_table(USE)?;
    transaction.open_table(PAYERS)?;
    transaction.open_table(SHARES)?;
    // What is found by another way now is in an earlier layout by its place only.
    let mut epochs = transaction.open_table(EPOCHS)?;
    for commit in transaction.open_table(COMMITS)?.iter()? {
        let (key, epoch) = commit?;
        let (id, place) = key.value();
        epochs.insert((id, epoch.value(), place), ())?;
    }
    Ok(SCHEMA)
}

/// Whether a channel has a log with something in it that another account began. What nobody with an account began is nobody's, and so is
/// what nobody has written into for as long as anything is kept.
pub(super) fn is_anothers(transaction: &WriteTransaction, channel: &str, publisher: Option<&str>) -> Result<bool, StoreError> {
    let Some(publisher) = publisher else { return Ok(false) };
    let Some((id, ends)) = find(&transaction.open_table(CHANNELS)?, channel)? else { return Ok(false) };
    let begun = transaction.open_table(BEGUN)?;
    let is_by = |account: &str| Ok::<_, StoreError>(begun.get((account, id))?.is_some());
    Ok(ends.first <= ends.last && !is_by(publisher)? && !is_by("")?)
}

fn find(channels: &impl ReadableTable<&'static str, ChannelRow>, channel: &str) -> Result<Option<(u64, Ends)>, StoreError> {
    let row = channels.get(channel)?.map(|row| row.value());
    Ok(row.map(|(id, first, last, bytes)| (id, Ends { first, last, bytes })))
}
