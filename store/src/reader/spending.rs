//! What handlers have spent.

use toq_protocol::budget::Spent;
use toq_protocol::key::PeerKey;

use super::{Reader, StoreError};
use crate::tables;
use crate::writer::spender;

impl Reader {
    /// What a handler has spent in a day: for everybody, and for this peer.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn spent(&self, handler: &str, peer: Option<&PeerKey>, day: u32) -> Result<(Spent, Spent), StoreError> {
        let snapshot = self.snapshot()?;
        let spending = snapshot.open(tables::SPENDING)?;
        let spent = |whose: [u8; 33]| -> Result<Spent, StoreError> {
            let row = spending.get((handler, day, &whose))?;
            Ok(row.map_or_else(Spent::default, |row| Spent { runs: row.value().0, tokens: row.value().1 }))
        };
        Ok((spent(spender(None))?, spent(spender(Some(peer)))?))
    }
}
