//! The registry of channels.

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::counts::{self, Counted};
use super::tables::{ADMITTED, CHANNELS, CHANNELS_OF};
use super::{AccountId, Accounts, ChannelRow, Id, Tenant};
use crate::error::StoreError;
use crate::record::Record as _;
use crate::relay::log;

/// A channel of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// `org/namespace/service`.
    pub name: String,
    /// The rest.
    pub row: ChannelRow,
}

/// A channel to be registered.
#[derive(Clone, Debug)]
pub struct ChannelSpec {
    /// `org/namespace/service`.
    pub name: String,
    /// A fresh UUID.
    pub id: Id,
    /// Whether joins that are not bound to an invite are taken; as it was, or `true`, where it is not given.
    pub unbound_joins: Option<bool>,
    /// How many channels the account may have with this one.
    pub most: usize,
    /// What the channel's log calls the account: a channel that another account has begun to use is not given away. `None` gives it
    /// to this account in any case.
    pub publisher: Option<String>,
}

/// What became of registering a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is this account's, now or since earlier.
    Yours(ChannelRow),
    /// It belongs to another account, or another account has begun to use it.
    Taken,
    /// The account has as many channels as it may.
    Full,
}

impl Accounts {
    /// Whether an account may take part in a channel: nobody has registered it, it is the account's own, or its owner has let the
    /// account in.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn admits(&self, channel: &str, account: AccountId) -> Result<bool, StoreError> {
        self.desk.read(|reading| {
            let owner = reading.open_table(CHANNELS)?.get(channel)?.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
            match owner {
                None => Ok(true),
                Some(row) if row.account == account.0 => Ok(true),
                Some(_) => Ok(reading.open_table(ADMITTED)?.get((channel, &account.0))?.is_some()),
            }
        })
    }

    /// Who has registered a channel.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn owner(&self, channel: &str) -> Result<Option<AccountId>, StoreError> {
        self.desk.read(|reading| {
            let row = reading.open_table(CHANNELS)?.get(channel)?.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
            Ok(row.map(|row| AccountId(row.account)))
        })
    }

    /// Up to `most` registered channels by name, after `after`.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn channels(&self, after: Option<&str>, most: usize) -> Result<Vec<Channel>, StoreError> {
        self.desk.read(|reading| {
            use std::ops::Bound::{Excluded, Unbounded};
            let channels = reading.open_table(CHANNELS)?;
            let mut found = Vec::new();
            for row in channels.range::<&str>((after.map_or(Unbounded, Excluded), Unbounded))?.take(most) {
                let (name, row) = row?;
                found.push(Channel { name: name.value().to_owned(), row: ChannelRow::from_bytes(row.value())? });
            }
            Ok(found)
        })
    }

    /// Takes a channel out of the registry, whosever it is, with its invites and requests, and lets nobody in whom its owner had let
    /// in; `false` where it was not there. Its log stays.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn forget_channel(&self, name: String) -> Result<bool, StoreError> {
        let work = move |tx: &WriteTransaction| {
            let mut channels = tx.open_table(CHANNELS)?;
            let Some(row) = channels.remove(name.as_str())?.map(|row| ChannelRow::from_bytes(row.value())).transpose()? else {
                return Ok(None);
            };
            tx.open_table(CHANNELS_OF)?.remove((&row.account, name.as_str()))?;
            counts::less(tx, Counted::Channels, &row.account)?;
            let guests = (name.as_str(), &[0; 16])..=(name.as_str(), &[0xff; 16]);
            tx.open_table(ADMITTED)?.retain_in::<(&str, &Id), _>(guests, |_, _| false)?;
            super::invites::forget_of(tx, &name)?;
            Ok(Some(super::joins::forget_of(tx, &name)?))
        };
        let room = self.room.clone();
        let freed = self.desk.run_then(work, move |freed| room.give(freed.unwrap_or(0))).await?;
        Ok(freed.is_some())
    }
}

