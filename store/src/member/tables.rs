//! Every table of `member.redb`.
//!
//! Channels are named by their id, the SHA-256 of their name. Values are records of [`super::record`], sealed by
//! [`super::seal`] unless a line says otherwise. All are written by [`super::MemberStore`], each by the [`super::Change`] that
//! is named.

use redb::TableDefinition;

/// (shelf, key) → what the group's core wants kept there: keys, ratchets, key packages. Written by `Keep`, removed by `Discard`.
pub(super) const SHELVES: TableDefinition<(u8, &[u8]), &[u8]> = TableDefinition::new("shelves");

/// channel → [`super::ChannelRow`]: how far its log was read, and how the next rows are numbered. Written by `Channel`.
pub(super) const CHANNELS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("channels");

/// (channel, n) → [`super::OutRow`]: what is on its way to the relay, in the order in which it was said. Written by `Queue`,
/// removed by `Unqueue` when the relay's log shows it.
pub(super) const OUTBOX: TableDefinition<(&[u8; 32], u64), &[u8]> = TableDefinition::new("outbox");

/// (channel, n) → [`super::InRow`]: messages that came and were not read yet. Written by `Arrive` in the transaction that moves
/// the cursor past them, removed by `Consume`.
pub(super) const INBOX: TableDefinition<(&[u8; 32], u64), &[u8]> = TableDefinition::new("inbox");

/// (channel, n) → [`super::HappeningRow`]: who came, who went, what is wrong with the relay. Written by `Happen`.
pub(super) const HAPPENINGS: TableDefinition<(&[u8; 32], u64), &[u8]> = TableDefinition::new("happenings");

/// (channel, id of the invite) → [`super::InviteRow`]: invites whose secret was made here. Written by `Invite`, removed by
/// `Uninvite`.
pub(super) const INVITES: TableDefinition<(&[u8; 32], &[u8; 16]), &[u8]> = TableDefinition::new("invites");

/// (channel, epoch) → [`super::WelcomeRow`]: the Welcome of a commit of ours that began this epoch, for those who were not heard of
/// yet. Written by `Welcome`, removed by `Unwelcome`.
pub(super) const WELCOMES: TableDefinition<(&[u8; 32], u64), &[u8]> = TableDefinition::new("welcomes");

/// (channel, SHA-256 of the invite) → [`super::RequestRow`]: requests of this member to be let in by an invite. Written by `Ask` before
/// anybody is asked, removed by `Unask`.
pub(super) const REQUESTS: TableDefinition<(&[u8; 32], &[u8; 32]), &[u8]> = TableDefinition::new("requests");

/// name → number: `schema` (the version of this layout), `opened` (how often the file was opened). Not sealed.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// `key` → a known text: tells a wrong key from a damaged file.
pub(super) const PROBE: TableDefinition<&str, &[u8]> = TableDefinition::new("probe");

/// The version of this layout. A file with a larger one is refused, not guessed at.
pub(super) const SCHEMA: u64 = 1;
