//! What was decided, by whom and when: appended in the batch of the decision itself, in a chain of hashes.
//!
//! What an attacker would try: decide something and take the trace away. A record is never changed or deleted alone; the
//! oldest go together when there are too many, and a record says so. See [`toq_protocol::audit`] for what the chain
//! shows and what it cannot.

use minicbor::{Decode, Encode};
use redb::ReadableTable as _;
use toq_protocol::audit::{Fault, Hash, Head};
use toq_protocol::key::PeerKey;
use toq_protocol::time::Timestamp;

use crate::error::StoreError;
use crate::reader::Reader;
use crate::record::Record;
use crate::tables;

/// How many records are kept; one is a few hundred bytes.
pub const MAX_RECORDS: u64 = 100_000;

/// How many are left when there are too many.
pub(crate) const KEPT: u64 = 90_000;

/// The kind of the record that stands for those that were deleted.
pub const TRIMMED: &str = "audit.trimmed";

/// The kind of the record of a key of the agent's own that replaced another, and how its detail begins.
const KEY_ROTATED: &str = "key.rotated";
const IN_PLACE_OF: &str = "in place of ";

/// The names in [`tables::AUDIT_NOTES`] of the end of the chain, and of the last record that was deleted.
pub(crate) const HEAD: &str = "head";
pub(crate) const BASE: &str = "base";

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct AuditRow {
    /// When, in nanoseconds of Unix time.
    #[n(0)]
    pub at: i64,
    /// Who: `owner`, `daemon`, `import`, `takeover`, or `peer` and its key.
    #[n(1)]
    pub who: String,
    /// What was done, in one word: `rule.added`.
    #[n(2)]
    pub what: String,
    /// To whom or what.
    #[n(3)]
    pub subject: String,
    /// How, where that is not said yet. Never a secret.
    #[n(4)]
    pub detail: Option<String>,
}

impl Record for AuditRow {
    const TABLE: &'static str = "audit";
}

impl AuditRow {
    /// A decision without further detail.
    #[must_use]
    pub fn new(at: Timestamp, who: &str, what: &str, subject: &dyn std::fmt::Display) -> Self {
        Self { at: at.as_nanos(), who: who.to_owned(), what: what.to_owned(), subject: subject.to_string(), detail: None }
    }

    /// The record that the agent's own key was replaced by its owner.
    #[must_use]
    pub fn key_rotated(at: Timestamp, old: &PeerKey, new: &PeerKey) -> Self {
        Self::new(at, "owner", KEY_ROTATED, new).detailed(format!("{IN_PLACE_OF}{old}"))
    }

    /// The key that was replaced, where this is the record of that.
    #[must_use]
    pub fn replaced_key(&self) -> Option<PeerKey> {
        let detail = self.detail.as_deref().filter(|_| self.what == KEY_ROTATED)?;
        PeerKey::parse(detail.strip_prefix(IN_PLACE_OF)?).ok()
    }

    /// The same with a detail.
    #[must_use]
    pub fn detailed(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// What a check of the whole chain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records there are.
    pub records: u64,
    /// What was read without fault: up to its last record, or up to the one before the fault.
    pub head: Head,
    /// What is wrong first, if anything is.
    pub fault: Option<Fault>,
}

/// Parts a value of the table into the hash and the content.
fn parts(value: &[u8]) -> Option<(&Hash, &[u8])> {
    value.split_first_chunk()
}

impl Reader {
    /// Decisions after a place, in order, each with its place and its hash. A record that cannot be read ends the list.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a record is damaged.
    pub fn audit(&self, after: u64, limit: usize) -> Result<Vec<(Head, AuditRow)>, StoreError> {
        let snapshot = self.snapshot()?;
        let table = snapshot.open(tables::AUDIT)?;
        let mut found = Vec::new();
        for entry in table.range(after.saturating_add(1)..)?.take(limit) {
            let (place, value) = entry?;
            let (hash, content) = parts(value.value()).ok_or(StoreError::Record { table: AuditRow::TABLE })?;
            found.push((Head { place: place.value(), hash: *hash }, AuditRow::from_bytes(content)?));
        }
        Ok(found)
    }

    /// The place of the newest decision; 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn last_audited(&self) -> Result<u64, StoreError> {
        Ok(self.snapshot()?.open(tables::AUDIT)?.last()?.map_or(0, |(place, _)| place.value()))
    }

    /// Reads the whole chain and says whether it is whole. Where a head was noted elsewhere, it has to be part of it.
    ///
    /// # Errors
    /// [`StoreError`] where the disk cannot be read; damage of the chain itself is no error but the answer.
    pub fn verify_audit(&self, noted: Option<Head>) -> Result<Verified, StoreError> {
        let snapshot = self.snapshot()?;
        let (table, notes) = (snapshot.open(tables::AUDIT)?, snapshot.open(tables::AUDIT_NOTES)?);
        let note = |name| -> Result<Option<Head>, StoreError> { Ok(notes.get(name)?.and_then(|bytes| Head::from_bytes(bytes.value()))) };
        let (base, end) = (note(BASE)?.unwrap_or(Head::EMPTY), note(HEAD)?.unwrap_or(Head::EMPTY));
        let mut head = base;
        let (mut records, mut is_explained, mut fault) = (0, base == Head::EMPTY, None);
        let is_other = |head: Head| noted.is_some_and(|noted| noted.place == head.place && noted.hash != head.hash);
        for entry in table.iter()? {
            let (place, value) = entry?;
            let place = place.value();
            let checked = parts(value.value()).ok_or(Fault::Altered(place)).and_then(|(hash, content)| {
                let next = head.follow(place, content, hash)?;
                let row = AuditRow::from_bytes(content).map_err(|_| Fault::Altered(place))?;
                is_explained |= row.what == TRIMMED && row.subject == base.to_string();
                if is_other(next) { Err(Fault::Altered(place)) } else { Ok(next) }
            });
            match checked {
                Ok(next) => head = next,
                Err(found) => {
                    fault = Some(found);
                    break;
                }
            }
            records += 1;
        }
        let fault = fault.or_else(|| head.ends_at(end).err());
        let fault = fault.or_else(|| (!is_explained).then_some(Fault::Unexplained(base.place)));
        let fault = fault.or_else(|| noted.filter(|noted| noted.place > head.place).map(|_| Fault::Missing(head.place + 1)));
        Ok(Verified { records, head, fault })
    }
}
