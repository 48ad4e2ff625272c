//! The tables of one transaction.

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use crate::error::StoreError;
use crate::tables;

/// Every table. Most commits touch only those of messages, and opening a table costs a walk through the tree of
/// tables; so the others are opened by the first change that needs them.
pub(super) struct Tables<'t> {
    pub(super) messages: Table<'t, u64, &'static [u8]>,
    pub(super) outbox: Table<'t, (&'static str, u64), ()>,
    pub(super) seen: Table<'t, &'static [u8; 48], u64>,
    pub(super) sent: Table<'t, &'static [u8; 16], u64>,
    pub(super) thread_log: Table<'t, (&'static str, u64), ()>,
    pub(super) states: Seldom<'t, u64, &'static [u8]>,
    pub(super) events: Seldom<'t, u64, &'static [u8]>,
    pub(super) peers: Seldom<'t, &'static [u8; 32], &'static [u8]>,
    pub(super) pins: Seldom<'t, &'static str, &'static [u8]>,
    pub(super) rules: Seldom<'t, (&'static str, &'static str, &'static str), i64>,
    pub(super) rotations: Seldom<'t, &'static [u8; 32], &'static [u8]>,
    pub(super) approvals: Seldom<'t, &'static [u8; 32], &'static [u8]>,
    pub(super) turned_away: Seldom<'t, &'static [u8; 32], &'static [u8]>,
    pub(super) alarms: Seldom<'t, (&'static [u8; 32], &'static str), &'static [u8]>,
    pub(super) consumers: Seldom<'t, &'static str, &'static [u8]>,
    pub(super) offers: Seldom<'t, (&'static str, u64), u32>,
    pub(super) set_aside: Seldom<'t, (&'static str, u64), &'static [u8]>,
    pub(super) idempotency: Seldom<'t, &'static str, &'static [u8]>,
    pub(super) challenges: Seldom<'t, &'static [u8; 32], i64>,
    pub(super) forgotten: Seldom<'t, (i64, u64), &'static [u8; 48]>,
    pub(super) key_ages: Seldom<'t, (i64, &'static str), ()>,
    pub(super) challenge_ages: Seldom<'t, (i64, &'static [u8; 32]), ()>,
    pub(super) knocks: Seldom<'t, (i64, &'static [u8; 32]), &'static [u8; 32]>,
    pub(super) strangers_events: Seldom<'t, (u8, u64), ()>,
    pub(super) spending: Seldom<'t, (&'static str, u32, &'static [u8; 33]), (u64, u64)>,
    pub(super) audit: Seldom<'t, u64, &'static [u8]>,
    pub(super) audit_notes: Seldom<'t, &'static str, &'static [u8]>,
    pub(super) meta: Seldom<'t, &'static str, u64>,
    pub(super) next_seq: u64,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            messages: transaction.open_table(tables::MESSAGES)?,
            outbox: transaction.open_table(tables::OUTBOX)?,
            seen: transaction.open_table(tables::SEEN)?,
            sent: transaction.open_table(tables::SENT)?,
            thread_log: transaction.open_table(tables::THREAD_LOG)?,
            states: Seldom::new(transaction, tables::STATES),
            events: Seldom::new(transaction, tables::EVENTS),
            peers: Seldom::new(transaction, tables::PEERS),
            pins: Seldom::new(transaction, tables::PINS),
            rules: Seldom::new(transaction, tables::RULES),
            rotations: Seldom::new(transaction, tables::ROTATIONS),
            approvals: Seldom::new(transaction, tables::APPROVALS),
            turned_away: Seldom::new(transaction, tables::TURNED_AWAY),
            alarms: Seldom::new(transaction, tables::ALARMS),
            consumers: Seldom::new(transaction, tables::CONSUMERS),
            offers: Seldom::new(transaction, tables::OFFERS),
            set_aside: Seldom::new(transaction, tables::SET_ASIDE),
            idempotency: Seldom::new(transaction, tables::IDEMPOTENCY),
            challenges: Seldom::new(transaction, tables::CHALLENGES),
            forgotten: Seldom::new(transaction, tables::FORGOTTEN),
            key_ages: Seldom::new(transaction, tables::KEY_AGES),
            challenge_ages: Seldom::new(transaction, tables::CHALLENGE_AGES),
            knocks: Seldom::new(transaction, tables::KNOCKS),
            strangers_events: Seldom::new(transaction, tables::STRANGERS_EVENTS),
            spending: Seldom::new(transaction, tables::SPENDING),
            audit: Seldom::new(transaction, tables::AUDIT),
            audit_notes: Seldom::new(transaction, tables::AUDIT_NOTES),
            meta: Seldom::new(transaction, tables::META),
            next_seq: 0,
        })
    }

    /// Makes every table that is not there yet, for readers, which expect all of them.
    pub(super) fn make_all(&mut self) -> Result<(), StoreError> {
        self.states.open()?;
        self.events.open()?;
        self.peers.open()?;
        self.pins.open()?;
        self.rules.open()?;
        self.rotations.open()?;
        self.approvals.open()?;
        self.turned_away.open()?;
        self.alarms.open()?;
        self.consumers.open()?;
        self.offers.open()?;
        self.set_aside.open()?;
        self.idempotency.open()?;
        self.challenges.open()?;
        self.forgotten.open()?;
        self.key_ages.open()?;
        self.challenge_ages.open()?;
        self.knocks.open()?;
        self.strangers_events.open()?;
        self.spending.open()?;
        self.audit.open()?;
        self.audit_notes.open()?;
        self.meta.open()?;
        Ok(())
    }
}

/// A table that few commits touch.
pub(super) struct Seldom<'t, K: Key + 'static, V: Value + 'static> {
    transaction: &'t WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: Option<Table<'t, K, V>>,
}

impl<'t, K: Key + 'static, V: Value + 'static> Seldom<'t, K, V> {
    const fn new(transaction: &'t WriteTransaction, definition: TableDefinition<'static, K, V>) -> Self {
        Self { transaction, definition, table: None }
    }

    /// The table, opened now where it was not.
    pub(super) fn open(&mut self) -> Result<&mut Table<'t, K, V>, StoreError> {
        let table = match self.table.take() {
            Some(table) => table,
            None => self.transaction.open_table(self.definition)?,
        };
        Ok(self.table.insert(table))
    }
}
