//! Backups and keys: what makes this agent, taken out, put back, replaced.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::rule::PermissionsResponse;

/// A text that is never printed.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The body of `POST /v1/backup/export`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ExportRequest {
    /// What the backup is closed with; not empty.
    pub passphrase: Secret,
    /// Whether the messages of the log go with it.
    #[serde(default)]
    pub messages: bool,
}

/// The answer of `POST /v1/backup/export`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ExportResponse {
    /// The backup, a text for a file.
    pub data: Secret,
}

/// The body of `POST /v1/backup/import`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ImportRequest {
    /// What the backup was closed with.
    pub passphrase: Secret,
    /// The backup.
    pub data: Secret,
    /// Asks what would change and changes nothing; the answer is an [`ImportPlan`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Takes a backup that is not encrypted, or whose key is a bare hash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_weak: bool,
    /// The public key that this agent is meant to have afterwards; any other is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// What an import changes. It takes effect with the next start.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ImportPlan {
    /// How the backup was written: `ours`, `published`, `hashed` or `plain`.
    pub form: String,
    /// What the owner should know about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The key of this agent now; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_public_key: Option<String>,
    /// The key of this agent afterwards. `confirm` takes it.
    pub new_public_key: String,
    /// Settings that become others.
    pub config: Vec<SettingChange>,
    /// Rules that come.
    pub rules_added: PermissionsResponse,
    /// Rules that go.
    pub rules_removed: PermissionsResponse,
    /// Handlers that come, switched off; those of now go.
    pub handlers: Vec<String>,
    /// How many known peers come.
    pub peers: u64,
    /// How many keys come that belong to addresses.
    #[serde(default)]
    pub pins: u64,
    /// How many keys of peers come that were followed by others.
    #[serde(default)]
    pub successions: u64,
    /// What the backup says otherwise and stays as it is here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptHere>,
    /// How many messages come.
    pub messages: u64,
    /// How many messages stay out, because the log of this workspace has some of its own.
    pub messages_left_out: u64,
}

/// Something that is known here and that a backup says otherwise. What is known here stays.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct KeptHere {
    /// `peer` (a key's address), `pin` (an address's key) or `succession` (the key that followed a key).
    pub kind: String,
    /// Whose.
    pub subject: String,
    /// What is known here.
    pub here: String,
    /// What the backup says.
    pub backup: String,
}

/// A setting that becomes another.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct SettingChange {
    /// Its key.
    pub key: String,
    /// Its value now.
    #[schema(value_type = Option<Object>)]
    pub from: Option<Value>,
    /// Its value afterwards.
    #[schema(value_type = Option<Object>)]
    pub to: Option<Value>,
}

/// The answer of `POST /v1/keys/rotate`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RotateResponse {
    /// The key that went.
    pub old_public_key: String,
    /// The key that came.
    pub new_public_key: String,
    /// The old key's signature over the new one, in the published form. Peers of our own kind get a stronger proof by
    /// themselves.
    pub rotation_proof: String,
    /// Until when that proof is shown, and the old key is good for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}
