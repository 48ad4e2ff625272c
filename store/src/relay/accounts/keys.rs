//! Keys of accounts: what is kept of them opens nothing.

use std::time::Duration;

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::tables::{GONE, KEYS, KEYS_OF, REVOKED};
use super::{AccountId, Accounts, Id, KeyRow, Tenant};
use crate::error::StoreError;
use crate::record::Record as _;

/// How often the time of a key's last use is written down.
const TOUCH: Duration = Duration::from_secs(60);

/// A key to be kept.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// A fresh UUID.
    pub id: Id,
    /// SHA-256 of the key. A key is random, so a slow hash would protect nothing.
    pub hash: [u8; 32],
    /// Its first characters.
    pub prefix: String,
    /// What it is for.
    pub name: String,
}

/// A key that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: Id,
    /// The rest.
    pub row: KeyRow,
}

/// Who presented a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The account.
    pub account: AccountId,
    /// The key.
    pub key: Id,
}

impl Accounts {
    /// Whose key has this hash; `None` where nobody's, or it was revoked.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn present(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Known>, StoreError> {
        let Some(row) = self.key(&hash)?.filter(|row| row.revoked_at.is_none()) else { return Ok(None) };
        let is_stale = row.last_used_at.is_none_or(|last| now.since(Timestamp::from_nanos(last)) >= TOUCH);
        if is_stale {
            let touch = move |tx: &WriteTransaction| {
                let mut keys = tx.open_table(KEYS)?;
                let row = keys.get(&hash)?.map(|row| KeyRow::from_bytes(row.value())).transpose()?;
                // Revoked since: the newer row stays.
                if let Some(mut row) = row.filter(|row| row.revoked_at.is_none()) {
                    row.last_used_at = Some(now.as_nanos());
                    keys.insert(&hash, row.to_bytes().as_slice())?;
                    return Ok(true);
                }
                Ok(false)
            };
            match self.desk.run(touch).await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // When a key was last used is not worth turning its owner away, who may want to read what is there.
                Err(error) => tracing::debug!(%error, "the last use of a key was not written down"),
            }
        }
        Ok(Some(Known { account: AccountId(row.account), key: row.id }))
    }

    fn key(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError> {
        self.desk.read(|reading| {
            let found = reading.open_table(KEYS)?.get(hash)?;
            found.map(|row| KeyRow::from_bytes(row.value())).transpose()
        })
    }

    /// Whether a key of an account works: whatever was made with one that does not is worth nothing.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn works(&self, account: AccountId, key: Id) -> Result<bool, StoreError> {
        self.desk.read(|reading| {
            let Some(hash) = reading.open_table(KEYS_OF)?.get((&account.0, &key))? else { return Ok(false) };
            let row = reading.open_table(KEYS)?.get(hash.value())?.map(|row| KeyRow::from_bytes(row.value())).transpose()?;
            Ok(row.is_some_and(|row| row.revoked_at.is_none()))
        })
    }

    /// Whose key works under an id; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn holder(&self, key: Id) -> Result<Option<AccountId>, StoreError> {
        self.desk.read(|reading| {
            for row in reading.open_table(KEYS_OF)?.iter()? {
                let at = row?.0;
                let (account, id) = at.value();
                if *id == key {
                    return Ok(Some(AccountId(*account)));
                }
            }
            Ok(None)
        })
    }

    /// Revoked keys that are remembered, and until when.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn revocations(&self) -> Result<Vec<(Id, Timestamp)>, StoreError> {
        self.desk.read(|reading| {
            let revoked = reading.open_table(REVOKED)?;
            let mut found = Vec::new();
            for row in revoked.iter()? {
                let (id, until) = row?;
                found.push((*id.value(), Timestamp::from_nanos(until.value())));
            }
            Ok(found)
        })
    }
}

