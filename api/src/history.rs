//! Reading back: the history, and conversations.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::message::MessageEvent;

/// The query of `GET /v1/messages/history`.
#[derive(Clone, Debug, Default, Deserialize, Eq, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// How many messages at most; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// A part of the sender's address, or an address pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only messages stored at or after this RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Includes this agent's own messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outgoing: Option<bool>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The answer of `GET /v1/messages/history`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct HistoryResponse {
    /// The newest matches, oldest first.
    pub messages: Vec<MessageEvent>,
    /// Asks for the page before this one, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Places in this part of the log that cannot be read; the disk or the file is damaged there. Absent where all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<u64>,
}

/// The answer of `GET /v1/threads/{thread_id}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ThreadResponse {
    /// The conversation that was asked for.
    pub thread_id: String,
    /// Its messages, both directions, oldest first.
    pub messages: Vec<MessageEvent>,
    /// Places in this conversation that cannot be read; the disk or the file is damaged there. Absent where all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<u64>,
}

/// The answer of `GET /v1/threads`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ThreadsResponse {
    /// The conversations, latest first.
    pub threads: Vec<ThreadSummary>,
}

/// One conversation at a glance.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ThreadSummary {
    /// The conversation.
    pub thread_id: String,
    /// The other side's address.
    pub peer: String,
    /// Whether it still goes on.
    pub state: ThreadState,
    /// When its latest message was stored.
    pub last_timestamp: String,
    /// How many messages it has.
    pub messages: u64,
}

/// Whether a conversation goes on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThreadState {
    /// One side has ended it.
    Closed,
    /// It goes on.
    Open,
}
