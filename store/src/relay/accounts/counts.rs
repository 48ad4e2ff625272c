//! How many rows belong together, without counting them: everybody waits while the writer does.

use redb::{ReadableTable as _, WriteTransaction};

use super::tables::COUNTS;
use crate::error::StoreError;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// The channels of an account.
    Channels = 0,
    /// The invites to a channel.
    Invites = 1,
    /// The requests to join a channel that have no answer.
    Pending = 2,
}

/// How many there are; `rows` counts them where nobody has yet.
pub(super) fn of(
    tx: &WriteTransaction,
    what: Counted,
    whose: &[u8],
    rows: impl FnOnce() -> Result<usize, StoreError>,
) -> Result<usize, StoreError> {
    let mut counts = tx.open_table(COUNTS)?;
    let known = counts.get((what as u8, whose))?.map(|row| row.value());
    if let Some(known) = known {
        return Ok(usize::try_from(known).unwrap_or(usize::MAX));
    }
    let count = rows()?;
    counts.insert((what as u8, whose), count as u64)?;
    Ok(count)
}

/// Notes that there is one more.
pub(super) fn more(tx: &WriteTransaction, what: Counted, whose: &[u8]) -> Result<(), StoreError> {
    change(tx, what, whose, 1)
}

/// Notes that there is one less.
pub(super) fn less(tx: &WriteTransaction, what: Counted, whose: &[u8]) -> Result<(), StoreError> {
    change(tx, what, whose, -1)
}

fn change(tx: &WriteTransaction, what: Counted, whose: &[u8], by: i64) -> Result<(), StoreError> {
    let mut counts = tx.open_table(COUNTS)?;
    let known = counts.get((what as u8, whose))?.map(|row| row.value());
    match known.map(|known| known.saturating_add_signed(by)) {
        // Whoever asks first counts.
        None => {}
        Some(0) => drop(counts.remove((what as u8, whose))?),
        Some(now) => drop(counts.insert((what as u8, whose), now)?),
    }
    Ok(())
}
