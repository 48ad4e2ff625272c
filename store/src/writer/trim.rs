//! Forgetting what is old.
//!
//! What is deleted was chosen on an earlier snapshot, so everything that protects a row is looked at again here, inside the
//! write transaction. The key by which a repetition of a message is recognised stays when the message goes: a peer may
//! send it again for as long as a message can live.

use redb::{ReadableTable as _, ReadableTableMetadata as _};
use toq_protocol::time::Timestamp;

use super::{Direction, MessageRow, State, StateRow, StoreError, Tables, seen_key};
use crate::Seq;
use crate::record::{ConsumerRow, EventRow, IdempotencyRow, Record as _, SetAsideRow};
use crate::tables::UNREADABLE;

/// How many rows of one table a single change looks at, so that it does not hold up the others in its transaction.
const STRIDE: usize = 1024;

impl Tables<'_> {
    /// Deletes messages, except those that wait, are being delivered, are not confirmed, or are the newest row.
    pub(super) fn forget(&mut self, messages: &[Seq], now: Timestamp) -> Result<(), StoreError> {
        let consumers =
            self.consumers.open()?.iter()?.map(|entry| ConsumerRow::from_bytes(entry?.1.value())).collect::<Result<Vec<_>, _>>()?;
        let names = self.set_aside_for()?;
        for seq in messages {
            // The next place is found from the last row, so one stays.
            if seq.0 + 1 >= self.next_seq {
                continue;
            }
            let Some(Ok(row)) = self.messages.get(seq.0)?.map(|row| MessageRow::from_bytes(row.value())) else { continue };
            if self.is_needed(*seq, &row, &consumers)? {
                continue;
            }
            self.messages.remove(seq.0)?;
            self.states.open()?.remove(seq.0)?;
            for name in &names {
                self.set_aside.open()?.remove((name.as_str(), seq.0))?;
            }
            if let Some(thread) = row.thread_id() {
                self.thread_log.remove((thread, seq.0))?;
            }
            match row.direction() {
                Direction::In => drop(self.forgotten.open()?.insert((now.as_nanos(), seq.0), &seen_key(&row.sender(), &row.id()))?),
                Direction::Out => drop(self.sent.remove(row.id().as_bytes())?),
            }
        }
        Ok(())
    }

    /// For whom anything is set aside. Jumps from name to name, however much there is for each.
    fn set_aside_for(&mut self) -> Result<Vec<String>, StoreError> {
        let table = self.set_aside.open()?;
        let mut names = Vec::new();
        let mut next = table.first()?.map(|(key, _)| key.value().0.to_owned());
        while let Some(name) = next {
            let after = table.range((name.as_str(), u64::MAX)..)?.find(|entry| entry.as_ref().is_ok_and(|(key, _)| key.value().0 != name));
            next = after.transpose()?.map(|(key, _)| key.value().0.to_owned());
            names.push(name);
        }
        Ok(names)
    }

    /// Keeps that a row cannot be read; the row itself stays where somebody may still look at it.
    pub(super) fn note_unreadable(&mut self, seq: Seq, at: Timestamp) -> Result<(), StoreError> {
        let reason = "a row of the log cannot be read; it stays where it is".to_owned();
        let row = SetAsideRow { reason: reason.clone(), attempts: 0, at: at.as_nanos() };
        let is_known = self.set_aside.open()?.insert((UNREADABLE, seq.0), row.to_bytes().as_slice())?.is_some();
        if is_known {
            return Ok(());
        }
        self.event(&EventRow {
            kind: "log.unreadable".to_owned(),
            subject: seq.to_string(),
            address: None,
            reason: Some(reason),
            timestamp: at.as_nanos(),
        })
    }

    fn is_needed(&mut self, seq: Seq, row: &MessageRow, consumers: &[ConsumerRow]) -> Result<bool, StoreError> {
        if row.direction() == Direction::In {
            return Ok(consumers.iter().any(|consumer| consumer.is_open(seq.0)));
        }
        let lane = row.message()?.to.key();
        let state = self.states.open()?.get(seq.0)?.map(|row| StateRow::from_bytes(row.value())).transpose()?;
        let is_open = state.is_some_and(|row| row.state == State::Accepted);
        Ok(is_open || self.outbox.get((lane.as_str(), seq.0))?.is_some())
    }

    /// Forgets how to recognise repetitions of messages that were deleted before a time.
    pub(super) fn forget_seen(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let old: Vec<((i64, u64), [u8; 48])> = self
            .forgotten
            .open()?
            .range(..(before.as_nanos(), 0))?
            .take(STRIDE)
            .map(|entry| entry.map(|(place, key)| (place.value(), *key.value())))
            .collect::<Result<_, _>>()?;
        for (place, key) in old {
            self.forgotten.open()?.remove(place)?;
            self.seen.remove(&key)?;
        }
        Ok(())
    }

    /// Deletes events from before a time, except the newest row.
    pub(super) fn forget_events(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let (mut old, mut unreadable) = (Vec::new(), Vec::new());
        for entry in self.events.open()?.range(..self.next_seq.saturating_sub(1))?.take(STRIDE) {
            let (seq, row) = entry?;
            // What cannot be read is as old as what follows it.
            let Ok(event) = EventRow::from_bytes(row.value()) else {
                unreadable.push(seq.value());
                continue;
            };
            if event.timestamp >= before.as_nanos() {
                break;
            }
            old.append(&mut unreadable);
            old.push(seq.value());
        }
        for seq in old {
            self.events.open()?.remove(seq)?;
        }
        Ok(())
    }

    /// Forgets idempotency keys from before a time, the oldest first.
    pub(super) fn forget_keys(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let old: Vec<(i64, String)> = self
            .key_ages
            .open()?
            .range(..(before.as_nanos(), ""))?
            .take(STRIDE)
            .map(|entry| entry.map(|(place, _)| (place.value().0, place.value().1.to_owned())))
            .collect::<Result<_, _>>()?;
        for (at, key) in old {
            self.key_ages.open()?.remove((at, key.as_str()))?;
            let row = self.idempotency.open()?.get(key.as_str())?.map(|row| IdempotencyRow::from_bytes(row.value()));
            // One that cannot be read is as old as it was noted to be.
            if row.is_some_and(|row| row.map_or(true, |row| row.at == at)) {
                self.idempotency.open()?.remove(key.as_str())?;
            }
        }
        Ok(())
    }

    /// Forgets challenges that were accepted before a time, the oldest first.
    pub(super) fn trim_challenges(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let old: Vec<(i64, [u8; 32])> = self
            .challenge_ages
            .open()?
            .range(..(before.as_nanos(), &[0; 32]))?
            .take(STRIDE)
            .map(|entry| entry.map(|(place, _)| (place.value().0, *place.value().1)))
            .collect::<Result<_, _>>()?;
        for (at, digest) in old {
            self.challenge_ages.open()?.remove((at, &digest))?;
            self.challenges.open()?.remove(&digest)?;
            self.knocks.open()?.remove((at, &digest))?;
        }
        Ok(())
    }

    /// Notes the ages of what a file of an earlier version holds, once. True where there was anything to note.
    pub(super) fn note_ages(&mut self) -> Result<bool, StoreError> {
        let mut has_noted = false;
        if self.key_ages.open()?.is_empty()? {
            for entry in self.idempotency.open()?.iter()? {
                let (key, row) = entry?;
                // One that cannot be read has no age and stays.
                let Ok(row) = IdempotencyRow::from_bytes(row.value()) else { continue };
                self.key_ages.open()?.insert((row.at, key.value()), ())?;
                has_noted = true;
            }
        }
        if self.challenge_ages.open()?.is_empty()? {
            for entry in self.challenges.open()?.iter()? {
                let (digest, at) = entry?;
                self.challenge_ages.open()?.insert((at.value(), digest.value()), ())?;
                has_noted = true;
            }
        }
        Ok(has_noted)
    }
}
