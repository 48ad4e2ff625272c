//! The one place that changes the database.

mod audit;
mod confirm;
mod opened;
mod retry;
mod spend;
mod strangers;
mod trim;

use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::policy::{Ruling, Subject};
use toq_protocol::time::Timestamp;

use crate::batch::{Batch, Change, Guard, Outcome};
use crate::error::StoreError;
use crate::record::{ConsumerRow, Direction, EventRow, IdempotencyRow, MessageRow, Record as _, SetAsideRow, State, StateRow};
use crate::{Seq, tables};

use opened::Tables;
pub(crate) use spend::spender;
pub use strangers::{MAX_ALARMS, MAX_TURNED_AWAY};

/// Applies batches.
#[derive(Debug)]
pub(crate) struct Writer {
    database: Arc<Database>,
    next_seq: u64,
}

impl Writer {
    /// Makes the tables where they are missing and finds the end of the log.
    pub(crate) fn new(database: Arc<Database>) -> Result<Self, StoreError> {
        let transaction = begin(&database)?;
        let known = transaction.list_tables()?.count();
        let (last, has_aged) = {
            let mut tables = Tables::open(&transaction)?;
            tables.make_all()?;
            let has_aged = tables.note_ages()?;
            let message = tables.messages.last()?.map_or(0, |(seq, _)| seq.value());
            let event = tables.events.open()?.last()?.map_or(0, |(seq, _)| seq.value());
            (message.max(event), has_aged)
        };
        let is_new = {
            let mut meta = transaction.open_table(tables::META)?;
            let is_new = meta.get("schema")?.is_none();
            if is_new {
                meta.insert("schema", tables::SCHEMA)?;
            }
            is_new
        };
        // A file of an earlier version lacks the tables that came since; readers expect all of them.
        if is_new || has_aged || transaction.list_tables()?.count() > known {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(Self { database, next_seq: last + 1 })
    }

    /// The place of the newest row.
    pub(crate) const fn last(&self) -> Seq {
        Seq(self.next_seq - 1)
    }

    /// Writes all batches in one durable transaction. Where this fails, none of them took effect.
    pub(crate) fn write<'a>(&mut self, batches: impl Iterator<Item = &'a Batch>) -> Result<Vec<Outcome>, StoreError> {
        let transaction = begin(&self.database)?;
        let (outcomes, next_seq) = {
            let mut tables = Tables::open(&transaction)?;
            tables.next_seq = self.next_seq;
            let outcomes = batches.map(|batch| tables.apply(batch)).collect::<Result<Vec<_>, _>>()?;
            (outcomes, tables.next_seq)
        };
        transaction.commit()?;
        self.next_seq = next_seq;
        Ok(outcomes)
    }

