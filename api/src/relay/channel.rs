//! The registry of channels.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Registers a channel. Registering it again is no error and changes only what is said.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct NewChannel {
    /// `org/namespace/service`.
    pub name: String,
    /// Whether a join needs no proof that its key package comes from who holds the invite. Published members cannot give one.
    /// `true` for a new channel where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbound_joins: Option<bool>,
}

/// A channel of an account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ChannelView {
    /// A UUID.
    pub id: String,
    /// `org/namespace/service`.
    pub name: String,
    /// Whether joins without a proof are taken. Published servers do not say, and take them.
    #[serde(default = "yes")]
    pub unbound_joins: bool,
    /// When it was registered (RFC 3339, UTC). Published servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
}

const fn yes() -> bool {
    true
}

/// Which channel.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChannelQuery {
    /// `org/namespace/service`.
    pub channel: String,
}

/// The other accounts that were let into a channel by a Welcome.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Admitted {
    /// By id.
    pub accounts: Vec<AdmittedAccount>,
}

/// An account that may take part in another one's channel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AdmittedAccount {
    /// Its id.
    pub account: String,
    /// Since when (RFC 3339, UTC).
    pub since: String,
}

/// The channels of an account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Channels {
    /// By name.
    pub channels: Vec<ChannelView>,
}
