//! Files between agents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of `POST /v1/files`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct SendFileRequest {
    /// The one address that gets the file.
    pub to: String,
    /// Where the file is on this machine: an absolute path.
    pub path: String,
    /// The name to tell the receiver; that of the path if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The conversation; a new one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// A file that a peer has sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FileView {
    /// Its hash, which is its name here.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// The name that the sender gave it. It may be anything; do not use it as a path.
    pub name: String,
    /// The sender's address.
    pub from: String,
    /// When it came.
    pub received_at: String,
}

/// The answer of `DELETE /v1/files/{sha256}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FileRemoved {
    /// The hash of the file that is gone.
    pub sha256: String,
}

/// The answer of `GET /v1/files`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FilesResponse {
    /// The newest first.
    pub files: Vec<FileView>,
}