    /// The database as it is now, for a reader.
    pub(crate) fn schema(database: &Database) -> Result<Option<u64>, StoreError> {
        let transaction = database.begin_read()?;
        match transaction.open_table(tables::META) {
            Ok(meta) => Ok(meta.get("schema")?.map(|schema| schema.value())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn begin(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

impl Tables<'_> {
    fn apply(&mut self, batch: &Batch) -> Result<Outcome, StoreError> {
        if let Some(duplicate) = self.fails(&batch.guard)? {
            return Ok(duplicate);
        }
        let mut appended = Vec::new();
        for change in &batch.changes {
            self.change(change, &mut appended)?;
        }
        Ok(Outcome::Committed(appended))
    }

    fn fails(&mut self, guard: &Guard) -> Result<Option<Outcome>, StoreError> {
        let outcome = match guard {
            Guard::Always => None,
            Guard::Unseen(sender, id) => {
                let earlier = self.seen.get(&seen_key(sender, id))?;
                earlier.map(|seq| Outcome::Duplicate { messages: vec![Seq(seq.value())], fingerprint: None })
            }
            Guard::FreshChallenge(digest) => {
                self.challenges.open()?.get(digest)?.map(|_| Outcome::Duplicate { messages: Vec::new(), fingerprint: None })
            }
            Guard::Unconfirmed(name, seq) => {
                let row = self.consumer(name)?;
                let is_open = row.is_some_and(|row| row.is_open(seq.0));
                (!is_open).then(|| Outcome::Duplicate { messages: Vec::new(), fingerprint: None })
            }
            Guard::FreshKey(key) => match self.idempotency.open()?.get(key.as_str())? {
                None => None,
                Some(row) => {
                    let row = IdempotencyRow::from_bytes(row.value())?;
                    let messages = row.messages.into_iter().map(Seq).collect();
                    Some(Outcome::Duplicate { messages, fingerprint: Some(row.fingerprint) })
                }
            },
        };
        Ok(outcome)
    }

    fn change(&mut self, change: &Change, appended: &mut Vec<Seq>) -> Result<(), StoreError> {
        match change {
            Change::Receive { sender, message, proof, is_bound } => {
                let row = MessageRow::new(Direction::In, message, Some(*sender)).proven(*proof).bound(*is_bound);
                let seq = self.append(message, &row)?;
                self.seen.insert(&seen_key(sender, &message.id), seq.0)?;
                appended.push(seq);
            }
            Change::Send { lane, message } => {
                let seq = self.append(message, &MessageRow::new(Direction::Out, message, None))?;
                self.outbox.insert((lane.as_str(), seq.0), ())?;
                appended.push(seq);
            }
            Change::Sent { message } => {
                appended.push(self.append(message, &MessageRow::new(Direction::Out, message, None))?);
            }
            Change::Audit(row) => self.audit(row)?,
            Change::AuditState(name, state, row) => self.audit_state(name, state, row)?,
            Change::TrimAudit(keep, at) => self.trim_audit(*keep, at.as_nanos())?,
            Change::Unremember(peer, place) => drop(self.meta.open()?.insert(unremembered(peer).as_str(), place.0)?),
            Change::TakenOver(place) => drop(self.meta.open()?.insert("taken_over", place)?),
            Change::Restore { message, state } => appended.extend(self.restore(message, state)?),
            Change::Remember { key, fingerprint, at } => {
                let messages = appended.iter().map(|seq| seq.0).collect();
                let row = IdempotencyRow { fingerprint: *fingerprint, messages, at: at.as_nanos() };
                self.idempotency.open()?.insert(key.as_str(), row.to_bytes().as_slice())?;
                self.key_ages.open()?.insert((row.at, key.as_str()), ())?;
            }
            Change::Attempted { messages, reason, next_attempt, at } => {
                for seq in messages {
                    let row = StateRow {
                        state: State::Accepted,
                        attempts: self.attempts(*seq)? + 1,
                        reason: Some(reason.clone()),
                        next_attempt: Some(next_attempt.as_nanos()),
                        changed: at.as_nanos(),
                    };
                    self.states.open()?.insert(seq.0, row.to_bytes().as_slice())?;
                }
            }
            Change::Settle { lane, messages, state, reason, at } => {
                for seq in messages {
                    self.settle(
                        lane,
                        *seq,
                        StateRow { state: *state, attempts: 0, reason: reason.clone(), next_attempt: None, changed: at.as_nanos() },
                    )?;
                }
            }
            Change::Event(event) => self.event(event)?,
            Change::Peer(key, row) => drop(self.peers.open()?.insert(key.as_bytes(), row.to_bytes().as_slice())?),
            Change::RemovePeer(key) => drop(self.peers.open()?.remove(key.as_bytes())?),
            Change::AddRotation(old, row) => drop(self.rotations.open()?.insert(old.as_bytes(), row.to_bytes().as_slice())?),
            Change::Pin(address, row) => drop(self.pins.open()?.insert(address.pin_key().as_str(), row.to_bytes().as_slice())?),
            Change::Unpin(address) => drop(self.pins.open()?.remove(address.pin_key().as_str())?),
            Change::Challenge(digest, at) => {
                self.challenges.open()?.insert(digest, at.as_nanos())?;
                self.challenge_ages.open()?.insert((at.as_nanos(), digest), ())?;
            }
            Change::AddRule(subject, ruling, at) => {
                if *ruling == Ruling::Block {
                    let (kind, value) = subject_key(subject);
                    self.rules.open()?.remove((ruling_key(Ruling::Approve), kind, value.as_str()))?;
                }
                let (kind, value) = subject_key(subject);
                self.rules.open()?.insert((ruling_key(*ruling), kind, value.as_str()), at.as_nanos())?;
            }
            Change::RemoveRule(subject, ruling) => {
                let (kind, value) = subject_key(subject);
                self.rules.open()?.remove((ruling_key(*ruling), kind, value.as_str()))?;
            }
            Change::AddApproval(key, row) => drop(self.approvals.open()?.insert(key.as_bytes(), row.to_bytes().as_slice())?),
            Change::RemoveApproval(key) => drop(self.approvals.open()?.remove(key.as_bytes())?),
            Change::TurnAway(key, row) => self.turn_away(key, row)?,
            Change::ForgetTurnedAway(key) => drop(self.turned_away.open()?.remove(key.as_bytes())?),
            Change::Alarm(alarm) => self.alarm(alarm)?,
            Change::AddConsumer(name, place) => {
                if self.consumers.open()?.get(name.as_str())?.is_none() {
                    let row = ConsumerRow::new(place.0);
                    self.consumers.open()?.insert(name.as_str(), row.to_bytes().as_slice())?;
                }
            }
            Change::RemoveConsumer(name) => {
                self.consumers.open()?.remove(name.as_str())?;
                self.forget_offers(name, u64::MAX)?;
            }
            Change::Offer(name, messages) => {
                for seq in messages {
                    let offered = self.offers.open()?.get((name.as_str(), seq.0))?.map_or(0, |count| count.value());
                    self.offers.open()?.insert((name.as_str(), seq.0), offered.saturating_add(1))?;
                }
            }
            Change::TakeBack(name, messages) => self.take_back(name, messages)?,
            Change::SetAside { consumer, message, reason, at } => self.set_aside(consumer, *message, reason, *at)?,
            Change::Retry(name, messages) => self.retry(name, messages)?,
            Change::ForgetSetAside(name) => {
                self.set_aside.open()?.retain_in((name.as_str(), 0)..=(name.as_str(), u64::MAX), |_, _| false)?
            }
            Change::Confirm(name, messages) => self.confirm(name, messages)?,
            Change::ConfirmUpTo(name, place) => self.confirm_up_to(name, *place)?,
            Change::Spend { handler, peer, day, spent } => self.spend(handler, peer.as_ref(), *day, *spent)?,
            Change::Forget { messages, at } => self.forget(messages, *at)?,
            Change::Unreadable { message, at } => self.note_unreadable(*message, *at)?,
            Change::ForgetSeen(before) => self.forget_seen(*before)?,
            Change::ForgetEvents(before) => self.forget_events(*before)?,
            Change::ForgetKeys(before) => self.forget_keys(*before)?,
            Change::TrimChallenges(before) => self.trim_challenges(*before)?,
        }
        Ok(())
    }

    fn append(&mut self, message: &Message, row: &MessageRow) -> Result<Seq, StoreError> {
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

    fn restore(&mut self, message: &MessageRow, state: &StateRow) -> Result<Option<Seq>, StoreError> {
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

    fn settle(&mut self, lane: &str, seq: Seq, mut row: StateRow) -> Result<(), StoreError> {
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

    fn event(&mut self, event: &EventRow) -> Result<(), StoreError> {
        let seq = self.take_seq();
        self.events.open()?.insert(seq.0, event.to_bytes().as_slice())?;
        Ok(())
    }

    fn attempts(&mut self, seq: Seq) -> Result<u32, StoreError> {
        let row = self.states.open()?.get(seq.0)?;
        // What cannot be read is written anew; the count is lost, the message is not.
        Ok(row.and_then(|row| StateRow::from_bytes(row.value()).ok()).map_or(0, |row| row.attempts))
    }

    fn take_back(&mut self, name: &str, messages: &[Seq]) -> Result<(), StoreError> {
        for seq in messages {
            let offered = self.offers.open()?.get((name, seq.0))?.map_or(0, |count| count.value());
            match offered {
                0 | 1 => drop(self.offers.open()?.remove((name, seq.0))?),
                more => drop(self.offers.open()?.insert((name, seq.0), more - 1)?),
            }
        }
        Ok(())
    }

    fn set_aside(&mut self, name: &str, seq: Seq, reason: &str, at: Timestamp) -> Result<(), StoreError> {
        let attempts = self.offers.open()?.get((name, seq.0))?.map_or(0, |count| count.value());
        let row = SetAsideRow { reason: reason.to_owned(), attempts, at: at.as_nanos() };
        self.set_aside.open()?.insert((name, seq.0), row.to_bytes().as_slice())?;
        // A row that cannot be read is set aside for just that; it must not take the whole transaction with it.
        let row = self.messages.get(seq.0)?.and_then(|bytes| MessageRow::from_bytes(bytes.value()).ok());
        self.event(&EventRow {
            kind: "handler.set_aside".to_owned(),
            subject: row.as_ref().map(|row| row.id().to_string()).unwrap_or_default(),
            address: row.and_then(|row| row.message().ok()).map(|message| message.from.wire()),
            reason: Some(reason.to_owned()),
            timestamp: at.as_nanos(),
        })?;
        self.confirm(name, &[seq])
    }

    fn forget_offers(&mut self, name: &str, up_to: u64) -> Result<(), StoreError> {
        let offered: Vec<u64> = self
            .offers
            .open()?
            .range((name, 0)..=(name, up_to))?
            .map(|entry| entry.map(|(key, _)| key.value().1))
            .collect::<Result<_, _>>()?;
        for seq in offered {
            self.offers.open()?.remove((name, seq))?;
        }
        Ok(())
    }

    fn consumer(&mut self, name: &str) -> Result<Option<ConsumerRow>, StoreError> {
        self.consumers.open()?.get(name)?.map(|row| ConsumerRow::from_bytes(row.value())).transpose()
    }

    fn take_seq(&mut self) -> Seq {
        let seq = Seq(self.next_seq);
        self.next_seq += 1;
        seq
    }
}

/// The name in [`tables::META`] of the place up to which handlers are shown nothing of a peer.
pub(crate) fn unremembered(peer: &PeerKey) -> String {
    format!("unremembered:{peer}")
}

pub(crate) fn seen_key(sender: &PeerKey, id: &MessageId) -> [u8; 48] {
    let mut key = [0; 48];
    key[..16].copy_from_slice(id.as_bytes());
    key[16..].copy_from_slice(sender.as_bytes());
    key
}

pub(crate) const fn ruling_key(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Approve => "approve",
        Ruling::Block => "block",
    }
}

pub(crate) fn subject_key(subject: &Subject) -> (&'static str, String) {
    match subject {
        Subject::Key(key) => ("key", key.to_string()),
        Subject::Address(pattern) => ("address", pattern.as_str().to_owned()),
    }
}
