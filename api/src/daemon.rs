//! The daemon about itself: status, card, configuration, log, checks, and its living actors.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The answer of `GET /v1/status`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StatusResponse {
    /// `running`, or `draining` on the way out.
    pub status: String,
    /// This agent's address.
    pub address: String,
    /// Who may connect.
    pub connection_mode: String,
    /// Sessions that peers have opened.
    pub active_connections: u64,
    /// Messages received since the start.
    pub messages_in: u64,
    /// Messages delivered since the start.
    pub messages_out: u64,
    /// Errors since the start that somebody should look at.
    pub error_count: u64,
    /// Whether the daemon makes callers wait at the moment.
    pub backpressure_active: bool,
    /// The daemon's version.
    pub version: String,
    /// This agent's key.
    pub public_key: String,
    /// How local callers prove that they may.
    #[serde(default)]
    pub access: Access,
    /// How many actors live.
    #[serde(default)]
    pub actors: u64,
    /// How many actors have panicked since the start.
    #[serde(default)]
    pub panics: u64,
    /// How many messages wait for delivery.
    #[serde(default)]
    pub outbox: u64,
    /// How many handlers are switched on.
    #[serde(default)]
    pub handlers: u64,
    /// How many of them cannot work.
    #[serde(default)]
    pub handlers_broken: u64,
    /// How long the daemon has been running.
    #[serde(default)]
    pub uptime_seconds: u64,
    /// Whether the log takes writes.
    #[serde(default)]
    pub store: StoreHealth,
}

/// How local callers prove that they may use the API.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// By being the same user of the operating system.
    #[default]
    SameUser,
    /// By a bearer token.
    Token,
}

/// Whether the log takes writes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreHealth {
    /// It can neither be written nor read.
    Failed,
    /// It takes writes.
    #[default]
    Ok,
    /// It can be read; nothing new is accepted or acknowledged.
    ReadOnly,
}

impl StoreHealth {
    /// Returns the state as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Ok => "ok",
            Self::ReadOnly => "read_only",
        }
    }
}

/// One living actor and those it owns; the answer of `GET /v1/tree` is the root.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct TreeNode {
    /// Which one of its kind.
    pub name: String,
    /// What it is: `registry`, `workspace`, `connection`, …
    pub kind: String,
    /// What it says about itself.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub detail: Value,
    /// The actors that it owns.
    #[serde(default)]
    #[schema(no_recursion)]
    pub children: Vec<TreeNode>,
}

/// The answer of `GET /v1/card`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct CardResponse {
    /// The agent's name.
    pub name: String,
    /// What it says about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its key.
    pub public_key: String,
    /// The peer protocol that it speaks.
    pub protocol_version: String,
    /// What it can do beyond messages.
    pub capabilities: Vec<String>,
    /// Whether it takes files.
    pub accept_files: bool,
    /// The largest message that it takes.
    pub max_message_size: u64,
    /// The largest file that it takes, if it takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<u64>,
    /// Who may connect.
    pub connection_mode: String,
}

/// The answer of `GET` and `PATCH /v1/config`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ConfigResponse {
    /// Every key as the next start would find it, in the file below the daemon's environment and command line: the published ones
    /// flat, the others in tables, secrets redacted.
    #[schema(value_type = Object)]
    pub config: Value,
    /// The keys of which the running daemon has another value, because they take effect only with the next start or the file was
    /// changed by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_restart: Vec<String>,
    /// The values of those keys that are in force until then; null where there is none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub in_force: Map<String, Value>,
}

/// The answer of `GET /v1/diagnostics`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct DiagnosticsResponse {
    /// What was looked at.
    pub checks: Vec<Check>,
    /// How many of them failed.
    pub issues: u64,
    /// What was refused because it was meant for somebody else; absent if nothing was since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misaddressed: Option<Misaddressed>,
    /// Sessions of the last week that were refused because somebody may be in between, the latest first; absent if there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intercepted: Vec<Interception>,
}

/// Sessions with one key that were refused for one reason: somebody may be in between, or says so. Nothing of them was delivered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Interception {
    /// The key that was shown.
    pub public_key: String,
    /// The address that was claimed or dialled last.
    pub address: String,
    /// Why, as a code.
    pub reason: String,
    /// Why, in words.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How often.
    pub count: u64,
    /// When it happened first.
    pub first_seen: String,
    /// When it happened last.
    pub last_seen: String,
    /// Whether this key was met or approved before. A stranger can cause this at will.
    pub known: bool,
}

/// Messages and sessions that were refused because they were meant for an address that is not this agent's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Misaddressed {
    /// How many.
    pub count: u64,
    /// The address that was meant the last time, as a stranger may have made it up.
    pub last: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is in order.
    pub status: CheckStatus,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether a check passed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Somebody should look.
    Fail,
    /// All is well.
    Ok,
}

/// The answer of `GET /v1/upgrade/check`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct UpgradeResponse {
    /// What runs.
    pub current_version: String,
    /// Whether nothing newer is known.
    pub up_to_date: bool,
    /// What is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_version: Option<String>,
    /// Where to get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_url: Option<String>,
}

/// The body of `POST /v1/daemon/shutdown`; it may be absent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ShutdownRequest {
    /// Accepted for published clients; a shutdown always drains.
    #[serde(default)]
    pub graceful: bool,
}

/// The answer of `GET /v1/discover` and `GET /v1/discover/local`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct DiscoverResponse {
    /// The agents that were found.
    pub agents: Vec<DiscoveredAgent>,
    /// Of the local network: whether this daemon looks there at all, and is announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mdns_enabled: Option<bool>,
}

/// One agent that was found.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct DiscoveredAgent {
    /// Where it is.
    pub address: String,
    /// Its key, bare base64 as it stands in DNS.
    pub public_key: String,
}
