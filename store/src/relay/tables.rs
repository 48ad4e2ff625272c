//! The tables of a relay's log in `relay.redb`. All of them are written by [`RelayLog`](super::RelayLog).

use redb::TableDefinition;

/// What is known of one channel: its number, the oldest place that is kept, the last place that was given, and the bytes of what
/// is kept. The oldest is one more than the last where nothing is kept.
pub type ChannelRow = (u64, u64, u64, u64);

/// channel name → [`ChannelRow`]. Written with every append and every trim. Rows are never removed: a place in a log is never
/// given twice.
pub const CHANNELS: TableDefinition<&str, ChannelRow> = TableDefinition::new("relay_channels");

/// (account, number of a channel) → nothing: whose publication began that channel's log. Counted where an account begins another.
pub const BEGUN: TableDefinition<(&str, u64), ()> = TableDefinition::new("relay_begun");

/// account → how many rows it has in [`BEGUN`]. Counted when it is first asked for, and written with each of them from then on.
pub const BEGUN_COUNTS: TableDefinition<&str, u64> = TableDefinition::new("relay_begun_counts");

/// (number of a channel, place) → [`Row`](super::Row): what was published, in order and without a gap. Never changed; removed
/// from the front.
pub const ROWS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("relay_rows");

/// (number of a channel, its sender's tag) → place: what makes sending again harmless. Removed with its row.
pub const TAGS: TableDefinition<(u64, &[u8; 16]), u64> = TableDefinition::new("relay_tags");

/// (number of a channel, place) → epoch: the commits among the rows. Read for those who join. Removed with its row.
pub const COMMITS: TableDefinition<(u64, u64), u64> = TableDefinition::new("relay_commits");

/// (number of a channel, epoch, place) → nothing: the same by their epochs. Read to tell whether an epoch is taken.
pub const EPOCHS: TableDefinition<(u64, u64, u64), ()> = TableDefinition::new("relay_epochs");

/// (account, year × 100 + month) → (messages, bytes) that it published then.
pub const USE: TableDefinition<(&str, u32), (u64, u64)> = TableDefinition::new("relay_use");

/// account → its number, from 1. Given when it publishes for the first time; rows say it.
pub const PAYERS: TableDefinition<&str, u64> = TableDefinition::new("relay_payers");

/// (number of a channel, number of an account) → bytes of frames of that account that the channel keeps.
pub const SHARES: TableDefinition<(u64, u64), u64> = TableDefinition::new("relay_shares");

/// name → number: `schema`, the version of this layout; `channels`, how many numbers of channels were given; `payers`, how many of accounts.
pub const META: TableDefinition<&str, u64> = TableDefinition::new("relay_meta");

/// The version of this layout. A file with a larger one is refused, not guessed at.
pub const SCHEMA: u64 = 3;
