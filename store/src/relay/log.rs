//! The log of every channel of a relay.
//!
//! A batch of publications is one transaction, decided in order: a tag that is known already, an epoch that is taken, an account
//! that has used up its month, or a new place. Nobody is answered before the flush, so a place that somebody was told of is on
//! disk. What an attacker would try is to fill the disk: places, bytes and channels are counted here, where they come into being.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::rows::{self, Mark, Row};
use super::tables::{BEGUN, CHANNELS, COMMITS, ChannelRow, META, ROWS, SCHEMA, TAGS, USE};
use crate::desk::Desk;
use crate::error::StoreError;
use crate::room::Room;

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
    /// The oldest rows of a channel that keeps more bytes than this.
    pub bytes_per_channel: u64,
    /// At most so many rows at once, so that nobody waits long for the writer.
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

    pub(super) fn within(self, room: Room) -> Self {
        Self { room: Arc::new(room), ..self }
    }

    /// Appends in order; answers when everything that has a place is on disk. `now` is the time since a fixed start.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is full or failed; nothing was appended then.
    pub async fn append(&self, batch: Vec<Append>, now: Duration) -> Result<Vec<Appended>, StoreError> {
        self.room.take(batch.iter().map(|append| append.frame.len()).sum(), now)?;
        self.desk.run(move |transaction| Pen::new(transaction)?.write(&batch)).await
    }

    /// Reads what stands behind `after`, up to `through`, at most so many rows or, beyond the first, bytes.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn read(&self, channel: &str, after: u64, through: u64, most: usize, most_bytes: usize) -> Result<Stretch, StoreError> {
        let transaction = self.desk.database()?.begin_read()?;
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
    }

    /// The ends of a channel's log.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn ends(&self, channel: &str) -> Result<Ends, StoreError> {
        let transaction = self.desk.database()?.begin_read()?;
        let found = find(&transaction.open_table(CHANNELS)?, channel)?;
        Ok(found.map_or(Ends { first: 1, last: 0, bytes: 0 }, |(_, ends)| ends))
    }

    /// The newest commits of the channel's present group: at most `most` of those since the time `since`, oldest first. A commit of an
    /// epoch that is not below its successor's belongs to an earlier group of that name, and so does everything before it.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn commits(&self, channel: &str, since: i64, most: usize) -> Result<Vec<Row>, StoreError> {
        let transaction = self.desk.database()?.begin_read()?;
        let Some((id, _)) = find(&transaction.open_table(CHANNELS)?, channel)? else { return Ok(Vec::new()) };
        let kept = transaction.open_table(ROWS)?;
        let mut found: Vec<Row> = Vec::new();
        for commit in transaction.open_table(COMMITS)?.range((id, 0)..=(id, u64::MAX))?.rev().take(most) {
            let (key, epoch) = commit?;
            if found.last().is_some_and(|later| later.epoch <= epoch.value()) {
                break;
            }
            let Some(record) = kept.get(key.value())? else { break };
            let row = rows::read(key.value().1, record.value())?;
            if row.at < since {
                break;
            }
            found.push(row);
        }
        found.reverse();
        Ok(found)
    }

    /// Cuts off what is too old or too much, beginning with the first channel from `from` on.
    ///
    /// # Errors
    /// [`StoreError`] where the disk failed; nothing was cut off then.
    pub async fn trim(&self, from: Option<String>, cut: Cut) -> Result<Trimmed, StoreError> {
        let (trimmed, bytes) = self.desk.run(move |transaction| trim(transaction, from.as_deref(), cut)).await?;
        self.room.give(bytes);
        Ok(trimmed)
    }

    /// What an account published in a month (year × 100 + month).
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn used(&self, account: &str, month: u32) -> Result<Use, StoreError> {
        let transaction = self.desk.database()?.begin_read()?;
        let row = transaction.open_table(USE)?.get((account, month))?.map(|row| row.value());
        Ok(row.map_or_else(Use::default, |(messages, bytes)| Use { messages, bytes }))
    }

    /// How many channels there are, and what all of them keep: rows and bytes of frames.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn totals(&self) -> Result<(u64, u64, u64), StoreError> {
        let transaction = self.desk.database()?.begin_read()?;
        let channels = transaction.open_table(CHANNELS)?;
        let mut bytes = 0;
        for row in channels.iter()? {
            bytes += row?.1.value().3;
        }
        Ok((channels.len()?, transaction.open_table(ROWS)?.len()?, bytes))
    }

    /// Whether the disk has room for more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room.is_full()
    }

    pub(super) fn used_bytes(&self) -> Result<u64, StoreError> {
        self.totals().map(|(_, rows, bytes)| bytes + rows * OVERHEAD)
    }
}

