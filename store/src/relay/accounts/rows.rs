//! The values of the relay's tables.

use minicbor::{Decode, Encode};
use toq_protocol::time::Timestamp;

use super::Id;
use crate::record::Record;

/// Whose rows. There is no way to make one but opening an account or presenting a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub Id);

/// How much an account may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum PlanTier {
    /// The smallest.
    #[default]
    #[n(0)]
    Free,
    /// For who builds something.
    #[n(1)]
    Dev,
    /// For several.
    #[n(2)]
    Team,
    /// For many.
    #[n(3)]
    Pro,
    /// Without a limit.
    #[n(4)]
    Enterprise,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct AccountRow {
    /// Its owner's e-mail address.
    #[n(0)]
    pub email: String,
    /// What it is called.
    #[n(1)]
    pub name: String,
    /// How much it may use.
    #[n(2)]
    pub plan: PlanTier,
    /// When it was opened.
    #[n(3)]
    pub created_at: i64,
}

/// A key, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct KeyRow {
    /// Its id.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: Id,
    /// Whose it is.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub account: Id,
    /// Its first characters.
    #[n(2)]
    pub prefix: String,
    /// What it is for.
    #[n(3)]
    pub name: String,
    /// When it was made.
    #[n(4)]
    pub created_at: i64,
    /// When it was last used, to the minute.
    #[n(5)]
    pub last_used_at: Option<i64>,
    /// When it was revoked.
    #[n(6)]
    pub revoked_at: Option<i64>,
}

/// A registered channel.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct ChannelRow {
    /// Its id.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: Id,
    /// Whose it is.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub account: Id,
    /// Whether joins that are not bound to an invite are taken.
    #[n(2)]
    pub unbound_joins: bool,
    /// When it was registered.
    #[n(3)]
    pub created_at: i64,
}

/// An invite, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct InviteRow {
    /// Whose it is.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub account: Id,
    /// The channel's name.
    #[n(1)]
    pub channel: String,
    /// SHA-256 of the proof that a holder shows.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub verifier: [u8; 32],
    /// How often it can be used.
    #[n(3)]
    pub max_uses: u32,
    /// How often it was.
    #[n(4)]
    pub uses: u32,
    /// When it was made.
    #[n(5)]
    pub created_at: i64,
    /// When it ends.
    #[n(6)]
    pub expires_at: i64,
}

impl InviteRow {
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at <= now.as_nanos()
    }
}

/// A request to join. Its key package and its Welcome stand in tables of their own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct JoinRow {
    /// Whose channel it is.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub owner: Id,
    /// Who asks.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub joiner: Id,
    /// The channel's name.
    #[n(2)]
    pub channel: String,
    /// The invite.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub invite: Id,
    /// What the joiner calls itself.
    #[n(4)]
    pub identity: String,
    /// SHA-256 of the key package.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub package_hash: [u8; 32],
    /// What binds the key package to the invite, as it came.
    #[n(6)]
    pub binding: Option<String>,
    /// When it came.
    #[n(7)]
    pub created_at: i64,
    /// When it ends.
    #[n(8)]
    pub expires_at: i64,
    /// When it was answered.
    #[n(9)]
    pub answered_at: Option<i64>,
    /// Why it was refused, where it was.
    #[n(10)]
    pub refused: Option<String>,
    /// When a member began to answer it: from then on it cannot be withdrawn.
    #[n(11)]
    pub taken_up_at: Option<i64>,
}

impl Record for AccountRow {
    const TABLE: &'static str = "accounts";
}

impl Record for KeyRow {
    const TABLE: &'static str = "keys";
}

impl Record for ChannelRow {
    const TABLE: &'static str = "channels";
}

impl Record for InviteRow {
    const TABLE: &'static str = "invites";
}

impl Record for JoinRow {
    const TABLE: &'static str = "joins";
}
