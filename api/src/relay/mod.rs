//! The HTTP contract between channel members and the relay's API server.
//!
//! Accounts and their keys, the registry of channels, invites, and the mailbox that carries key packages and Welcomes between
//! who joins and who owns. The server and the members use the same types, so that a field cannot be renamed on one side only.
//!
//! Published clients of this API are served as they are. A field that they send or read is never renamed; what only ours
//! send or read is optional, and its documentation says what its absence means. Unknown fields are ignored in both directions.
//!
//! Start with [`InviteToken`] (what an invite is, and what the server never learns of it), then [`RelayApi`].

mod account;
mod channel;
mod client;
mod error;
mod invite;
mod join;
mod key;
mod operator;

pub use account::{Account, AccountCreated, NewAccount, Plan, Usage, UsageLimits};
pub use channel::{Admitted, AdmittedAccount, ChannelQuery, ChannelView, Channels, NewChannel};
pub use client::{Credential, RelayApi, Target};
pub use error::{RelayApiError, RelayCode, RelayErrorBody};
pub use invite::{InviteCreated, InviteToken, InviteView, Invites, InvitesQuery, NewInvite, TokenError};
pub use join::{
    Answering, Completed, JoinRequest, JoinStatus, Joined, MAX_ANSWERING, Pending, PendingJoin, PendingQuery, Refusal, WaitQuery,
    WelcomeStatus, WelcomeSubmission,
};
pub use key::{KeyCreated, KeyView, Keys, NewKey, Token};
pub use operator::{ChannelOf, Errand, ErrandAnswer, KeyOf};

/// The longest that a call with `wait` is kept open, in seconds.
pub const MAX_WAIT: u64 = 30;

/// The largest key package that a join may carry, in bytes.
pub const MAX_KEY_PACKAGE: usize = 64 * 1024;

/// The largest Welcome, in bytes.
pub const MAX_WELCOME: usize = 4 << 20;

/// The longest text of an identity, a name or a reason, in bytes.
pub const MAX_TEXT: usize = 1024;