/// Makes the tables, so that readers find them; returns the version that the file has.
fn prepare(transaction: &WriteTransaction) -> Result<u64, StoreError> {
    let mut meta = transaction.open_table(META)?;
    let found = meta.get("schema")?.map(|row| row.value());
    if let Some(found) = found {
        return Ok(found);
    }
    meta.insert("schema", SCHEMA)?;
    transaction.open_table(CHANNELS)?;
    transaction.open_table(BEGUN)?;
    transaction.open_table(ROWS)?;
    transaction.open_table(TAGS)?;
    transaction.open_table(COMMITS)?;
    transaction.open_table(USE)?;
    Ok(SCHEMA)
}

fn find(channels: &impl ReadableTable<&'static str, ChannelRow>, channel: &str) -> Result<Option<(u64, Ends)>, StoreError> {
    let row = channels.get(channel)?.map(|row| row.value());
    Ok(row.map(|(id, first, last, bytes)| (id, Ends { first, last, bytes })))
}

/// The tables while one batch is written. What many appends of a batch change alike is written once, at the end.
struct Pen<'t> {
    transaction: &'t WriteTransaction,
    channels: Table<'t, &'static str, ChannelRow>,
    rows: Table<'t, (u64, u64), &'static [u8]>,
    tags: Table<'t, (u64, &'static [u8; 16]), u64>,
    commits: Table<'t, (u64, u64), u64>,
    used: Table<'t, (&'static str, u32), (u64, u64)>,
    heads: HashMap<Arc<str>, (u64, Ends)>,
    spent: HashMap<(Arc<str>, u32), Use>,
}

impl<'t> Pen<'t> {
    fn new(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            transaction,
            channels: transaction.open_table(CHANNELS)?,
            rows: transaction.open_table(ROWS)?,
            tags: transaction.open_table(TAGS)?,
            commits: transaction.open_table(COMMITS)?,
            used: transaction.open_table(USE)?,
            heads: HashMap::new(),
            spent: HashMap::new(),
        })
    }

    fn write(mut self, batch: &[Append]) -> Result<Vec<Appended>, StoreError> {
        let answers = batch.iter().map(|append| self.append(append)).collect::<Result<_, _>>()?;
        for (name, (id, ends)) in &self.heads {
            self.channels.insert(&**name, (*id, ends.first, ends.last, ends.bytes))?;
        }
        for ((account, month), used) in &self.spent {
            self.used.insert((&**account, *month), (used.messages, used.bytes))?;
        }
        Ok(answers)
    }

    fn append(&mut self, append: &Append) -> Result<Appended, StoreError> {
        let head = self.head(&append.channel)?;
        if let Some((id, ends)) = head {
            if append.is_tagged
                && let Some(known) = self.tags.get((id, &append.tag))?
            {
                return Ok(Appended::Known(known.value()));
            }
            if append.mark == Mark::Commit
                && let Some(taken) = self.taken(id, ends, append)?
            {
                return Ok(Appended::EpochTaken(taken));
            }
        }
        let spent = self.spent(append)?;
        if spent.messages >= append.messages_per_month {
            return Ok(Appended::NoMessages);
        }
        let (id, mut ends) = match head {
            Some(head) => head,
            None => match self.begin(append)? {
                Some(id) => (id, Ends { first: 1, last: 0, bytes: 0 }),
                None => return Ok(Appended::NoChannels),
            },
        };
        let (seq, size) = (ends.last + 1, append.frame.len() as u64);
        let record = rows::write(seq, append.at, append.mark, append.epoch, &append.tag, &append.frame);
        self.rows.insert((id, seq), record.as_slice())?;
        if append.is_tagged {
            self.tags.insert((id, &append.tag), seq)?;
        }
        if append.mark == Mark::Commit {
            self.commits.insert((id, seq), append.epoch)?;
        }
        ends.last = seq;
        ends.bytes += size;
        self.heads.insert(append.channel.clone(), (id, ends));
        let used = Use { messages: spent.messages + 1, bytes: spent.bytes + size };
        self.spent.insert((append.account.clone(), append.month), used);
        Ok(Appended::At(seq))
    }

    fn head(&self, channel: &Arc<str>) -> Result<Option<(u64, Ends)>, StoreError> {
        match self.heads.get(channel) {
            Some(head) => Ok(Some(*head)),
            None => find(&self.channels, channel),
        }
    }

    /// The place of a commit of the same epoch that the sender has not seen.
    fn taken(&self, id: u64, ends: Ends, append: &Append) -> Result<Option<u64>, StoreError> {
        let from = append.seen.saturating_add(1);
        if from > ends.last {
            return Ok(None);
        }
        for commit in self.commits.range((id, from)..=(id, ends.last))? {
            let (key, epoch) = commit?;
            if epoch.value() == append.epoch {
                return Ok(Some(key.value().1));
            }
        }
        Ok(None)
    }

    fn spent(&mut self, append: &Append) -> Result<Use, StoreError> {
        match self.spent.entry((append.account.clone(), append.month)) {
            Entry::Occupied(spent) => Ok(*spent.get()),
            Entry::Vacant(unread) => {
                let row = self.used.get((&*append.account, append.month))?.map(|row| row.value());
                let used = row.map_or_else(Use::default, |(messages, bytes)| Use { messages, bytes });
                Ok(*unread.insert(used))
            }
        }
    }

    /// Gives a channel a number; `None` where its account may begin no more.
    fn begin(&mut self, append: &Append) -> Result<Option<u64>, StoreError> {
        let mut begun = self.transaction.open_table(BEGUN)?;
        let most = usize::try_from(append.channels).unwrap_or(usize::MAX);
        if begun.range((&*append.account, 0)..=(&*append.account, u64::MAX))?.take(most).count() >= most {
            return Ok(None);
        }
        let mut meta = self.transaction.open_table(META)?;
        let id = meta.get("channels")?.map_or(0, |row| row.value()) + 1;
        meta.insert("channels", id)?;
        begun.insert((&*append.account, id), ())?;
        Ok(Some(id))
    }
}

