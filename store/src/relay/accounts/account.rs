//! Accounts, and the view that each has of its own rows.

use std::path::Path;
use std::sync::Arc;

use redb::{ReadableTable as _, ReadableTableMetadata as _};
use toq_protocol::time::Timestamp;

use super::keys::{self, KeySpec};
use super::tables::{ACCOUNTS, EMAILS, PACKAGES, ROLES, WELCOMES};
use super::{AccountId, AccountRow, Id, PlanTier, tables};
use crate::desk::Desk;
use crate::error::StoreError;
use crate::record::Record as _;
use crate::room::Room;

/// The key of the operator's account in [`ROLES`].
const OPERATOR: &str = "operator";

/// Every account; the server's own view.
#[derive(Clone, Debug)]
pub struct Accounts {
    pub(super) desk: Desk,
    pub(super) room: Arc<Room>,
}

/// One account's view. It cannot name the rows of another.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub(super) desk: Desk,
    pub(super) room: Arc<Room>,
    pub(super) account: AccountId,
}

/// An account to be opened.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// A fresh UUID.
    pub id: Id,
    /// Its owner's e-mail address.
    pub email: String,
    /// What to call it.
    pub name: String,
    /// How much it may use.
    pub plan: PlanTier,
    /// How many accounts there may be with this one.
    pub most: u64,
}

/// What became of opening an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is there, with its first key.
    Opened,
    /// Another account has this e-mail address.
    Taken,
    /// There are as many accounts as there may be.
    Full,
}

impl Accounts {
    /// Makes the tables that are missing.
    ///
    /// # Errors
    /// [`StoreError::Newer`] names `path` where a later version has written the file.
    pub(crate) async fn with(desk: Desk, path: &Path) -> Result<Self, StoreError> {
        match desk.run(tables::make).await? {
            None => Ok(Self { desk, room: Arc::new(Room::unlimited()) }),
            Some(found) => Err(StoreError::Newer { path: path.to_owned(), found, known: tables::SCHEMA }),
        }
    }

    pub(in crate::relay) fn within(self, room: Arc<Room>) -> Self {
        Self { room, ..self }
    }

    /// What key packages and Welcomes take up, in bytes.
    pub(in crate::relay) fn used_bytes(&self) -> Result<u64, StoreError> {
        self.desk.read(|reading| {
            let (packages, welcomes) = (reading.open_table(PACKAGES)?.stats()?, reading.open_table(WELCOMES)?.stats()?);
            Ok(packages.stored_bytes() + welcomes.stored_bytes())
        })
    }

    /// One account's view.
    #[must_use]
    pub fn of(&self, account: AccountId) -> Tenant {
        Tenant { desk: self.desk.clone(), room: self.room.clone(), account }
    }

    /// Opens the operator's own account, without a key. One that has this e-mail address and was given the largest plan is the
    /// operator's: nobody else gives that.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn open_operators(&self, new: NewAccount, now: Timestamp) -> Result<Opened, StoreError> {
        let work = move |tx: &redb::WriteTransaction| {
            let known = tx.open_table(EMAILS)?.get(new.email.to_lowercase().as_str())?.map(|row| *row.value());
            let known = match known {
                None => None,
                Some(id) => {
                    tx.open_table(ACCOUNTS)?.get(&id)?.map(|row| AccountRow::from_bytes(row.value())).transpose()?.map(|row| (id, row))
                }
            };
            let id = match known {
                Some((id, row)) if row.plan == PlanTier::Enterprise => id,
                Some(_) => return Ok(Opened::Taken),
                None => {
                    let id = new.id;
                    insert(tx, new, now)?;
                    id
                }
            };
            tx.open_table(ROLES)?.insert(OPERATOR, &id)?;
            Ok(Opened::Opened)
        };
        self.desk.run(work).await
    }

    /// The operator's own account, where it has been opened.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn operators(&self) -> Result<Option<AccountId>, StoreError> {
        self.desk.read(|reading| Ok(reading.open_table(ROLES)?.get(OPERATOR)?.map(|row| AccountId(*row.value()))))
    }

    /// Opens an account with its first key.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn open(&self, new: NewAccount, key: KeySpec, now: Timestamp) -> Result<Opened, StoreError> {
        let work = move |tx: &redb::WriteTransaction| {
            {
                let emails = tx.open_table(EMAILS)?;
                if emails.get(new.email.to_lowercase().as_str())?.is_some() {
                    return Ok(Opened::Taken);
                }
                if emails.len()? >= new.most {
                    return Ok(Opened::Full);
                }
            }
            let id = new.id;
            insert(tx, new, now)?;
            keys::insert(tx, AccountId(id), key, now)?;
            Ok(Opened::Opened)
        };
        self.desk.run(work).await
    }

    /// An account by its id.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        self.desk.read(|reading| {
            let found = reading.open_table(ACCOUNTS)?.get(&account.0)?;
            found.map(|row| AccountRow::from_bytes(row.value())).transpose()
        })
    }

    /// An account by its owner's e-mail address.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn by_email(&self, email: &str) -> Result<Option<AccountId>, StoreError> {
        self.desk.read(|reading| {
            let found = reading.open_table(EMAILS)?.get(email.to_lowercase().as_str())?;
            Ok(found.map(|row| AccountId(*row.value())))
        })
    }

    /// Up to `most` accounts, in the order of their ids after `after`.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn list(&self, after: Option<AccountId>, most: usize) -> Result<Vec<(AccountId, AccountRow)>, StoreError> {
        self.desk.read(|reading| {
            use std::ops::Bound::{Excluded, Unbounded};
            let accounts = reading.open_table(ACCOUNTS)?;
            let from = after.as_ref().map_or(Unbounded, |after| Excluded(&after.0));
            let mut found = Vec::new();
            for row in accounts.range::<&Id>((from, Unbounded))?.take(most) {
                let (id, row) = row?;
                found.push((AccountId(*id.value()), AccountRow::from_bytes(row.value())?));
            }
            Ok(found)
        })
    }

    /// Gives an account another plan; `false` where there is no such account.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn set_plan(&self, account: AccountId, plan: PlanTier) -> Result<bool, StoreError> {
        let work = move |tx: &redb::WriteTransaction| {
            let mut accounts = tx.open_table(ACCOUNTS)?;
            let Some(mut row) = accounts.get(&account.0)?.map(|row| AccountRow::from_bytes(row.value())).transpose()? else {
                return Ok(false);
            };
            row.plan = plan;
            accounts.insert(&account.0, row.to_bytes().as_slice())?;
            Ok(true)
        };
        self.desk.run(work).await
    }
}

impl Tenant {
    /// Whose view this is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }
}

/// Writes an account's rows.
fn insert(tx: &redb::WriteTransaction, new: NewAccount, now: Timestamp) -> Result<(), StoreError> {
    tx.open_table(EMAILS)?.insert(new.email.to_lowercase().as_str(), &new.id)?;
    let row = AccountRow { email: new.email, name: new.name, plan: new.plan, created_at: now.as_nanos() };
    tx.open_table(ACCOUNTS)?.insert(&new.id, row.to_bytes().as_slice())?;
    Ok(())
}
