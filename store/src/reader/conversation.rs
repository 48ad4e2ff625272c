//! The newest messages of a thread.

use toq_protocol::key::PeerKey;

use super::{MessageRow, Reader, Record as _, StoreError};
use crate::writer::unremembered;
use crate::{Seq, tables};

/// How much of a thread is read.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// The most messages.
    pub messages: usize,
    /// The most bytes of rows.
    pub bytes: usize,
}

impl Reader {
    /// The messages of a thread after a place and up to another, both directions, oldest first; true where these are all of them.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn conversation(&self, thread: &str, after: Seq, until: Seq, stretch: Stretch) -> Result<(Vec<MessageRow>, bool), StoreError> {
        if until <= after {
            return Ok((Vec::new(), true));
        }
        let snapshot = self.snapshot()?;
        let log = snapshot.open(tables::THREAD_LOG)?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for key in log.range((thread, after.0.saturating_add(1))..=(thread, until.0))?.rev() {
            let Some(row) = messages.get(key?.0.value().1)? else { continue };
            bytes += row.value().len();
            if rows.len() == stretch.messages || bytes > stretch.bytes {
                rows.reverse();
                return Ok((rows, false));
            }
            rows.push(MessageRow::from_bytes(row.value())?);
        }
        rows.reverse();
        Ok((rows, true))
    }

    /// The rows of a thread after a place and up to another, both directions, oldest first, so many at most. A row that cannot be read is
    /// passed over.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn thread_rows(&self, thread: &str, after: Seq, until: Seq, limit: usize) -> Result<Vec<(Seq, MessageRow)>, StoreError> {
        if until <= after {
            return Ok(Vec::new());
        }
        let snapshot = self.snapshot()?;
        let log = snapshot.open(tables::THREAD_LOG)?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let mut rows = Vec::new();
        for key in log.range((thread, after.0.saturating_add(1))..=(thread, until.0))? {
            let seq = key?.0.value().1;
            if let Some(Ok(row)) = messages.get(seq)?.map(|row| MessageRow::from_bytes(row.value())) {
                rows.push((Seq(seq), row));
            }
            if rows.len() == limit {
                break;
            }
        }
        Ok(rows)
    }

    /// The place up to which handlers are shown nothing of a peer: its owner had it forgotten.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn unremembered(&self, peer: &PeerKey) -> Result<Seq, StoreError> {
        let meta = self.snapshot()?.open(tables::META)?;
        Ok(Seq(meta.get(unremembered(peer).as_str())?.map_or(0, |place| place.value())))
    }
}