fn trim(transaction: &WriteTransaction, from: Option<&str>, cut: Cut) -> Result<(Trimmed, usize), StoreError> {
    let mut channels = transaction.open_table(CHANNELS)?;
    let mut changed: Vec<(String, ChannelRow)> = Vec::new();
    let mut trimmed = Trimmed { rows: 0, next: None };
    let mut given = 0;
    {
        let mut shears =
            Shears { rows: transaction.open_table(ROWS)?, tags: transaction.open_table(TAGS)?, commits: transaction.open_table(COMMITS)? };
        for channel in channels.range(from.unwrap_or("")..)? {
            let (name, row) = channel?;
            let (id, mut first, last, mut bytes) = row.value();
            let before = (first, bytes);
            while first <= last && trimmed.rows < cut.rows {
                let Some(size) = shears.cut(id, first, bytes > cut.bytes_per_channel, cut.before)? else { break };
                first += 1;
                bytes = bytes.saturating_sub(size);
                trimmed.rows += 1;
            }
            given += usize::try_from(before.1 - bytes).unwrap_or(usize::MAX);
            if first != before.0 {
                changed.push((name.value().to_owned(), (id, first, last, bytes)));
            }
            if trimmed.rows >= cut.rows {
                trimmed.next = Some(name.value().to_owned());
                break;
            }
        }
    }
    for (name, row) in changed {
        channels.insert(name.as_str(), row)?;
    }
    Ok((trimmed, given))
}

struct Shears<'t> {
    rows: Table<'t, (u64, u64), &'static [u8]>,
    tags: Table<'t, (u64, &'static [u8; 16]), u64>,
    commits: Table<'t, (u64, u64), u64>,
}

impl Shears<'_> {
    /// Removes a row if it must go; returns the size of its frame.
    fn cut(&mut self, id: u64, seq: u64, is_too_much: bool, before: i64) -> Result<Option<u64>, StoreError> {
        let row = match self.rows.get((id, seq))? {
            Some(record) => rows::read(seq, record.value())?,
            None => return Ok(Some(0)),
        };
        if !is_too_much && row.at >= before {
            return Ok(None);
        }
        self.rows.remove((id, seq))?;
        // The relay's own names of untagged rows were never in this table, except by a chance of one in 2^128.
        if self.tags.get((id, &row.tag))?.is_some_and(|place| place.value() == seq) {
            self.tags.remove((id, &row.tag))?;
        }
        if row.mark == Mark::Commit {
            self.commits.remove((id, seq))?;
        }
        Ok(Some(row.frame.len() as u64))
    }
}
