//! Rows of the log and of lanes: appended, brought back from a backup, settled.

use redb::ReadableTable as _;
use toq_protocol::message::Message;
use toq_protocol::time::Timestamp;

use super::Tables;
use super::keys::seen_key;
use crate::Seq;
use crate::error::StoreError;
use crate::record::{Direction, EventRow, MessageRow, Record as _, State, StateRow};

impl Tables<'_> {
    pub(super) fn append(&mut self, message: &Message, row: &MessageRow) -> Result<Seq, StoreError> {
        let seq = self.take_seq();
        self.messages.insert(seq.0, row.to_bytes().as_slice())?;
        if row.direction() == Direction::Out {
            self.sent.insert(message.id.as_bytes(), seq.0)?;
        }
        if let Some(thread) = &message.thread_id {
            self.thread_log.insert((thread.as_str(), seq.0), ())?;
        }
        Ok(seq)
    }

    pub(super) fn restore(&mut self, message: &MessageRow, state: &StateRow) -> Result<Option<Seq>, StoreError> {
        let id = message.id();
        let seq = Seq(self.next_seq);
        match message.direction() {
            Direction::In => {
                let key = seen_key(&message.sender(), &id);
                if self.seen.get(&key)?.is_some() {
                    return Ok(None);
                }
                self.seen.insert(&key, seq.0)?;
            }
            Direction::Out => {
                if self.sent.get(id.as_bytes())?.is_some() {
                    return Ok(None);
                }
                self.sent.insert(id.as_bytes(), seq.0)?;
                let given_up = || StateRow {
                    state: State::DeadLetter,
                    reason: Some("restored from a backup; whether it was delivered is not known".to_owned()),
                    next_attempt: None,
                    ..state.clone()
                };
                let state = if state.state.is_final() { state.clone() } else { given_up() };
                self.states.open()?.insert(seq.0, state.to_bytes().as_slice())?;
            }
        }
        self.take_seq();
        self.messages.insert(seq.0, message.to_bytes().as_slice())?;
        if let Some(thread) = message.thread_id() {
            self.thread_log.insert((thread, seq.0), ())?;
        }
        Ok(Some(seq))
    }

    pub(super) fn settle(&mut self, lane: &str, seq: Seq, mut row: StateRow) -> Result<(), StoreError> {
        let was_waiting = self.outbox.remove((lane, seq.0))?.is_some();
        if !was_waiting {
            return Ok(());
        }
        // A delivery at the first attempt is the common end; being off the lane says it all.
        let attempts = self.attempts(seq)?;
        if row.state != State::Delivered || attempts > 0 {
            row.attempts = attempts + u32::from(row.state == State::Delivered);
            self.states.open()?.insert(seq.0, row.to_bytes().as_slice())?;
        }
        let message = match self.messages.get(seq.0)? {
            Some(bytes) => MessageRow::from_bytes(bytes.value()).and_then(|row| row.message()),
            None => Err(StoreError::Record { table: "messages" }),
        };
        // Other messages are settled in the same transaction.
        let Ok(message) = message else { return self.note_unreadable(seq, Timestamp::from_nanos(row.changed)) };
        self.event(&EventRow {
            kind: format!("message.{}", row.state.as_str()),
            subject: message.id.to_string(),
            address: Some(message.to.wire()),
            reason: row.reason,
            timestamp: row.changed,
        })
    }

    pub(super) fn event(&mut self, event: &EventRow) -> Result<(), StoreError> {
        let seq = self.take_seq();
        self.events.open()?.insert(seq.0, event.to_bytes().as_slice())?;
        Ok(())
    }

    pub(super) fn attempts(&mut self, seq: Seq) -> Result<u32, StoreError> {
        let row = self.states.open()?.get(seq.0)?;
        // What cannot be read is written anew; the count is lost, the message is not.
        Ok(row.and_then(|row| StateRow::from_bytes(row.value()).ok()).map_or(0, |row| row.attempts))
    }

    fn take_seq(&mut self) -> Seq {
        let seq = Seq(self.next_seq);
        self.next_seq += 1;
        seq
    }
}
