//! Stream chunks as they come, for those who watch.
//!
//! Chunks are not stored one by one, so they are the one thing that a slow watcher can miss: it is told of
//! the gap and reads the whole message later.

use toq_protocol::canonical::Json;
use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;
use toq_protocol::time::Timestamp;

/// How many chunks a watcher may be behind before it misses some.
pub const BEHIND: usize = 1024;

/// One chunk that came in.
#[derive(Clone, Debug)]
pub struct LiveChunk {
    /// The chunk's own id.
    pub id: MessageId,
    /// Who sent it.
    pub from: String,
    /// The sender's key.
    pub peer: PeerKey,
    /// The stream's thread.
    pub thread_id: Option<String>,
    /// Stream id and data.
    pub body: Option<Json>,
    /// When it came.
    pub timestamp: Timestamp,
}
