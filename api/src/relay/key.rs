//! Keys of an account, and the tokens that they are exchanged for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for another key.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct NewKey {
    /// What it is for; `default` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A new key.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct KeyCreated {
    /// A UUID.
    pub id: String,
    /// The key's first 12 characters, by which its owner can tell it from others.
    pub key_prefix: String,
    /// What it is for.
    pub name: String,
    /// The key, which is shown here and nowhere else.
    pub key: String,
}

/// A key, as far as the server still knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct KeyView {
    /// A UUID.
    pub id: String,
    /// The key's first 12 characters.
    pub key_prefix: String,
    /// What it is for.
    pub name: String,
    /// When it was last used (RFC 3339, UTC; to the minute), or never.
    pub last_used_at: Option<String>,
    /// When it was made (RFC 3339, UTC).
    pub created_at: String,
}

/// The keys of an account that work.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Keys {
    /// Newest first.
    pub keys: Vec<KeyView>,
}

/// What a member shows the relay: a JSON Web Token (RFC 7519).
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Token {
    /// The token, opaque to whoever carries it.
    pub token: String,
    /// When it ends, in seconds of Unix time. Published servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}