impl Tenant {
    /// Registers a channel, or finds it registered.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn claim(&self, spec: ChannelSpec, now: Timestamp) -> Result<Claimed, StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            let ChannelSpec { name, id, unbound_joins, most, publisher } = spec;
            let mut channels = tx.open_table(CHANNELS)?;
            let mut channels_of = tx.open_table(CHANNELS_OF)?;
            let found = channels.get(name.as_str())?.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
            let row = match found {
                Some(row) if row.account != account.0 => return Ok(Claimed::Taken),
                Some(row) if unbound_joins.is_none_or(|wanted| wanted == row.unbound_joins) => return Ok(Claimed::Yours(row)),
                Some(row) => ChannelRow { unbound_joins: unbound_joins.unwrap_or(row.unbound_joins), ..row },
                None => {
                    if log::is_anothers(tx, &name, publisher.as_deref())? {
                        return Ok(Claimed::Taken);
                    }
                    if counts::of(tx, Counted::Channels, &account.0, || count(&channels_of, account))? >= most {
                        return Ok(Claimed::Full);
                    }
                    let unbound_joins = unbound_joins.unwrap_or(true);
                    ChannelRow { id, account: account.0, unbound_joins, created_at: now.as_nanos() }
                }
            };
            channels.insert(name.as_str(), row.to_bytes().as_slice())?;
            if channels_of.insert((&account.0, name.as_str()), ())?.is_none() {
                counts::more(tx, Counted::Channels, &account.0)?;
            }
            Ok(Claimed::Yours(row))
        };
        self.desk.run(work).await
    }

    /// The other accounts that were let into a channel of this account, and since when; `None` where it is not this account's.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn admitted(&self, channel: &str) -> Result<Option<Vec<(AccountId, Timestamp)>>, StoreError> {
        self.desk.read(|reading| {
            if self.channel(channel)?.is_none() {
                return Ok(None);
            }
            let mut found = Vec::new();
            for row in reading.open_table(ADMITTED)?.range::<(&str, &Id)>((channel, &[0; 16])..=(channel, &[0xff; 16]))? {
                let (at, since) = row?;
                found.push((AccountId(*at.value().1), Timestamp::from_nanos(since.value())));
            }
            Ok(Some(found))
        })
    }

    /// Lets another account take part in a channel of this account no more; `false` where the channel is not this account's, or the
    /// other one was not let in.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn shut_out(&self, channel: String, other: AccountId) -> Result<bool, StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            let row = tx.open_table(CHANNELS)?.get(channel.as_str())?.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
            if row.is_none_or(|row| row.account != account.0) {
                return Ok(false);
            }
            let was_in = tx.open_table(ADMITTED)?.remove((channel.as_str(), &other.0))?.is_some();
            Ok(was_in)
        };
        self.desk.run(work).await
    }

    /// A channel of this account.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn channel(&self, name: &str) -> Result<Option<ChannelRow>, StoreError> {
        self.desk.read(|reading| {
            let found = reading.open_table(CHANNELS)?.get(name)?;
            let found = found.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
            Ok(found.filter(|row| row.account == self.account.0))
        })
    }

    /// This account's channels, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn channels(&self) -> Result<Vec<Channel>, StoreError> {
        self.desk.read(|reading| {
            let (names, channels) = (reading.open_table(CHANNELS_OF)?, reading.open_table(CHANNELS)?);
            let mut found = Vec::new();
            for row in names.range((&self.account.0, "")..)? {
                let (at, ()) = (row?.0, ());
                let (account, name) = at.value();
                if *account != self.account.0 {
                    break;
                }
                if let Some(row) = channels.get(name)? {
                    found.push(Channel { name: name.to_owned(), row: ChannelRow::from_bytes(row.value())? });
                }
            }
            Ok(found)
        })
    }
}

fn count(channels_of: &redb::Table<'_, (&'static Id, &'static str), ()>, account: AccountId) -> Result<usize, StoreError> {
    let mut count = 0;
    for row in channels_of.range((&account.0, "")..)? {
        if *row?.0.value().0 != account.0 {
            break;
        }
        count += 1;
    }
    Ok(count)
}
