//! What may be deleted.

use toq_protocol::time::Timestamp;

use super::{ConsumerRow, Direction, MessageRow, Reader, Record as _, StoreError};
use crate::{Seq, tables};
use redb::ReadableTableMetadata as _;

/// How many rows one call looks at.
const STRIDE: usize = 1024;

/// What a pass over the log found.
#[derive(Debug, PartialEq, Eq)]
pub struct Expendable {
    /// Messages that nobody needs.
    pub messages: Vec<Seq>,
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
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn expendable(&self, after: Seq, before: Timestamp, keep: usize, limit: usize) -> Result<Expendable, StoreError> {
        let consumers: Vec<ConsumerRow> = self.consumers()?.into_iter().map(|(_, row)| row).collect();
        let snapshot = self.snapshot()?;
        let table = snapshot.open(tables::MESSAGES)?;
        let kept = table.range::<u64>(..)?.rev().nth(keep.max(1) - 1).transpose()?;
        let Some(kept) = kept.map(|(seq, _)| seq.value()) else { return Ok(Expendable { messages: Vec::new(), bytes: 0, next: None }) };
        let (mut messages, mut bytes) = (Vec::new(), 0);
        let mut looked_at = Seq(0);
        for (count, entry) in table.range(after.0.saturating_add(1)..kept.max(after.0.saturating_add(1)))?.enumerate() {
            let (seq, value) = entry?;
            let (seq, row) = (Seq(seq.value()), MessageRow::from_bytes(value.value())?);
            if row.message()?.timestamp >= before {
                return Ok(Expendable { messages, bytes, next: None });
            }
            if count == STRIDE || messages.len() == limit {
                return Ok(Expendable { messages, bytes, next: Some(looked_at) });
            }
            looked_at = seq;
            let is_done = match row.direction() {
                Direction::In => !consumers.iter().any(|place| place.is_open(seq.0)),
                Direction::Out => snapshot.state(seq, &row)?.state.is_final(),
            };
            if is_done {
                bytes += value.value().len();
                messages.push(seq);
            }
        }
        Ok(Expendable { messages, bytes, next: None })
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
