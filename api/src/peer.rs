//! Whom this agent knows and whom it can reach.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of `GET /v1/peers`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PeersResponse {
    /// Every agent that has connected to this one.
    pub peers: Vec<Peer>,
}

/// One agent that has connected to this one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Peer {
    /// Its key, which is its identity.
    pub public_key: String,
    /// The address that it gave.
    pub address: String,
    /// Whether it is connected now.
    pub status: PeerStatus,
    /// When it was heard last.
    pub last_seen: String,
    /// Whether it is known, other than from the agent, that the address is its own.
    #[serde(default)]
    pub verified: bool,
    /// How: `pinned`, `dns` or `dialled`; `claimed` where only the agent says so.
    #[serde(default)]
    pub verified_by: String,
    /// Whether its sessions are bound to their TLS channel, so that nobody can be in between unnoticed.
    #[serde(default)]
    pub bound: bool,
    /// The key in six words, to be compared with its owner's by another way.
    #[serde(default)]
    pub words: String,
    /// The beginning of the key in hexadecimal.
    #[serde(default)]
    pub fingerprint: String,
}

/// Whether a peer is connected now.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerStatus {
    /// It has a session with us.
    Connected,
    /// It had one.
    Seen,
}

impl PeerStatus {
    /// Returns the status as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Seen => "seen",
        }
    }
}

/// The body of `POST /v1/ping`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PingRequest {
    /// The agent to greet.
    pub address: String,
}

/// The answer of `POST /v1/ping`; it is a 200 whether the agent is there or not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PingResponse {
    /// The address that was asked for.
    pub address: String,
    /// The agent's name.
    pub agent_name: String,
    /// Its key; null, not absent, if it is unreachable.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Whether it answered.
    pub reachable: bool,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer of `GET /v1/connections`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ConnectionsResponse {
    /// The sessions that peers have opened.
    pub connections: Vec<Connection>,
}

/// One session that a peer has opened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Connection {
    /// The session.
    pub session_id: String,
    /// Who is at the other end.
    pub peer_address: String,
    /// Its key.
    pub peer_public_key: String,
    /// Since when.
    pub connected_at: String,
    /// How many messages went over it.
    pub messages_exchanged: u64,
}
