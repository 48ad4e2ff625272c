//! Confirming: how a consumer's place moves.
//!
//! A stranger may be able to keep a program from ever confirming one message. What is confirmed behind it is kept in stretches, so
//! that the row does not grow with it, and what was looked at once is not looked at again with each confirmation.

use redb::ReadableTable as _;

use crate::Seq;
use crate::error::StoreError;
use crate::record::{ConsumerRow, Direction, MessageRow, Record as _};

use super::Tables;

/// How many rows are passed over in vain before the low water moves up to the row that stopped the search.
const PASSED: usize = 64;

impl Tables<'_> {
    pub(super) fn confirm(&mut self, name: &str, messages: &[Seq]) -> Result<(), StoreError> {
        let Some(mut row) = self.consumer(name)? else { return Ok(()) };
        let mut stretches = self.stretches(&mut row)?;
        for seq in messages {
            self.offers.open()?.remove((name, seq.0))?;
            if seq.0 > row.low_water {
                self.add(&mut stretches, seq.0)?;
            }
        }
        row.close_retried(|seq| messages.contains(&Seq(seq)));
        self.advance(&mut row, stretches)?;
        self.consumers.open()?.insert(name, row.to_bytes().as_slice())?;
        Ok(())
    }

    pub(super) fn confirm_up_to(&mut self, name: &str, place: Seq) -> Result<(), StoreError> {
        let Some(mut row) = self.consumer(name)? else { return Ok(()) };
        let mut stretches = self.stretches(&mut row)?;
        let low_water = row.low_water.max(place.0.min(self.next_seq.saturating_sub(1)));
        row.low_water = low_water;
        stretches.retain(|(_, last)| *last > low_water);
        row.close_retried(|seq| seq <= low_water);
        self.forget_offers(name, low_water)?;
        self.advance(&mut row, stretches)?;
        self.consumers.open()?.insert(name, row.to_bytes().as_slice())?;
        Ok(())
    }

    /// A consumer that rests already rests since then.
    pub(super) fn rest(&mut self, name: &str, from: Seq) -> Result<(), StoreError> {
        let Some(mut row) = self.consumer(name)? else { return Ok(()) };
        row.rests_from.get_or_insert(from.0);
        self.consumers.open()?.insert(name, row.to_bytes().as_slice())?;
        Ok(())
    }

    pub(super) fn wake(&mut self, name: &str) -> Result<(), StoreError> {
        let Some(mut row) = self.consumer(name)? else { return Ok(()) };
        let Some(from) = row.rests_from.take() else { return Ok(()) };
        let mut stretches = self.stretches(&mut row)?;
        let end = self.next_seq.saturating_sub(1);
        stretches.retain(|(first, _)| *first <= from);
        match stretches.last_mut() {
            Some((_, last)) if *last > from => *last = end.max(*last),
            _ if end > from.max(row.low_water) => stretches.push((from.max(row.low_water) + 1, end)),
            _ => {}
        }
        self.advance(&mut row, stretches)?;
        self.consumers.open()?.insert(name, row.to_bytes().as_slice())?;
        Ok(())
    }

    /// Takes what is confirmed above the low water out of a row, with the single places of a row of an earlier version.
    fn stretches(&self, row: &mut ConsumerRow) -> Result<Vec<(u64, u64)>, StoreError> {
        let mut stretches = row.stretches.take().unwrap_or_default();
        for seq in std::mem::take(&mut row.confirmed) {
            self.add(&mut stretches, seq)?;
        }
        Ok(stretches)
    }

    /// Adds a place to those that are confirmed, and joins what no incoming message lies between.
    fn add(&self, stretches: &mut Vec<(u64, u64)>, seq: u64) -> Result<(), StoreError> {
        let at = stretches.partition_point(|(_, last)| *last < seq);
        if stretches.get(at).is_some_and(|(first, _)| *first <= seq) {
            return Ok(());
        }
        let (mut first, mut last, mut joined) = (seq, seq, at..at);
        if let Some(before) = at.checked_sub(1).and_then(|before| stretches.get(before))
            && self.incoming_between(before.1, seq)?.is_none()
        {
            (first, joined.start) = (before.0, at - 1);
        }
        if let Some(after) = stretches.get(at)
            && self.incoming_between(seq, after.0)?.is_none()
        {
            (last, joined.end) = (after.1, at + 1);
        }
        stretches.splice(joined, [(first, last)]);
        Ok(())
    }

    /// Moves the low water over everything confirmed, skipping places that hold no incoming message.
    fn advance(&mut self, row: &mut ConsumerRow, mut stretches: Vec<(u64, u64)>) -> Result<(), StoreError> {
        let mut done = 0;
        for (first, last) in &stretches {
            if let Some((open, passed)) = self.incoming_between(row.low_water, *first)? {
                if passed >= PASSED {
                    row.low_water = open - 1;
                }
                break;
            }
            row.low_water = row.low_water.max(*last);
            done += 1;
        }
        stretches.drain(..done);
        row.put_stretches(stretches);
        Ok(())
    }

    /// The first incoming message between two places, and how many rows were passed over before it.
    fn incoming_between(&self, after: u64, before: u64) -> Result<Option<(u64, usize)>, StoreError> {
        for (passed, entry) in self.messages.range(after.saturating_add(1)..before.max(after.saturating_add(1)))?.enumerate() {
            let (seq, bytes) = entry?;
            // What cannot be read is nobody's to confirm.
            if MessageRow::from_bytes(bytes.value()).is_ok_and(|row| row.direction() == Direction::In) {
                return Ok(Some((seq.value(), passed)));
            }
        }
        Ok(None)
    }
}
