//! Keys of accounts: what is kept of them opens nothing.

use std::time::Duration;

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::account::reading;
use super::tables::{KEYS, KEYS_OF, REVOKED};
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
            if !self.desk.run(touch).await? {
                return Ok(None);
            }
        }
        Ok(Some(Known { account: AccountId(row.account), key: row.id }))
    }

    fn key(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>, StoreError> {
        let found = reading(&self.desk)?.open_table(KEYS)?.get(hash)?;
        found.map(|row| KeyRow::from_bytes(row.value())).transpose()
    }

    /// Revoked keys whose tokens may still be around, and until when.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn revocations(&self) -> Result<Vec<(Id, Timestamp)>, StoreError> {
        let revoked = reading(&self.desk)?.open_table(REVOKED)?;
        let mut found = Vec::new();
        for row in revoked.iter()? {
            let (id, until) = row?;
            found.push((*id.value(), Timestamp::from_nanos(until.value())));
        }
        Ok(found)
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
            if of(tx, account)?.iter().filter(|key| key.row.revoked_at.is_none()).count() >= most {
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
        let reading = reading(&self.desk)?;
        let (hashes, keys) = (reading.open_table(KEYS_OF)?, reading.open_table(KEYS)?);
        let mut found = Vec::new();
        for row in hashes.range(owned(&self.account))? {
            let (at, hash) = row?;
            if let Some(row) = keys.get(hash.value())? {
                found.push(Key { id: *at.value().1, row: KeyRow::from_bytes(row.value())? });
            }
        }
        found.retain(|key| key.row.revoked_at.is_none());
        found.sort_by_key(|key| std::cmp::Reverse((key.row.created_at, key.id)));
        Ok(found)
    }

    /// Revokes a key; `false` where this account has no such key that works. Tokens made with it may be around until `until`.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn revoke_key(&self, id: Id, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let account = self.account;
        let work = move |tx: &WriteTransaction| {
            let hash = tx.open_table(KEYS_OF)?.get((&account.0, &id))?.map(|row| *row.value());
            let Some(hash) = hash else { return Ok(false) };
            let mut keys = tx.open_table(KEYS)?;
            let row = keys.get(&hash)?.map(|row| KeyRow::from_bytes(row.value())).transpose()?;
            let Some(mut row) = row.filter(|row| row.revoked_at.is_none()) else { return Ok(false) };
            row.revoked_at = Some(now.as_nanos());
            keys.insert(&hash, row.to_bytes().as_slice())?;
            tx.open_table(REVOKED)?.insert(&id, until.as_nanos())?;
            Ok(true)
        };
        self.desk.run(work).await
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

fn of(tx: &WriteTransaction, account: AccountId) -> Result<Vec<Key>, StoreError> {
    let (hashes, keys) = (tx.open_table(KEYS_OF)?, tx.open_table(KEYS)?);
    let mut found = Vec::new();
    for row in hashes.range(owned(&account))? {
        let (at, hash) = row?;
        if let Some(row) = keys.get(hash.value())? {
            found.push(Key { id: *at.value().1, row: KeyRow::from_bytes(row.value())? });
        }
    }
    Ok(found)
}

/// All rows of one account in a table of (account, id).
fn owned(account: &AccountId) -> std::ops::RangeInclusive<(&Id, &Id)> {
    (&account.0, &[0; 16])..=(&account.0, &[0xff; 16])
}
