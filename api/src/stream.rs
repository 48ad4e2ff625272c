//! Sending a long answer piece by piece.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of `POST /v1/stream/start`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StreamStartRequest {
    /// The one address that gets the stream.
    pub to: String,
    /// The conversation; a new one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// The answer of `POST /v1/stream/start`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StreamStartResponse {
    /// The stream.
    pub stream_id: String,
    /// Its conversation.
    pub thread_id: String,
}

/// The body of `POST /v1/stream/chunk`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StreamChunkRequest {
    /// The stream.
    pub stream_id: String,
    /// The next piece of text.
    pub text: String,
}

/// The answer to a piece, and to the end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StreamChunkResponse {
    /// The piece, or the message that ended the stream.
    pub chunk_id: String,
}

/// The body of `POST /v1/stream/end`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StreamEndRequest {
    /// The stream.
    pub stream_id: String,
    /// A last piece of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Ends the conversation too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close_thread: bool,
}
