//! What can be changed in a member's store.

use redb::WriteTransaction;
use zeroize::Zeroizing;

use super::record::{ChannelRow, HappeningRow, InRow, InviteRow, OutRow, RequestRow, WelcomeRow};
use super::seal::Seal;
use super::tables::{CHANNELS, HAPPENINGS, INBOX, INVITES, OUTBOX, REQUESTS, SHELVES, WELCOMES};
use crate::error::StoreError;
use crate::record::Record as _;

/// A channel's id.
pub(super) type Id = [u8; 32];

/// One change. Those of one commit take effect together and in their order.
#[derive(Debug)]
pub enum Change {
    /// Put bytes on a shelf.
    Keep {
        /// Which shelf.
        shelf: u8,
        /// Where on it.
        key: Vec<u8>,
        /// The bytes; sealed before they are written.
        value: Zeroizing<Vec<u8>>,
    },
    /// Take bytes from a shelf.
    Discard {
        /// Which shelf.
        shelf: u8,
        /// Where on it.
        key: Vec<u8>,
    },
    /// Write a channel's row.
    Channel(Id, ChannelRow),
    /// Queue something for the relay, or write it again.
    Queue(Id, u64, OutRow),
    /// The relay's log shows it, or it is given up.
    Unqueue(Id, u64),
    /// A message came.
    Arrive(Id, u64, InRow),
    /// Everything up to this number was read.
    Consume(Id, u64),
    /// Something happened.
    Happen(Id, u64, HappeningRow),
    /// Happenings up to this number are of no interest any more.
    Forget(Id, u64),
    /// An invite was made.
    Invite(Id, [u8; 16], InviteRow),
    /// An invite is over.
    Uninvite(Id, [u8; 16]),
    /// This member asks to be let in by the invite of this hash.
    Ask(Id, [u8; 32], RequestRow),
    /// It does not any more.
    Unask(Id, [u8; 32]),
    /// A commit of ours, which began this epoch, let somebody in.
    Welcome(Id, u64, WelcomeRow),
    /// Everybody whom it let in has the Welcome, or is out.
    Unwelcome(Id, u64),
}

/// The name of a row's place, which is authenticated with its value.
pub(super) fn place(table: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut place = table.as_bytes().to_vec();
    for part in parts {
        place.push(0);
        place.extend_from_slice(part);
    }
    place
}

pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(SHELVES)?;
    transaction.open_table(CHANNELS)?;
    transaction.open_table(OUTBOX)?;
    transaction.open_table(INBOX)?;
    transaction.open_table(HAPPENINGS)?;
    transaction.open_table(INVITES)?;
    transaction.open_table(WELCOMES)?;
    transaction.open_table(REQUESTS)?;
    Ok(())
}

pub(super) fn apply(transaction: &WriteTransaction, seal: &Seal, changes: &[Change]) -> Result<(), StoreError> {
    for change in changes {
        write(transaction, seal, change)?;
    }
    Ok(())
}

fn write(transaction: &WriteTransaction, seal: &Seal, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Keep { shelf, key, value } => {
            let sealed = seal.seal(&place("shelves", &[&[*shelf], key]), value);
            transaction.open_table(SHELVES)?.insert((*shelf, key.as_slice()), sealed.as_slice())?;
        }
        Change::Discard { shelf, key } => {
            transaction.open_table(SHELVES)?.remove((*shelf, key.as_slice()))?;
        }
        Change::Channel(id, row) => {
            let sealed = seal.seal(&place("channels", &[id]), &row.to_bytes());
            transaction.open_table(CHANNELS)?.insert(id, sealed.as_slice())?;
        }
        Change::Queue(id, n, row) => {
            let bytes = Zeroizing::new(row.to_bytes());
            let sealed = seal.seal(&numbered("outbox", id, *n), &bytes);
            transaction.open_table(OUTBOX)?.insert((id, *n), sealed.as_slice())?;
        }
        Change::Unqueue(id, n) => {
            transaction.open_table(OUTBOX)?.remove((id, *n))?;
        }
        Change::Arrive(id, n, row) => {
            let bytes = Zeroizing::new(row.to_bytes());
            let sealed = seal.seal(&numbered("inbox", id, *n), &bytes);
            transaction.open_table(INBOX)?.insert((id, *n), sealed.as_slice())?;
        }
        Change::Consume(id, n) => {
            transaction.open_table(INBOX)?.retain_in((id, 0)..=(id, *n), |_, _| false)?;
        }
        Change::Happen(id, n, row) => {
            let sealed = seal.seal(&numbered("happenings", id, *n), &row.to_bytes());
            transaction.open_table(HAPPENINGS)?.insert((id, *n), sealed.as_slice())?;
        }
        Change::Forget(id, n) => {
            transaction.open_table(HAPPENINGS)?.retain_in((id, 0)..=(id, *n), |_, _| false)?;
        }
        Change::Invite(id, invite, row) => {
            let bytes = Zeroizing::new(row.to_bytes());
            let sealed = seal.seal(&place("invites", &[id, invite]), &bytes);
            transaction.open_table(INVITES)?.insert((id, invite), sealed.as_slice())?;
        }
        Change::Uninvite(id, invite) => {
            transaction.open_table(INVITES)?.remove((id, invite))?;
        }
        Change::Ask(id, invite, row) => {
            let sealed = seal.seal(&place("requests", &[id, invite]), &row.to_bytes());
            transaction.open_table(REQUESTS)?.insert((id, invite), sealed.as_slice())?;
        }
        Change::Unask(id, invite) => {
            transaction.open_table(REQUESTS)?.remove((id, invite))?;
        }
        Change::Welcome(id, epoch, row) => {
            let sealed = seal.seal(&numbered("welcomes", id, *epoch), &row.to_bytes());
            transaction.open_table(WELCOMES)?.insert((id, *epoch), sealed.as_slice())?;
        }
        Change::Unwelcome(id, epoch) => {
            transaction.open_table(WELCOMES)?.remove((id, *epoch))?;
        }
    }
    Ok(())
}

pub(super) fn numbered(table: &str, id: &Id, n: u64) -> Vec<u8> {
    place(table, &[id, &n.to_be_bytes()])
}
