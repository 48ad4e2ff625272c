//! What was said: pages of the log, threads, and places in time.

use redb::ReadableTable as _;
use toq_protocol::address::AgentName;
use toq_protocol::conversation::{Conversation, Head};
use toq_protocol::time::Timestamp;

use super::{Direction, Entry, MessageRow, Reader, Record as _, StoreError};
use crate::{Seq, tables};

/// How many rows one history call looks at before it answers with what it has and a cursor.
pub const MAX_SCAN: usize = 20_000;

/// What to look for in history.
pub struct HistoryQuery<'a> {
    /// The most entries to return.
    pub limit: usize,
    /// Only entries before this place.
    pub before: Option<Seq>,
    /// Only entries that this accepts.
    pub accepts: &'a dyn Fn(&MessageRow) -> bool,
}

/// A page of history.
#[derive(Debug)]
pub struct HistoryPage {
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
    /// Where the next older page ends, if there may be one.
    pub older: Option<Seq>,
    /// Places in this stretch of the log whose rows cannot be read; what they said is not known.
    pub unreadable: Vec<Seq>,
}

/// A thread as it is listed.
#[derive(Clone, Debug)]
pub struct ThreadSummary {
    /// Its id.
    pub id: String,
    /// The other side's address.
    pub address: String,
    /// Its head.
    pub head: Head,
}

impl Reader {
    /// The place just before the first message at or after `since`, found by bisection over the log. What cannot be read is taken
    /// for as old as what follows it.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn place_before(&self, since: Timestamp) -> Result<Seq, StoreError> {
        let snapshot = self.snapshot()?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let (mut low, mut high) = (0, self.last().0);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let mut is_earlier = false;
            for entry in messages.range(middle..=high)? {
                let row = MessageRow::from_bytes(entry?.1.value());
                if let Ok(message) = row.and_then(|row| row.message()) {
                    is_earlier = message.timestamp < since;
                    break;
                }
            }
            if is_earlier {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(Seq(low))
    }

    /// A page of history, the newest matching entries before a place. Rows that cannot be read are named and passed over.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn history(&self, query: &HistoryQuery<'_>) -> Result<HistoryPage, StoreError> {
        let snapshot = self.snapshot()?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let before = query.before.map_or(u64::MAX, |seq| seq.0);
        let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
        let mut older = None;
        for (scanned, entry) in messages.range(..before)?.rev().enumerate() {
            let (seq, bytes) = entry?;
            if entries.len() == query.limit || scanned == MAX_SCAN {
                older = Some(Seq(seq.value() + 1));
                break;
            }
            let seq = Seq(seq.value());
            match snapshot.whole(seq, bytes.value())? {
                Some(entry) if (query.accepts)(&entry.row) => entries.push(entry),
                Some(_) => {}
                None => unreadable.push(seq),
            }
        }
        entries.reverse();
        unreadable.reverse();
        Ok(HistoryPage { entries, older, unreadable })
    }

    /// The messages of a thread from its beginning, both directions, oldest first. Rows that cannot be read are named and
    /// passed over.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn thread(&self, id: &str, limit: usize) -> Result<HistoryPage, StoreError> {
        let snapshot = self.snapshot()?;
        let log = snapshot.open(tables::THREAD_LOG)?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
        for key in log.range((id, 0)..=(id, u64::MAX))?.take(limit) {
            let seq = Seq(key?.0.value().1);
            let Some(bytes) = messages.get(seq.0)? else { continue };
            match snapshot.whole(seq, bytes.value())? {
                Some(entry) => entries.push(entry),
                None => unreadable.push(seq),
            }
        }
        Ok(HistoryPage { entries, older: None, unreadable })
    }

    /// The first message that came in after a place in a thread from an agent of this name: an answer. What cannot be read is none.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn answer(&self, thread: &str, after: Seq, agent: &AgentName) -> Result<Option<Seq>, StoreError> {
        let snapshot = self.snapshot()?;
        let log = snapshot.open(tables::THREAD_LOG)?;
        let messages = snapshot.open(tables::MESSAGES)?;
        for key in log.range((thread, after.0 + 1)..=(thread, u64::MAX))? {
            let seq = key?.0.value().1;
            let Some(bytes) = messages.get(seq)? else { continue };
            let Ok(row) = MessageRow::from_bytes(bytes.value()) else { continue };
            if row.direction() == Direction::In && row.message().is_ok_and(|message| message.from.agent() == agent) {
                return Ok(Some(Seq(seq)));
            }
        }
        Ok(None)
    }

    /// Threads in the order of their ids. Jumps from thread to thread; of each it counts the keys and reads
    /// the last row that can be read. A thread of which none can is passed over.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn threads(&self, limit: usize) -> Result<Vec<ThreadSummary>, StoreError> {
        let snapshot = self.snapshot()?;
        let log = snapshot.open(tables::THREAD_LOG)?;
        let messages = snapshot.open(tables::MESSAGES)?;
        let mut threads: Vec<ThreadSummary> = Vec::new();
        let mut next = log.iter()?.next().transpose()?.map(|entry| entry.0.value().0.to_owned());
        while let Some(id) = next.filter(|_| threads.len() < limit) {
            let keys = log.range((id.as_str(), 0)..=(id.as_str(), u64::MAX))?.collect::<Result<Vec<_>, _>>()?;
            let mut last = None;
            for (key, _) in keys.iter().rev() {
                let Some(bytes) = messages.get(key.value().1)? else { continue };
                let row = MessageRow::from_bytes(bytes.value());
                last = row.and_then(|row| Ok((row.direction(), row.message()?))).ok();
                if last.is_some() {
                    break;
                }
            }
            if let Some((direction, message)) = last {
                let mut conversation = Conversation::resume(Head { messages: keys.len() as u64 - 1, ..Head::default() });
                conversation.step(message.kind, message.timestamp);
                let other = if direction == Direction::In { message.from } else { message.to };
                threads.push(ThreadSummary { id: id.clone(), address: other.wire(), head: conversation.head() });
            }
            next = log.range((id.as_str(), u64::MAX)..)?.next().transpose()?.map(|entry| entry.0.value().0.to_owned());
        }
        Ok(threads)
    }
}
