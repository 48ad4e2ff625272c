//! Snapshots of the log, for everybody who reads.
//!
//! Every call takes one snapshot, reads a bounded number of rows and lets it go; no snapshot is held
//! across an await. Waiting for more is done on [`Reader::watch`], which carries nothing but the place of
//! the newest row.

mod conversation;
mod expendable;
mod history;
mod peers;
mod spending;

use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};
use tokio::sync::watch;
use toq_protocol::file::{MANIFEST_TYPE, Manifest};
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};

use crate::error::StoreError;
use crate::open::{Shared, Tail};
use crate::record::{ConsumerRow, Direction, EventRow, MessageRow, Record, SetAsideRow, StateRow};
use crate::writer::seen_key;
use crate::{Seq, tables};

pub use conversation::Stretch;
pub use expendable::Expendable;
pub use history::{HistoryPage, HistoryQuery, MAX_SCAN, ThreadSummary};

/// Reads a workspace's log.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    tail: Tail,
}

/// A message that waits in a lane.
#[derive(Clone, Debug)]
pub struct OnLane {
    /// What it says.
    pub message: Message,
    /// The only key that may have it, where it answers somebody.
    pub only: Option<PeerKey>,
}

/// A message and what became of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// What it says.
    pub row: MessageRow,
    /// What became of it.
    pub state: StateRow,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, last: Seq) -> Self {
        Self { shared, tail: Arc::new(watch::Sender::new(last)) }
    }

    pub(crate) fn tail(&self) -> Tail {
        self.tail.clone()
    }

    /// A watch of the newest place.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.tail.subscribe()
    }

    /// The newest place.
    #[must_use]
    pub fn last(&self) -> Seq {
        *self.tail.borrow()
    }

    /// One message by its place.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or the row is damaged.
    pub fn entry(&self, seq: Seq) -> Result<Option<Entry>, StoreError> {
        let snapshot = self.snapshot()?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let Some(bytes) = messages.get(seq.0)? else { return Ok(None) };
        let row = MessageRow::from_bytes(bytes.value())?;
        Ok(Some(Entry { seq, state: snapshot.state(seq, &row)?, row }))
    }

    /// One message by its id: an outgoing one first, else an incoming one.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or the row is damaged.
    pub fn find(&self, id: &MessageId) -> Result<Option<Entry>, StoreError> {
        let sent = self.snapshot()?.open(tables::SENT)?.get(id.as_bytes())?.map(|seq| Seq(seq.value()));
        match sent {
            Some(seq) => self.entry(seq),
            None => self.find_incoming(id)?.map_or(Ok(None), |seq| self.entry(seq)),
        }
    }

    /// One incoming message by its id; the first sender's, should two have used the same.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn find_incoming(&self, id: &MessageId) -> Result<Option<Seq>, StoreError> {
        Ok(self.find_all_incoming(id)?.first().copied())
    }

    /// Every incoming message with an id, one for each sender that has used it, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn find_all_incoming(&self, id: &MessageId) -> Result<Vec<Seq>, StoreError> {
        let snapshot = self.snapshot()?;
        let seen = snapshot.open(tables::SEEN)?;
        let (first, last) = (seen_key(&PeerKey::from_bytes([0; 32]), id), seen_key(&PeerKey::from_bytes([0xff; 32]), id));
        let mut seqs =
            seen.range::<&[u8; 48]>(&first..=&last)?.map(|entry| entry.map(|(_, seq)| Seq(seq.value()))).collect::<Result<Vec<_>, _>>()?;
        seqs.sort_unstable();
        Ok(seqs)
    }

    /// How many incoming messages a consumer has not confirmed, counting no further than [`MAX_SCAN`] rows. What cannot be read is
    /// offered to nobody and not counted.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn unconfirmed(&self, consumer: &ConsumerRow) -> Result<u64, StoreError> {
        let snapshot = self.snapshot()?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let mut count = consumer.retried().iter().filter(|seq| **seq <= consumer.low_water).count() as u64;
        for entry in messages.range(consumer.low_water.saturating_add(1)..)?.take(MAX_SCAN) {
            let (seq, bytes) = entry?;
            let is_in = || MessageRow::from_bytes(bytes.value()).is_ok_and(|row| row.direction() == Direction::In);
            if consumer.is_open(seq.value()) && is_in() {
                count += 1;
            }
        }
        Ok(count)
    }

    /// The messages after a place, both directions, in order. A row that cannot be read is passed over; retention notes it.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn messages_after(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, MessageRow)>, StoreError> {
        let snapshot = self.snapshot()?;
        let messages = snapshot.open(tables::MESSAGES)?;
        readable(messages.range(after.0.saturating_add(1)..)?, limit)
    }

    /// The events after a place, in order. A row that cannot be read is passed over.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn events_after(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, EventRow)>, StoreError> {
        let snapshot = self.snapshot()?;
        let events = snapshot.open(tables::EVENTS)?;
        readable(events.range(after.0.saturating_add(1)..)?, limit)
    }

    /// What waits in a lane after a place, in order.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn lane(&self, lane: &str, after: Seq, limit: usize) -> Result<Vec<(Seq, Option<OnLane>)>, StoreError> {
        let snapshot = self.snapshot()?;
        let outbox = snapshot.open(tables::OUTBOX)?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let mut waiting = Vec::new();
        for key in outbox.range((lane, after.0.saturating_add(1))..=(lane, u64::MAX))?.take(limit) {
            let seq = Seq(key?.0.value().1);
            let message = match messages.get(seq.0)? {
                Some(bytes) => {
                    MessageRow::from_bytes(bytes.value()).and_then(|row| Ok(OnLane { message: row.message()?, only: row.only_for() })).ok()
                }
                None => None,
            };
            waiting.push((seq, message));
        }
        Ok(waiting)
    }

    /// How many messages wait in a lane, counting no further than `limit`.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn lane_len(&self, lane: &str, limit: usize) -> Result<usize, StoreError> {
        let snapshot = self.snapshot()?;
        let outbox = snapshot.open(tables::OUTBOX)?;
        let mut count = 0;
        for key in outbox.range((lane, 0)..=(lane, u64::MAX))?.take(limit) {
            key?;
            count += 1;
        }
        Ok(count)
    }

    /// The lanes in which something waits. Jumps from lane to lane, however much waits in each.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn lanes(&self) -> Result<Vec<String>, StoreError> {
        let snapshot = self.snapshot()?;
        let outbox = snapshot.open(tables::OUTBOX)?;
        let mut lanes: Vec<String> = Vec::new();
        let mut next = outbox.iter()?.next().transpose()?.map(|entry| entry.0.value().0.to_owned());
        while let Some(lane) = next {
            next = outbox.range((lane.as_str(), u64::MAX)..)?.next().transpose()?.map(|entry| entry.0.value().0.to_owned());
            lanes.push(lane);
        }
        Ok(lanes)
    }

    /// The files that messages on their lanes announce.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub(crate) fn files_on_lanes(&self) -> Result<Vec<Manifest>, StoreError> {
        let snapshot = self.snapshot()?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let mut files = Vec::new();
        for key in snapshot.open(tables::OUTBOX)?.iter()? {
            let bytes = messages.get(key?.0.value().1)?.ok_or(StoreError::Record { table: "outbox" })?;
            let message = MessageRow::from_bytes(bytes.value())?.message()?;
            if message.content_type.as_deref() == Some(MANIFEST_TYPE) {
                files.extend(Manifest::parse(message.body.as_ref()));
            }
        }
        Ok(files)
    }

    /// How many messages wait to be delivered.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn waiting(&self) -> Result<u64, StoreError> {
        Ok(self.snapshot()?.open(tables::OUTBOX)?.len()?)
    }

    /// True where this message of this sender is stored.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn has_seen(&self, sender: &PeerKey, id: &MessageId) -> Result<bool, StoreError> {
        Ok(self.snapshot()?.open(tables::SEEN)?.get(&seen_key(sender, id))?.is_some())
    }

    /// How far the takeover of another log has come, where one was begun.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn taken_over(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.snapshot()?.open(tables::META)?.get("taken_over")?.map(|place| place.value()))
    }

    /// A consumer's place.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or the row is damaged.
    pub fn consumer(&self, name: &str) -> Result<Option<ConsumerRow>, StoreError> {
        let snapshot = self.snapshot()?;
        let consumers = snapshot.open(tables::CONSUMERS)?;
        consumers.get(name)?.map(|bytes| ConsumerRow::from_bytes(bytes.value())).transpose()
    }

    /// Every consumer and its place.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn consumers(&self) -> Result<Vec<(String, ConsumerRow)>, StoreError> {
        let snapshot = self.snapshot()?;
        let consumers = snapshot.open(tables::CONSUMERS)?;
        let rows = consumers.iter()?;
        rows.map(|entry| {
            let (name, bytes) = entry?;
            Ok((name.value().to_owned(), ConsumerRow::from_bytes(bytes.value())?))
        })
        .collect()
    }

    /// How often a message was offered to a consumer.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn offers(&self, consumer: &str, seq: Seq) -> Result<u32, StoreError> {
        let snapshot = self.snapshot()?;
        let offers = snapshot.open(tables::OFFERS)?;
        Ok(offers.get((consumer, seq.0))?.map_or(0, |count| count.value()))
    }

    /// What was set aside for a consumer and can be read, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn set_aside(&self, consumer: &str, limit: usize) -> Result<Vec<(Entry, SetAsideRow)>, StoreError> {
        let snapshot = self.snapshot()?;
        let rows = snapshot.open(tables::SET_ASIDE)?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let mut found = Vec::new();
        for entry in rows.range((consumer, 0)..=(consumer, u64::MAX))?.take(limit) {
            let (key, bytes) = entry?;
            let seq = Seq(key.value().1);
            let Some(message) = messages.get(seq.0)? else { continue };
            if let (Some(entry), Ok(row)) = (snapshot.whole(seq, message.value())?, SetAsideRow::from_bytes(bytes.value())) {
                found.push((entry, row));
            }
        }
        Ok(found)
    }

    /// True where it is noted that this row cannot be read.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn is_noted_unreadable(&self, seq: Seq) -> Result<bool, StoreError> {
        Ok(self.snapshot()?.open(tables::SET_ASIDE)?.get((tables::UNREADABLE, seq.0))?.is_some())
    }

    fn by_key<R: Record>(&self, table: TableDefinition<&'static [u8; 32], &'static [u8]>) -> Result<Vec<(PeerKey, R)>, StoreError> {
        let snapshot = self.snapshot()?;
        let rows = snapshot.open(table)?;
        let rows = rows.iter()?;
        rows.map(|entry| {
            let (key, bytes) = entry?;
            Ok((PeerKey::from_bytes(*key.value()), R::from_bytes(bytes.value())?))
        })
        .collect()
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let database = self.shared.database()?;
        let transaction = database.begin_read()?;
        Ok(Snapshot { transaction, _database: database })
    }
}

