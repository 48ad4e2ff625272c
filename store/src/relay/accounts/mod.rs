//! Who may use a relay, and what is in the mailbox between joiners and owners.
//!
//! - [`Accounts`] knows every account and belongs to the server itself.
//! - [`Tenant`] is one account's view; it cannot name another account's rows.
//!
//! Each decision (an invite is used, an account is opened, a key is revoked) is one task of the desk: it reads, decides and writes
//! in one transaction, and nobody is answered before the flush.

mod account;
mod channels;
mod counts;
mod invites;
mod joins;
mod keys;
mod mailbox;
mod rows;
mod tables;
mod trim;
mod usage;
mod withdrawal;

pub use account::{Accounts, NewAccount, Opened, Tenant};
pub use channels::{Channel, ChannelSpec, Claimed};
pub use invites::{Invite, InviteSpec, Registered};
pub use joins::{Join, JoinEnd, JoinSpec};
pub use keys::{Key, KeySpec, Known};
pub use mailbox::{Answer, Answered, Keeping, Standing};
pub use rows::{AccountId, AccountRow, ChannelRow, InviteRow, JoinRow, KeyRow, PlanTier};
pub use trim::Trimmed;
pub use withdrawal::Withdrawn;

/// A UUID, or another name of 16 bytes.
pub type Id = [u8; 16];
