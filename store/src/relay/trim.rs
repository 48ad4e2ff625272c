//! What was kept for long enough is removed from the logs, in small steps.

use std::collections::HashMap;

use redb::{ReadableTable as _, Table, WriteTransaction};

use super::log::{Cut, Trimmed};
use super::rows::{self, Mark};
use super::tables::{CHANNELS, COMMITS, ChannelRow, EPOCHS, ROWS, SHARES, TAGS};
use crate::error::StoreError;

/// Removes the rows of before a time from the front of each log, beginning with the first channel from `from` on. Also returns how
/// many bytes of frames that were.
pub(super) fn trim(transaction: &WriteTransaction, from: Option<&str>, cut: Cut) -> Result<(Trimmed, usize), StoreError> {
    let mut channels = transaction.open_table(CHANNELS)?;
    let mut changed: Vec<(String, ChannelRow)> = Vec::new();
    let mut trimmed = Trimmed { rows: 0, next: None };
    let (mut given, mut looks) = (0, 0);
    let mut shears = Shears {
        rows: transaction.open_table(ROWS)?,
        tags: transaction.open_table(TAGS)?,
        commits: transaction.open_table(COMMITS)?,
        epochs: transaction.open_table(EPOCHS)?,
        freed: HashMap::new(),
    };
    for channel in channels.range(from.unwrap_or("")..)? {
        let (name, row) = channel?;
        if trimmed.rows >= cut.rows || looks >= cut.rows {
            trimmed.next = Some(name.value().to_owned());
            break;
        }
        looks += 1;
        let (id, mut first, last, mut bytes) = row.value();
        let before = (first, bytes);
        while first <= last && trimmed.rows < cut.rows {
            let Some(size) = shears.cut(id, first, cut.before)? else { break };
            first += 1;
            bytes = bytes.saturating_sub(size);
            trimmed.rows += 1;
        }
        given += usize::try_from(before.1 - bytes).unwrap_or(usize::MAX);
        if first != before.0 {
            changed.push((name.value().to_owned(), (id, first, last, bytes)));
        }
        if trimmed.rows >= cut.rows && first <= last {
            trimmed.next = Some(name.value().to_owned());
            break;
        }
    }
    for (name, row) in changed {
        channels.insert(name.as_str(), row)?;
    }
    let mut shares = transaction.open_table(SHARES)?;
    for (whose, freed) in shears.freed {
        let left = shares.get(whose)?.map_or(0, |row| row.value()).saturating_sub(freed);
        match left {
            0 => shares.remove(whose)?,
            left => shares.insert(whose, left)?,
        };
    }
    Ok((trimmed, given))
}

struct Shears<'t> {
    rows: Table<'t, (u64, u64), &'static [u8]>,
    tags: Table<'t, (u64, &'static [u8; 16]), u64>,
    commits: Table<'t, (u64, u64), u64>,
    epochs: Table<'t, (u64, u64, u64), ()>,
    /// (channel, account) → bytes of frames that were removed.
    freed: HashMap<(u64, u64), u64>,
}

impl Shears<'_> {
    /// Removes a row if it is of before a time; returns the size of its frame.
    fn cut(&mut self, id: u64, seq: u64, before: i64) -> Result<Option<u64>, StoreError> {
        // Frames are large and are not looked at.
        let (head, size) = match self.rows.get((id, seq))? {
            Some(record) => rows::split(record.value()).map(|(head, frame)| (head, frame.len() as u64))?,
            None => return Ok(Some(0)),
        };
        if head.at >= before {
            return Ok(None);
        }
        self.rows.remove((id, seq))?;
        // The relay's own names of untagged rows were never in this table, except by a chance of one in 2^128.
        if self.tags.get((id, &head.tag))?.is_some_and(|place| place.value() == seq) {
            self.tags.remove((id, &head.tag))?;
        }
        if head.mark == Mark::Commit {
            self.commits.remove((id, seq))?;
            self.epochs.remove((id, head.epoch, seq))?;
        }
        if head.payer > 0 {
            *self.freed.entry((id, head.payer)).or_default() += size;
        }
        Ok(Some(size))
    }
}