/// So many rows that can be read.
fn readable<R: Record>(rows: redb::Range<'_, u64, &'static [u8]>, limit: usize) -> Result<Vec<(Seq, R)>, StoreError> {
    let row = |entry: Result<(redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &'static [u8]>), redb::StorageError>| match entry {
        Ok((seq, bytes)) => R::from_bytes(bytes.value()).ok().map(|row| Ok((Seq(seq.value()), row))),
        Err(error) => Some(Err(error.into())),
    };
    rows.filter_map(row).take(limit).collect()
}

pub(crate) struct Snapshot {
    transaction: ReadTransaction,
    _database: Arc<Database>,
}

impl Snapshot {
    pub(crate) fn open<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        table: TableDefinition<K, V>,
    ) -> Result<redb::ReadOnlyTable<K, V>, StoreError> {
        Ok(self.transaction.open_table(table)?)
    }

    /// A message and its state, where all of it can be read.
    fn whole(&self, seq: Seq, bytes: &[u8]) -> Result<Option<Entry>, StoreError> {
        let entry = MessageRow::from_bytes(bytes).and_then(|row| {
            row.message()?;
            Ok(Entry { seq, state: self.state(seq, &row)?, row })
        });
        match entry {
            Ok(entry) => Ok(Some(entry)),
            Err(StoreError::Record { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn state(&self, seq: Seq, row: &MessageRow) -> Result<StateRow, StoreError> {
        let states = self.open(tables::STATES)?;
        match states.get(seq.0)? {
            Some(bytes) => StateRow::from_bytes(bytes.value()),
            None if row.direction() == Direction::In => Ok(row.unwritten_state(false)),
            None => {
                let lane = row.message()?.to.key();
                let is_on_lane = self.open(tables::OUTBOX)?.get((lane.as_str(), seq.0))?.is_some();
                Ok(row.unwritten_state(is_on_lane))
            }
        }
    }
}
