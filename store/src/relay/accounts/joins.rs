//! An invite is used: one decision, one transaction.

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::counts::{self, Counted};
use super::invites::of;
use super::tables::{ANSWERS, CHANNELS, ENDS, INVITES, JOINED_WITH, JOINS, PACKAGES, PENDING, WELCOMES};
use super::{ChannelRow, Id, InviteRow, JoinRow, Tenant};
use crate::error::StoreError;
use crate::record::Record as _;

/// In [`ENDS`]: a request.
pub(super) const KIND: u8 = 1;

/// A request to join.
#[derive(Clone, Debug)]
pub struct JoinSpec {
    /// A fresh UUID.
    pub id: Id,
    /// The channel's name.
    pub channel: String,
    /// The invite.
    pub invite: Id,
    /// SHA-256 of the proof that came with it.
    pub verifier: [u8; 32],
    /// What the joiner calls itself.
    pub identity: String,
    /// The key package.
    pub package: Vec<u8>,
    /// SHA-256 of the key package.
    pub package_hash: [u8; 32],
    /// What binds the key package to the invite.
    pub binding: Option<String>,
    /// When the request ends if nobody answers it.
    pub expires_at: Timestamp,
    /// How many unanswered requests the channel may have with this one.
    pub most: usize,
}

/// A request that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its id.
    pub id: Id,
    /// The rest.
    pub row: JoinRow,
    /// The key package.
    pub package: Vec<u8>,
}

/// What became of using an invite. Only `Accepted` has spent a use, and only once for one key package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinEnd {
    /// The request waits for its answer under this id.
    Accepted(Id),
    /// There is no such invite, it is not of this channel, or the proof is wrong. Nobody is told which.
    Unknown,
    /// The invite has ended.
    Expired,
    /// The invite was used as often as it may.
    UsedUp,
    /// The channel takes no requests without a binding.
    Unbound,
    /// Too many requests of the channel wait.
    Full,
}

impl Tenant {
    /// Uses an invite, of whichever account, for this account.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn join(&self, spec: JoinSpec, now: Timestamp) -> Result<JoinEnd, StoreError> {
        let joiner = self.account;
        let (id, size) = (spec.id, spec.package.len());
        let mut lent = self.room.hold(size)?;
        let work = move |tx: &WriteTransaction| {
            let mut invites = tx.open_table(INVITES)?;
            let found = invites.get(&spec.invite)?.map(|row| InviteRow::from_bytes(row.value())).transpose()?;
            // Both sides are hashes of what the caller may not know: their order tells nothing, so comparing in constant time would
            // protect nothing.
            let Some(mut invite) = found.filter(|row| row.channel == spec.channel && row.verifier == spec.verifier) else {
                return Ok(JoinEnd::Unknown);
            };
            let mut joined_with = tx.open_table(JOINED_WITH)?;
            if let Some(known) = joined_with.get((&spec.invite, &spec.package_hash))?.map(|row| *row.value()) {
                let row = tx.open_table(JOINS)?.get(&known)?.map(|row| JoinRow::from_bytes(row.value())).transpose()?;
                // Somebody else's key package under the same invite opens nothing for this account.
                let is_own = row.is_some_and(|row| row.joiner == joiner.0);
                return Ok(if is_own { JoinEnd::Accepted(known) } else { JoinEnd::UsedUp });
            }
            if invite.has_ended(now) {
                return Ok(JoinEnd::Expired);
            }
            if invite.uses >= invite.max_uses {
                return Ok(JoinEnd::UsedUp);
            }
            let channel =
                tx.open_table(CHANNELS)?.get(spec.channel.as_str())?.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
            let Some(channel) = channel else { return Ok(JoinEnd::Unknown) };
            if !channel.unbound_joins && spec.binding.is_none() {
                return Ok(JoinEnd::Unbound);
            }
            let mut pending = tx.open_table(PENDING)?;
            let rows = || Ok(pending.range(of(&spec.channel))?.count());
            if counts::of(tx, Counted::Pending, spec.channel.as_bytes(), rows)? >= spec.most {
                return Ok(JoinEnd::Full);
            }
            invite.uses += 1;
            invites.insert(&spec.invite, invite.to_bytes().as_slice())?;
            let row = JoinRow {
                owner: invite.account,
                joiner: joiner.0,
                channel: spec.channel,
                invite: spec.invite,
                identity: spec.identity,
                package_hash: spec.package_hash,
                binding: spec.binding,
                created_at: now.as_nanos(),
                expires_at: spec.expires_at.as_nanos(),
                answered_at: None,
                refused: None,
                taken_up_at: None,
            };
            tx.open_table(JOINS)?.insert(&spec.id, row.to_bytes().as_slice())?;
            tx.open_table(PACKAGES)?.insert(&spec.id, spec.package.as_slice())?;
            pending.insert((row.channel.as_str(), row.created_at, &spec.id), ())?;
            counts::more(tx, Counted::Pending, row.channel.as_bytes())?;
            joined_with.insert((&spec.invite, &spec.package_hash), &spec.id)?;
            tx.open_table(ENDS)?.insert((row.expires_at, KIND, &spec.id), ())?;
            Ok(JoinEnd::Accepted(spec.id))
        };
        // Whatever ended otherwise has taken no room.
        let kept = move |end: &JoinEnd| {
            if *end == JoinEnd::Accepted(id) {
                lent.written(size);
            }
        };
        self.desk.run_then(work, kept).await
    }
}

/// Removes all rows of a request; returns how many bytes of a key package and a Welcome that were.
pub(super) fn remove(tx: &WriteTransaction, id: &Id, row: &JoinRow) -> Result<usize, StoreError> {
    tx.open_table(JOINS)?.remove(id)?;
    let package = tx.open_table(PACKAGES)?.remove(id)?.map_or(0, |package| package.value().len());
    let welcome = tx.open_table(WELCOMES)?.remove(id)?.map_or(0, |welcome| welcome.value().len());
    if row.answered_at.is_some() {
        let mut answers = tx.open_table(ANSWERS)?;
        let left = answers.get(&row.owner)?.map_or(0, |row| row.value()).saturating_sub(weight(welcome));
        match left {
            0 => answers.remove(&row.owner)?,
            left => answers.insert(&row.owner, left)?,
        };
    }
    let was_pending = tx.open_table(PENDING)?.remove((row.channel.as_str(), row.created_at, id))?.is_some();
    if was_pending {
        counts::less(tx, Counted::Pending, row.channel.as_bytes())?;
    }
    tx.open_table(JOINED_WITH)?.remove((&row.invite, &row.package_hash))?;
    tx.open_table(ENDS)?.remove((row.expires_at, KIND, id))?;
    Ok(package + welcome)
}

/// Removes the unanswered requests to join a channel; returns how many bytes of key packages that were.
pub(super) fn forget_of(tx: &WriteTransaction, channel: &str) -> Result<usize, StoreError> {
    let mut ids = Vec::new();
    for row in tx.open_table(PENDING)?.range(of(channel))? {
        ids.push(*row?.0.value().2);
    }
    let mut freed = 0;
    for id in ids {
        let row = tx.open_table(JOINS)?.get(&id)?.map(|row| JoinRow::from_bytes(row.value())).transpose()?;
        if let Some(row) = row {
            freed += remove(tx, &id, &row)?;
        }
    }
    Ok(freed)
}

/// What an answer that is kept counts, in bytes: what it is, and its rows.
pub(super) fn weight(welcome: usize) -> u64 {
    welcome as u64 + 1024
}
