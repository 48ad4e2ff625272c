//! Offering again what was set aside.

use redb::ReadableTable as _;

use crate::Seq;
use crate::error::StoreError;
use crate::record::Record as _;

use super::Tables;

impl Tables<'_> {
    /// Opens messages again that were set aside for a consumer. What was not, or whose message is gone, stays as it is.
    pub(super) fn retry(&mut self, name: &str, messages: &[Seq]) -> Result<(), StoreError> {
        let Some(mut row) = self.consumer(name)? else { return Ok(()) };
        let mut retried = row.retried.take().unwrap_or_default();
        for seq in messages {
            if self.messages.get(seq.0)?.is_none() || self.set_aside.open()?.remove((name, seq.0))?.is_none() {
                continue;
            }
            self.offers.open()?.remove((name, seq.0))?;
            if let Err(place) = retried.binary_search(&seq.0) {
                retried.insert(place, seq.0);
            }
        }
        row.retried = (!retried.is_empty()).then_some(retried);
        self.consumers.open()?.insert(name, row.to_bytes().as_slice())?;
        Ok(())
    }
}
