//! Appending decisions to their chain.

use redb::ReadableTable as _;
use toq_protocol::audit::Head;

use crate::audit::{AuditRow, BASE, HEAD, KEPT, MAX_RECORDS, TRIMMED};
use crate::error::StoreError;
use crate::record::Record as _;

use super::Tables;

impl Tables<'_> {
    /// Appends a decision.
    pub(super) fn audit(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        self.link(row)?;
        let first = self.audit.open()?.first()?.map_or(1, |(place, _)| place.value());
        let last = self.note(HEAD)?.place;
        if last.saturating_sub(first) >= MAX_RECORDS { self.trim_audit(KEPT, row.at) } else { Ok(()) }
    }

    /// Appends a decision that says how something is now, unless it was so when that was last said.
    pub(super) fn audit_state(&mut self, name: &str, state: &[u8; 32], row: &AuditRow) -> Result<(), StoreError> {
        // The names of the chain's own notes have no colon.
        let name = format!("state:{name}");
        if self.audit_notes.open()?.get(name.as_str())?.is_some_and(|known| known.value() == state) {
            return Ok(());
        }
        self.audit_notes.open()?.insert(name.as_str(), state.as_slice())?;
        self.audit(row)
    }

    /// Deletes all but the newest records and appends one that stands for them.
    pub(super) fn trim_audit(&mut self, keep: u64, at: i64) -> Result<(), StoreError> {
        let up_to = self.note(HEAD)?.place.saturating_sub(keep);
        let Some(base) = self.audit.open()?.get(up_to)?.and_then(|value| Some(Head { place: up_to, hash: *value.value().first_chunk()? }))
        else {
            return Ok(());
        };
        self.audit.open()?.retain_in(..=up_to, |_, _| false)?;
        self.audit_notes.open()?.insert(BASE, base.to_bytes().as_slice())?;
        let detail = Some(format!("records up to {up_to} were deleted for their number"));
        self.link(&AuditRow { at, who: "daemon".to_owned(), what: TRIMMED.to_owned(), subject: base.to_string(), detail })
    }

    fn link(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        let content = row.to_bytes();
        let head = self.note(HEAD)?.then(&content);
        self.audit.open()?.insert(head.place, [head.hash.as_slice(), &content].concat().as_slice())?;
        self.audit_notes.open()?.insert(HEAD, head.to_bytes().as_slice())?;
        Ok(())
    }

    fn note(&mut self, name: &str) -> Result<Head, StoreError> {
        Ok(self.audit_notes.open()?.get(name)?.and_then(|bytes| Head::from_bytes(bytes.value())).unwrap_or(Head::EMPTY))
    }
}