impl Tenant {
    /// Keeps another key; `false` where the account has `most` already.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn add_key(&self, key: KeySpec, most: usize, now: Timestamp) -> Result<bool, StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            if tx.open_table(KEYS_OF)?.range(owned(&account))?.take(most).count() >= most {
                return Ok(false);
            }
            insert(tx, account, key, now)?;
            Ok(true)
        };
        self.desk.run(work).await
    }

    /// The keys that work, newest first.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.desk.read(|reading| {
            let (hashes, keys) = (reading.open_table(KEYS_OF)?, reading.open_table(KEYS)?);
            let mut found = Vec::new();
            for row in hashes.range(owned(&self.account))? {
                let (at, hash) = row?;
                if let Some(row) = keys.get(hash.value())? {
                    found.push(Key { id: *at.value().1, row: KeyRow::from_bytes(row.value())? });
                }
            }
            // One that was revoked by an earlier version has stayed in the list.
            found.retain(|key| key.row.revoked_at.is_none());
            found.sort_by_key(|key| std::cmp::Reverse((key.row.created_at, key.id)));
            Ok(found)
        })
    }

    /// Revokes a key; `false` where this account has no such key that works. It is remembered until `until`.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn revoke_key(&self, id: Id, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            let hash = tx.open_table(KEYS_OF)?.remove((&account.0, &id))?.map(|row| *row.value());
            let Some(hash) = hash else { return Ok(false) };
            let mut keys = tx.open_table(KEYS)?;
            let row = keys.get(&hash)?.map(|row| KeyRow::from_bytes(row.value())).transpose()?;
            let Some(mut row) = row.filter(|row| row.revoked_at.is_none()) else { return Ok(false) };
            row.revoked_at = Some(now.as_nanos());
            keys.insert(&hash, row.to_bytes().as_slice())?;
            tx.open_table(REVOKED)?.insert(&id, until.as_nanos())?;
            tx.open_table(GONE)?.insert(&id, (&account.0, &hash))?;
            Ok(true)
        };
        self.desk.run(work).await
    }

    /// Whether a key of this account was revoked and is remembered.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn has_revoked(&self, id: Id) -> Result<bool, StoreError> {
        self.desk.read(|reading| {
            let row = reading.open_table(GONE)?.get(&id)?.map(|row| *row.value().0);
            Ok(row == Some(self.account.0))
        })
    }
}

/// Writes a key's rows.
pub(super) fn insert(tx: &WriteTransaction, account: AccountId, key: KeySpec, now: Timestamp) -> Result<(), StoreError> {
    let row = KeyRow {
        id: key.id,
        account: account.0,
        prefix: key.prefix,
        name: key.name,
        created_at: now.as_nanos(),
        last_used_at: None,
        revoked_at: None,
    };
    tx.open_table(KEYS)?.insert(&key.hash, row.to_bytes().as_slice())?;
    tx.open_table(KEYS_OF)?.insert((&account.0, &key.id), &key.hash)?;
    Ok(())
}

/// Removes what is remembered of revoked keys until now.
pub(super) fn forget(tx: &WriteTransaction, now: Timestamp) -> Result<(), StoreError> {
    let (mut revoked, mut gone, mut keys) = (tx.open_table(REVOKED)?, tx.open_table(GONE)?, tx.open_table(KEYS)?);
    let mut ended = Vec::new();
    for row in revoked.iter()? {
        let (id, until) = row?;
        if until.value() <= now.as_nanos() {
            ended.push(*id.value());
        }
    }
    for id in ended {
        revoked.remove(&id)?;
        let hash = gone.remove(&id)?.map(|row| *row.value().1);
        if let Some(hash) = hash {
            keys.remove(&hash)?;
        }
    }
    Ok(())
}

/// All rows of one account in a table of (account, id).
fn owned(account: &AccountId) -> std::ops::RangeInclusive<(&Id, &Id)> {
    (&account.0, &[0; 16])..=(&account.0, &[0xff; 16])
}
