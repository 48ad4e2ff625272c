//! The one place that changes the database.

mod audit;
mod confirm;
mod keys;
mod messages;
mod offers;
mod opened;
mod retry;
mod spend;
mod strangers;
mod trim;

use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use toq_protocol::policy::Ruling;

use crate::batch::{Batch, Change, Guard, Outcome};
use crate::error::StoreError;
use crate::record::{ConsumerRow, Direction, IdempotencyRow, MessageRow, Record as _, State, StateRow};
use crate::{Seq, tables};

pub(crate) use keys::{ruling_key, seen_key, subject_key, unremembered};
use opened::Tables;
pub(crate) use spend::spender;
pub use strangers::{MAX_ALARMS, MAX_KNOCKS, MAX_STRANGERS_EVENTS, MAX_TURNED_AWAY};

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
                    // Nobody knows what it was the answer to; it is written anew, and others in this transaction are not held up.
                    let Ok(row) = IdempotencyRow::from_bytes(row.value()) else { return Ok(None) };
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
            Change::Send { lane, message, only } => {
                let seq = self.append(message, &MessageRow::new(Direction::Out, message, None).meant_for(*only))?;
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
            Change::StrangersEvent(sort, event) => self.strangers_event(*sort, event)?,
            Change::Peer(key, row) => drop(self.peers.open()?.insert(key.as_bytes(), row.to_bytes().as_slice())?),
            Change::RemovePeer(key) => drop(self.peers.open()?.remove(key.as_bytes())?),
            Change::AddRotation(old, row) => drop(self.rotations.open()?.insert(old.as_bytes(), row.to_bytes().as_slice())?),
            Change::Pin(address, row) => drop(self.pins.open()?.insert(address.pin_key().as_str(), row.to_bytes().as_slice())?),
            Change::Unpin(address) => drop(self.pins.open()?.remove(address.pin_key().as_str())?),
            Change::Challenge(digest, at) => self.challenge(digest, *at)?,
            Change::Knock(digest, key, at) => self.knock(digest, key, *at)?,
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
            Change::Rest(name, from) => self.rest(name, *from)?,
            Change::Wake(name) => self.wake(name)?,
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
}
