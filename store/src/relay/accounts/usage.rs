//! How often accounts exchange a key for a token.

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::Tenant;
use super::tables::EXCHANGES;
use crate::error::StoreError;

impl Tenant {
    /// Counts one exchange.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn exchanged(&self, at: Timestamp) -> Result<(), StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            let month = month(at);
            let mut exchanges = tx.open_table(EXCHANGES)?;
            let sum = exchanges.get((&account.0, month.as_str()))?.map_or(0, |row| row.value()).saturating_add(1);
            exchanges.insert((&account.0, month.as_str()), sum)?;
            Ok(())
        };
        self.desk.run(work).await
    }

    /// How many exchanges there were in the month of a time.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn exchanges(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.desk.read(|reading| {
            let found = reading.open_table(EXCHANGES)?.get((&self.account.0, month(at).as_str()))?;
            Ok(found.map_or(0, |row| row.value()))
        })
    }
}

/// `2026-11`.
fn month(at: Timestamp) -> String {
    at.to_string().chars().take(7).collect()
}
