//! Counting what handlers spend.

use redb::ReadableTable as _;
use toq_protocol::budget::Spent;
use toq_protocol::key::PeerKey;

use super::Tables;
use crate::error::StoreError;

impl Tables<'_> {
    /// Counts for everybody and for one peer, and forgets earlier days.
    pub(super) fn spend(&mut self, handler: &str, peer: Option<&PeerKey>, day: u32, spent: Spent) -> Result<(), StoreError> {
        for whose in [spender(None), spender(Some(peer))] {
            let (runs, tokens) = self.spending.open()?.get((handler, day, &whose))?.map_or((0, 0), |row| row.value());
            let sum = (runs.saturating_add(spent.runs), tokens.saturating_add(spent.tokens));
            self.spending.open()?.insert((handler, day, &whose), sum)?;
        }
        self.spending.open()?.retain_in((handler, 0, &[0; 33])..(handler, day, &[0; 33]), |_, _| false)?;
        Ok(())
    }
}

/// Who spends, as a key of the table: everybody, a peer, or somebody without a key.
pub(crate) fn spender(peer: Option<Option<&PeerKey>>) -> [u8; 33] {
    let mut whose = [0; 33];
    match peer {
        None => {}
        Some(None) => whose[0] = 1,
        Some(Some(key)) => {
            whose[0] = 2;
            whose[1..].copy_from_slice(key.as_bytes());
        }
    }
    whose
}
