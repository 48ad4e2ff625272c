//! Invites: made, listed, revoked. They are used in [`super::joins`].

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::counts::{self, Counted};
use super::tables::{CHANNELS, ENDS, INVITES, INVITES_OF};
use super::{ChannelRow, Id, InviteRow, Tenant};
use crate::error::StoreError;
use crate::record::Record as _;

/// In [`ENDS`]: an invite.
pub(super) const KIND: u8 = 0;

/// An invite to be kept.
#[derive(Clone, Debug)]
pub struct InviteSpec {
    /// Its name: 16 random bytes.
    pub id: Id,
    /// The channel's name.
    pub channel: String,
    /// SHA-256 of the proof that a holder shows.
    pub verifier: [u8; 32],
    /// How often it can be used.
    pub max_uses: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many invites the channel may have with this one.
    pub most: usize,
}

/// An invite that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Its name.
    pub id: Id,
    /// The rest.
    pub row: InviteRow,
}

/// What became of registering an invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It can be used. Registered again with the same verifier, it is what it was.
    Usable(InviteRow),
    /// This account has no such channel.
    NoChannel,
    /// An invite of this name is there, and it is another.
    Taken,
    /// The channel has as many invites as it may.
    Full,
}

impl Tenant {
    /// Keeps an invite to a channel of this account.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn invite(&self, spec: InviteSpec, now: Timestamp) -> Result<Registered, StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            let channel =
                tx.open_table(CHANNELS)?.get(spec.channel.as_str())?.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
            if channel.is_none_or(|row| row.account != account.0) {
                return Ok(Registered::NoChannel);
            }
            let mut invites = tx.open_table(INVITES)?;
            if let Some(row) = invites.get(&spec.id)?.map(|row| InviteRow::from_bytes(row.value())).transpose()? {
                let is_same = row.account == account.0 && row.channel == spec.channel && row.verifier == spec.verifier;
                return Ok(if is_same { Registered::Usable(row) } else { Registered::Taken });
            }
            let mut invites_of = tx.open_table(INVITES_OF)?;
            let rows = || Ok(invites_of.range(of(&spec.channel))?.count());
            if counts::of(tx, Counted::Invites, spec.channel.as_bytes(), rows)? >= spec.most {
                return Ok(Registered::Full);
            }
            let row = InviteRow {
                account: account.0,
                channel: spec.channel,
                verifier: spec.verifier,
                max_uses: spec.max_uses,
                uses: 0,
                created_at: now.as_nanos(),
                expires_at: spec.expires_at.as_nanos(),
            };
            invites.insert(&spec.id, row.to_bytes().as_slice())?;
            invites_of.insert((row.channel.as_str(), row.created_at, &spec.id), ())?;
            counts::more(tx, Counted::Invites, row.channel.as_bytes())?;
            tx.open_table(ENDS)?.insert((row.expires_at, KIND, &spec.id), ())?;
            Ok(Registered::Usable(row))
        };
        self.desk.run(work).await
    }

    /// The invites to a channel of this account that have not ended, oldest first. Nothing for a channel that is not this
    /// account's.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn invites(&self, channel: &str, now: Timestamp) -> Result<Vec<Invite>, StoreError> {
        self.desk.read(|reading| {
            let (names, invites) = (reading.open_table(INVITES_OF)?, reading.open_table(INVITES)?);
            let mut found = Vec::new();
            for row in names.range(of(channel))? {
                let at = row?.0;
                let (_, _, id) = at.value();
                if let Some(row) = invites.get(id)? {
                    found.push(Invite { id: *id, row: InviteRow::from_bytes(row.value())? });
                }
            }
            found.retain(|invite| invite.row.account == self.account.0 && !invite.row.has_ended(now));
            Ok(found)
        })
    }

    /// Takes an invite back; `false` where this account has none of this name. Requests that were made with it stay.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn revoke_invite(&self, id: Id) -> Result<bool, StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            let row = tx.open_table(INVITES)?.get(&id)?.map(|row| InviteRow::from_bytes(row.value())).transpose()?;
            let Some(row) = row.filter(|row| row.account == account.0) else { return Ok(false) };
            remove(tx, &id, &row)?;
            Ok(true)
        };
        self.desk.run(work).await
    }
}

/// Removes all rows of an invite.
pub(super) fn remove(tx: &WriteTransaction, id: &Id, row: &InviteRow) -> Result<(), StoreError> {
    tx.open_table(INVITES)?.remove(id)?;
    let was_there = tx.open_table(INVITES_OF)?.remove((row.channel.as_str(), row.created_at, id))?.is_some();
    if was_there {
        counts::less(tx, Counted::Invites, row.channel.as_bytes())?;
    }
    tx.open_table(ENDS)?.remove((row.expires_at, KIND, id))?;
    Ok(())
}

/// Removes all invites to a channel.
pub(super) fn forget_of(tx: &WriteTransaction, channel: &str) -> Result<(), StoreError> {
    let mut ids = Vec::new();
    for row in tx.open_table(INVITES_OF)?.range(of(channel))? {
        ids.push(*row?.0.value().2);
    }
    for id in ids {
        let row = tx.open_table(INVITES)?.get(&id)?.map(|row| InviteRow::from_bytes(row.value())).transpose()?;
        if let Some(row) = row {
            remove(tx, &id, &row)?;
        }
    }
    Ok(())
}

/// All rows of one channel in a table of (channel, time, id).
pub(super) fn of(channel: &str) -> std::ops::RangeInclusive<(&str, i64, &Id)> {
    (channel, i64::MIN, &[0; 16])..=(channel, i64::MAX, &[0xff; 16])
}
