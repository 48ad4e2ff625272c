//! What has ended is removed.

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::tables::{ENDS, INVITES, JOINS};
use super::{Accounts, Id, InviteRow, JoinRow, invites, joins, keys};
use crate::error::StoreError;
use crate::record::Record as _;

/// How many rows one transaction removes, so that nobody waits long behind it.
const MOST: usize = 500;

/// What a trim removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Invites.
    pub invites: usize,
    /// Requests, answered or not.
    pub requests: usize,
    /// Whether more is left to remove.
    pub is_more: bool,
}

impl Accounts {
    /// Removes invites, requests, Welcomes and revocations that have ended.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn trim(&self, now: Timestamp) -> Result<Trimmed, StoreError> {
        let work = move |tx: &WriteTransaction| {
            let mut ended: Vec<(u8, Id)> = Vec::new();
            for row in tx.open_table(ENDS)?.range(..=(now.as_nanos(), u8::MAX, &[0xff; 16]))?.take(MOST) {
                let at = row?.0;
                let (_, kind, id) = at.value();
                ended.push((kind, *id));
            }
            let mut freed = 0;
            let mut trimmed = Trimmed { is_more: ended.len() == MOST, ..Trimmed::default() };
            for (kind, id) in ended {
                if kind == invites::KIND {
                    let row = tx.open_table(INVITES)?.get(&id)?.map(|row| InviteRow::from_bytes(row.value())).transpose()?;
                    if let Some(row) = row {
                        invites::remove(tx, &id, &row)?;
                        trimmed.invites += 1;
                    }
                } else {
                    let row = tx.open_table(JOINS)?.get(&id)?.map(|row| JoinRow::from_bytes(row.value())).transpose()?;
                    if let Some(row) = row {
                        freed += joins::remove(tx, &id, &row)?;
                        trimmed.requests += 1;
                    }
                }
            }
            keys::forget(tx, now)?;
            Ok((trimmed, freed))
        };
        let room = self.room.clone();
        Ok(self.desk.run_then(work, move |(_, freed)| room.give(*freed)).await?.0)
    }
}
