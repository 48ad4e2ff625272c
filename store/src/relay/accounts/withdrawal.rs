//! A request is taken back by who asked, unless somebody has begun to answer it.
//!
//! Between an owner's look at a request and its Welcome stands a change of the group that nobody can undo. Were the request withdrawn
//! meanwhile, the group would have a member that nobody is. So an owner says first that it begins, in one transaction with the question
//! whether the request is still there; and a withdrawal is one transaction with the question whether anybody has begun.

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::joins::{KIND, remove};
use super::tables::{CHANNELS, ENDS, INVITES, JOINS};
use super::{ChannelRow, Id, InviteRow, JoinRow, Tenant};
use crate::error::StoreError;
use crate::record::Record as _;

/// What became of a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// The request is gone, and the use of its invite is given back.
    Done,
    /// This account has no such request, or it has ended.
    Unknown,
    /// A member has begun to answer it, or has answered.
    TakenUp,
}

impl Tenant {
    /// Takes back a request of this account, and gives back the use of its invite.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn withdraw(&self, id: Id, now: Timestamp) -> Result<Withdrawn, StoreError> {
        let joiner = self.account;
        let work = move |tx: &WriteTransaction| {
            let row = tx.open_table(JOINS)?.get(&id)?.map(|row| JoinRow::from_bytes(row.value())).transpose()?;
            let row = row.filter(|row| row.joiner == joiner.0 && row.expires_at > now.as_nanos());
            let Some(row) = row else { return Ok((Withdrawn::Unknown, 0)) };
            if row.answered_at.is_some() || row.taken_up_at.is_some() {
                return Ok((Withdrawn::TakenUp, 0));
            }
            let freed = remove(tx, &id, &row)?;
            let mut invites = tx.open_table(INVITES)?;
            let invite = invites.get(&row.invite)?.map(|row| InviteRow::from_bytes(row.value())).transpose()?;
            if let Some(mut invite) = invite {
                invite.uses = invite.uses.saturating_sub(1);
                invites.insert(&row.invite, invite.to_bytes().as_slice())?;
            }
            Ok((Withdrawn::Done, freed))
        };
        let room = self.room.clone();
        Ok(self.desk.run_then(work, move |(_, freed)| room.give(*freed)).await?.0)
    }

    /// Begins to answer requests to channels that are this account's now: from here on they cannot be withdrawn, and they wait until
    /// `until` at least, so that the answer does not come too late. Returns those that are there and have no answer; the others were
    /// withdrawn, have ended, or are answered.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn take_up(&self, ids: Vec<Id>, now: Timestamp, until: Timestamp) -> Result<Vec<Id>, StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            let (mut joins, channels, mut ends) = (tx.open_table(JOINS)?, tx.open_table(CHANNELS)?, tx.open_table(ENDS)?);
            let mut waiting = Vec::new();
            for id in ids {
                let found = joins.get(&id)?.map(|row| JoinRow::from_bytes(row.value())).transpose()?;
                let found = found.filter(|row| row.owner == account.0 && row.expires_at > now.as_nanos() && row.answered_at.is_none());
                let Some(mut row) = found else { continue };
                let owner = channels.get(row.channel.as_str())?.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
                if owner.is_none_or(|channel| channel.account != account.0) {
                    continue;
                }
                waiting.push(id);
                if row.taken_up_at.is_some() {
                    continue;
                }
                ends.remove((row.expires_at, KIND, &id))?;
                row.taken_up_at = Some(now.as_nanos());
                row.expires_at = row.expires_at.max(until.as_nanos());
                ends.insert((row.expires_at, KIND, &id), ())?;
                joins.insert(&id, row.to_bytes().as_slice())?;
            }
            Ok(waiting)
        };
        self.desk.run(work).await
    }
}
