//! Looking into a member's store. Every call reads a snapshot of its own.

use redb::{ReadTransaction, ReadableDatabase as _, ReadableTable as _};
use zeroize::Zeroizing;

use super::MemberStore;
use super::change::{Id, numbered, place};
use super::record::{ChannelRow, HappeningRow, InRow, InviteRow, OutRow, RequestRow, WelcomeRow};
use super::tables::{CHANNELS, HAPPENINGS, INBOX, INVITES, OUTBOX, REQUESTS, SHELVES, WELCOMES};
use crate::error::StoreError;
use crate::record::Record;

impl MemberStore {
    /// What is at this place of a shelf.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read, or was not written there under this key.
    pub fn kept(&self, shelf: u8, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let found = self.snapshot()?.open_table(SHELVES)?.get((shelf, key))?;
        let Some(row) = found else { return Ok(None) };
        let opened = self.seal.open(&place("shelves", &[&[shelf], key]), row.value());
        opened.map(Some).ok_or(StoreError::Record { table: "shelves" })
    }

    /// The keys on a shelf that begin with `prefix`, ascending.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub fn keys(&self, shelf: u8, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        let table = self.snapshot()?.open_table(SHELVES)?;
        let mut keys = Vec::new();
        for row in table.range((shelf, prefix)..)? {
            let (key, _) = row?;
            let (found, key) = key.value();
            if found != shelf || !key.starts_with(prefix) {
                break;
            }
            keys.push(key.to_vec());
        }
        Ok(keys)
    }

    /// Every channel.
    ///
    /// # Errors
    /// [`StoreError`] where a row cannot be read.
    pub fn channels(&self) -> Result<Vec<(Id, ChannelRow)>, StoreError> {
        let table = self.snapshot()?.open_table(CHANNELS)?;
        let mut channels = Vec::new();
        for row in table.iter()? {
            let (id, row) = row?;
            let id = *id.value();
            channels.push((id, self.record(&place("channels", &[&id]), row.value())?));
        }
        Ok(channels)
    }

    /// At most `limit` rows of a channel's outbox after number `after`.
    ///
    /// # Errors
    /// [`StoreError`] where a row cannot be read.
    pub fn outbox(&self, id: &Id, after: u64, limit: usize) -> Result<Vec<(u64, OutRow)>, StoreError> {
        let table = self.snapshot()?.open_table(OUTBOX)?;
        self.numbered("outbox", &table, id, after, limit)
    }

    /// Every row of a channel's outbox, one after the other: all together may be more than fits into memory.
    ///
    /// # Errors
    /// [`StoreError`] where a row cannot be read.
    pub fn each_outgoing(&self, id: &Id, mut look: impl FnMut(u64, OutRow)) -> Result<(), StoreError> {
        let table = self.snapshot()?.open_table(OUTBOX)?;
        self.each("outbox", &table, id, 0, |n, row| {
            look(n, row);
            true
        })
    }

    /// At most `limit` unread messages of a channel after number `after`, and of these no more than have `octets` bytes together, of messages and senders, but one
    /// whatever its size.
    ///
    /// # Errors
    /// [`StoreError`] where a row cannot be read.
    pub fn inbox(&self, id: &Id, after: u64, limit: usize, octets: usize) -> Result<Vec<(u64, InRow)>, StoreError> {
        let table = self.snapshot()?.open_table(INBOX)?;
        let (mut rows, mut left) = (Vec::new(), octets);
        self.each("inbox", &table, id, after, |n, row: InRow| {
            let size = row.payload.len().saturating_add(row.sender.len());
            if rows.len() >= limit || (!rows.is_empty() && size > left) {
                return false;
            }
            left = left.saturating_sub(size);
            rows.push((n, row));
            true
        })?;
        Ok(rows)
    }

    /// At most `limit` happenings of a channel after number `after`.
    ///
    /// # Errors
    /// [`StoreError`] where a row cannot be read.
    pub fn happenings(&self, id: &Id, after: u64, limit: usize) -> Result<Vec<(u64, HappeningRow)>, StoreError> {
        let table = self.snapshot()?.open_table(HAPPENINGS)?;
        self.numbered("happenings", &table, id, after, limit)
    }

    /// The invites of a channel whose secret was made here.
    ///
    /// # Errors
    /// [`StoreError`] where a row cannot be read.
    pub fn invites(&self, id: &Id) -> Result<Vec<([u8; 16], InviteRow)>, StoreError> {
        let table = self.snapshot()?.open_table(INVITES)?;
        let mut invites = Vec::new();
        for row in table.range((id, &[0; 16])..=(id, &[0xff; 16]))? {
            let (key, row) = row?;
            let invite = *key.value().1;
            invites.push((invite, self.record(&place("invites", &[id, &invite]), row.value())?));
        }
        Ok(invites)
    }

    /// One invite of a channel.
    ///
    /// # Errors
    /// [`StoreError`] where the row cannot be read.
    pub fn invite(&self, id: &Id, invite: &[u8; 16]) -> Result<Option<InviteRow>, StoreError> {
        let found = self.snapshot()?.open_table(INVITES)?.get((id, invite))?;
        found.map(|row| self.record(&place("invites", &[id, invite]), row.value())).transpose()
    }

    /// Every request of this member to be let in, by channel and the hash of its invite.
    ///
    /// # Errors
    /// [`StoreError`] where a row cannot be read.
    pub fn requests(&self) -> Result<Vec<(Id, [u8; 32], RequestRow)>, StoreError> {
        let table = self.snapshot()?.open_table(REQUESTS)?;
        let mut requests = Vec::new();
        for row in table.iter()? {
            let (key, row) = row?;
            let (id, invite) = key.value();
            requests.push((*id, *invite, self.record(&place("requests", &[id, invite]), row.value())?));
        }
        Ok(requests)
    }

    /// The Welcomes of a channel that may still be wanted, by the epoch that their commit began.
    ///
    /// # Errors
    /// [`StoreError`] where a row cannot be read.
    pub fn welcomes(&self, id: &Id) -> Result<Vec<(u64, WelcomeRow)>, StoreError> {
        let table = self.snapshot()?.open_table(WELCOMES)?;
        self.numbered("welcomes", &table, id, 0, usize::MAX)
    }

    fn snapshot(&self) -> Result<ReadTransaction, StoreError> {
        Ok(self.desk.database()?.begin_read()?)
    }

    fn numbered<R: Record>(
        &self,
        name: &str,
        table: &redb::ReadOnlyTable<(&'static Id, u64), &'static [u8]>,
        id: &Id,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, R)>, StoreError> {
        let mut rows = Vec::new();
        self.each(name, table, id, after, |n, row| {
            let has_room = rows.len() < limit;
            if has_room {
                rows.push((n, row));
            }
            has_room
        })?;
        Ok(rows)
    }

    /// Shows the rows after number `after`, for as long as `look` wants to see them.
    fn each<R: Record>(
        &self,
        name: &str,
        table: &redb::ReadOnlyTable<(&'static Id, u64), &'static [u8]>,
        id: &Id,
        after: u64,
        mut look: impl FnMut(u64, R) -> bool,
    ) -> Result<(), StoreError> {
        for row in table.range((id, after.saturating_add(1))..=(id, u64::MAX))? {
            let (key, row) = row?;
            let n = key.value().1;
            if !look(n, self.record(&numbered(name, id, n), row.value())?) {
                break;
            }
        }
        Ok(())
    }

    fn record<R: Record>(&self, place: &[u8], sealed: &[u8]) -> Result<R, StoreError> {
        let bytes = self.seal.open(place, sealed).ok_or(StoreError::Record { table: R::TABLE })?;
        R::from_bytes(&bytes)
    }
}
