//! Every table of accounts in `relay.redb`.
//!
//! Values are versioned records (see [`crate::record`]) unless a line says otherwise. No table holds a key, an invite or a
//! password: of what opens something, only a hash is kept. Times are nanoseconds of Unix time.

use redb::{ReadableTable as _, TableDefinition, WriteTransaction};

use crate::error::StoreError;

/// An id: a UUID, or the name of an invite.
type Id = &'static [u8; 16];

/// account → [`AccountRow`](super::AccountRow).
pub(super) const ACCOUNTS: TableDefinition<Id, &[u8]> = TableDefinition::new("accounts");

/// e-mail address in small letters → account. What makes an address unique.
pub(super) const EMAILS: TableDefinition<&str, Id> = TableDefinition::new("emails");

/// `operator` → the operator's own account. What it is called gives nobody its rights.
pub(super) const ROLES: TableDefinition<&str, Id> = TableDefinition::new("roles");

/// SHA-256 of a key → [`KeyRow`](super::KeyRow). A revoked key stays for a while, so that it is told from one that never was.
pub(super) const KEYS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("keys");

/// (account, key) → SHA-256 of the key; those that work.
pub(super) const KEYS_OF: TableDefinition<(Id, Id), &[u8; 32]> = TableDefinition::new("keys_of");

/// key → until when it is remembered that it was revoked. Written when a key is revoked; trimmed.
pub(super) const REVOKED: TableDefinition<Id, i64> = TableDefinition::new("revoked");

/// key → (its account, SHA-256 of the key), of those in [`REVOKED`]. Trimmed with it, and so is the key's row.
pub(super) const GONE: TableDefinition<Id, (Id, &[u8; 32])> = TableDefinition::new("gone_keys");

/// channel name → [`ChannelRow`](super::ChannelRow). The relay routes by name, so a name has one account.
pub(super) const CHANNELS: TableDefinition<&str, &[u8]> = TableDefinition::new("channels");

/// (account, channel name) → nothing.
pub(super) const CHANNELS_OF: TableDefinition<(Id, &str), ()> = TableDefinition::new("channels_of");

/// (channel name, account) → since when: other accounts that a member of the channel has let in.
pub(super) const ADMITTED: TableDefinition<(&str, Id), i64> = TableDefinition::new("admitted");

/// invite → [`InviteRow`](super::InviteRow).
pub(super) const INVITES: TableDefinition<Id, &[u8]> = TableDefinition::new("invites");

/// (channel name, when it was made, invite) → nothing.
pub(super) const INVITES_OF: TableDefinition<(&str, i64, Id), ()> = TableDefinition::new("invites_of");

/// request → [`JoinRow`](super::JoinRow).
pub(super) const JOINS: TableDefinition<Id, &[u8]> = TableDefinition::new("joins");

/// request → the key package, bytes. Removed with its request.
pub(super) const PACKAGES: TableDefinition<Id, &[u8]> = TableDefinition::new("packages");

/// request → the Welcome, bytes. Removed with its request.
pub(super) const WELCOMES: TableDefinition<Id, &[u8]> = TableDefinition::new("welcomes");

/// account → what its answers that are kept take up, in bytes. Written with every answer and with the removal of one.
pub(super) const ANSWERS: TableDefinition<Id, u64> = TableDefinition::new("answers");

/// (channel name, when it came, request) → nothing: requests without an answer.
pub(super) const PENDING: TableDefinition<(&str, i64, Id), ()> = TableDefinition::new("pending");

/// (invite, SHA-256 of the key package) → request. What makes a repeated join the same join.
pub(super) const JOINED_WITH: TableDefinition<(Id, &[u8; 32]), Id> = TableDefinition::new("joined_with");

/// (when it ends, what: 0 an invite, 1 a request; its id) → nothing. Read by the trims, oldest first.
pub(super) const ENDS: TableDefinition<(i64, u8, Id), ()> = TableDefinition::new("ends");

/// (account, month like `2026-11`) → how often a key was exchanged for a token. Messages are counted with the log.
pub(super) const EXCHANGES: TableDefinition<(Id, &str), u64> = TableDefinition::new("exchanges");

/// (what: 0 an account's channels, 1 a channel's invites, 2 its requests without an answer; the account or the channel's name) → how
/// many there are. Counted when it is first asked for, and written with each of them from then on.
pub(super) const COUNTS: TableDefinition<(u8, &[u8]), u64> = TableDefinition::new("counts");

/// name → number: `schema`, the version of this layout.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("accounts_meta");

/// The version of this layout. A file with a larger one is refused, not guessed at.
pub(super) const SCHEMA: u64 = 1;

/// Makes what is missing, so that readers find every table. Answers with the version of a later
/// layout, which is left as it is.
pub(super) fn make(transaction: &WriteTransaction) -> Result<Option<u64>, StoreError> {
    let mut meta = transaction.open_table(META)?;
    let found = meta.get("schema")?.map_or(SCHEMA, |row| row.value());
    if found > SCHEMA {
        return Ok(Some(found));
    }
    meta.insert("schema", SCHEMA)?;
    transaction.open_table(ACCOUNTS)?;
    transaction.open_table(EMAILS)?;
    transaction.open_table(ROLES)?;
    transaction.open_table(GONE)?;
    transaction.open_table(ANSWERS)?;
    transaction.open_table(KEYS)?;
    transaction.open_table(KEYS_OF)?;
    transaction.open_table(REVOKED)?;
    transaction.open_table(CHANNELS)?;
    transaction.open_table(CHANNELS_OF)?;
    transaction.open_table(ADMITTED)?;
    transaction.open_table(INVITES)?;
    transaction.open_table(INVITES_OF)?;
    transaction.open_table(JOINS)?;
    transaction.open_table(PACKAGES)?;
    transaction.open_table(WELCOMES)?;
    transaction.open_table(PENDING)?;
    transaction.open_table(JOINED_WITH)?;
    transaction.open_table(ENDS)?;
    transaction.open_table(EXCHANGES)?;
    transaction.open_table(COUNTS)?;
    Ok(None)
}
