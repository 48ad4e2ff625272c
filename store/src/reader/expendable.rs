//! What may be deleted.

use toq_protocol::time::Timestamp;

use super::{ConsumerRow, Direction, EventRow, MessageRow, Reader, Record as _, StoreError};
use crate::tables::UNREADABLE;
use crate::{Seq, tables};
use redb::{ReadableTable as _, ReadableTableMetadata as _};

/// How many rows one call looks at: so few that nobody waits for the disk meanwhile.
const STRIDE: usize = 256;

/// What a pass over the log found.
#[derive(Debug, PartialEq, Eq)]
pub struct Expendable {
    /// Messages that nobody needs.
    pub messages: Vec<Seq>,
    /// Rows that cannot be read and are not noted as such yet. They stay where they are.
    pub unreadable: Vec<Seq>,
    /// How many bytes their rows have.
    pub bytes: usize,
    /// Where to go on; `None` at the end.
    pub next: Option<Seq>,
}

impl Reader {
    /// Messages after a place that are older than a time and not among the newest `keep`, that wait in no lane, whose fate is
    /// known, and that every consumer has confirmed. At most `limit` of them.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn expendable(&self, after: Seq, before: Timestamp, keep: usize, limit: usize) -> Result<Expendable, StoreError> {
        let consumers: Vec<ConsumerRow> = self.consumers()?.into_iter().map(|(_, row)| row).collect();
        let snapshot = self.snapshot()?;
        let table = snapshot.open(tables::MESSAGES)?;
        let kept = table.range::<u64>(..)?.rev().nth(keep.max(1) - 1).transpose()?;
        let mut found = Expendable { messages: Vec::new(), unreadable: Vec::new(), bytes: 0, next: None };
        let Some(kept) = kept.map(|(seq, _)| seq.value()) else { return Ok(found) };
        let noted = snapshot.open(tables::SET_ASIDE)?;
        let mut looked_at = after;
        for (count, entry) in table.range(after.0.saturating_add(1)..kept.max(after.0.saturating_add(1)))?.enumerate() {
            let (seq, value) = entry?;
            let seq = Seq(seq.value());
            if count == STRIDE || found.messages.len() == limit {
                found.next = Some(looked_at);
                return Ok(found);
            }
            looked_at = seq;
            let looked = MessageRow::from_bytes(value.value()).and_then(|row| {
                let is_done = match row.direction() {
                    Direction::In => !consumers.iter().any(|place| place.is_open(seq.0)),
                    Direction::Out => snapshot.state(seq, &row)?.state.is_final(),
                };
                Ok((row.message()?.timestamp, is_done))
            });
            match looked {
                Ok((timestamp, _)) if timestamp >= before => return Ok(found),
                Ok((_, false)) => {}
                Ok((_, true)) => {
                    found.bytes += value.value().len();
                    found.messages.push(seq);
                }
                Err(StoreError::Record { .. }) if noted.get((UNREADABLE, seq.0))?.is_none() => found.unreadable.push(seq),
                Err(StoreError::Record { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// True where there are events from before a time that may be deleted, which the newest row may not.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn has_events_before(&self, before: Timestamp) -> Result<bool, StoreError> {
        let snapshot = self.snapshot()?;
        let events = snapshot.open(tables::EVENTS)?;
        for entry in events.range(..self.last().0)?.take(STRIDE) {
            if let Ok(row) = EventRow::from_bytes(entry?.1.value()) {
                return Ok(row.timestamp < before.as_nanos());
            }
        }
        Ok(false)
    }

    /// True where idempotency keys from before `keys` or challenges from before `challenges` are left to be forgotten.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn has_aged(&self, keys: Timestamp, challenges: Timestamp) -> Result<bool, StoreError> {
        let snapshot = self.snapshot()?;
        let key = snapshot.open(tables::KEY_AGES)?.first()?.is_some_and(|(place, _)| place.value().0 < keys.as_nanos());
        let challenge = snapshot.open(tables::CHALLENGE_AGES)?.first()?.is_some_and(|(place, _)| place.value().0 < challenges.as_nanos());
        Ok(key || challenge)
    }

    /// The bytes of all rows of the large tables and what holds them together. Reads every page.
    pub(crate) fn used_bytes(&self) -> Result<u64, StoreError> {
        let snapshot = self.snapshot()?;
        let of = |stats: redb::TableStats| stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        Ok(of(snapshot.open(tables::MESSAGES)?.stats()?)
            + of(snapshot.open(tables::STATES)?.stats()?)
            + of(snapshot.open(tables::EVENTS)?.stats()?)
            + of(snapshot.open(tables::SEEN)?.stats()?)
            + of(snapshot.open(tables::THREAD_LOG)?.stats()?))
    }
}
