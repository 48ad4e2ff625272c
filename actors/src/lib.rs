//! The actor tree: who owns what, who tells whom, who starts whom again.
//!
//! ```text
//! Registry                       one per process; keeps each workspace's open store
//! ├── Door         × address     accepts, TLS, greeting; finds the workspace that is meant
//! └── Workspace                  one per agent
//!     ├── Connection × peer link   a session and its socket
//!     ├── Outbox     × lane        the messages to one address
//!     ├── Thread     × conversation
//!     ├── Stream     × open stream
//!     ├── Approval   × open question
//!     └── Handler    × configured handler
//! ```
//!
//! Every protocol decision is a step of a core in `toq-protocol`; what is here feeds the cores and performs
//! what they ask for. Parents own children: a child never finds, outlives or restarts a sibling. Nothing
//! that matters lives in a mailbox; rows are read from cursors, and actors nudge each other.
//!
//! Each actor directory reads the same: `mod.rs` has the struct and what it owns, `messages.rs` its
//! vocabulary, `handlers.rs` what it does. Start at [`registry`], then [`workspace`].
//!
//! What this room is not: it knows no HTTP, no status codes, and writes no file but through the store.

pub mod approval;
pub mod connection;
pub mod describe;
pub mod door;
#[cfg(feature = "faults")]
pub mod drill;
pub mod handler;
mod hearing;
pub mod home;
pub mod live;
pub mod outbox;
pub mod registry;
pub mod stream;
pub mod thread;
pub mod workspace;

pub use actix;
pub use describe::{Describe, Description};
pub use hearing::Hearing;
pub use home::{Counters, Home, Seed};
pub use live::LiveChunk;
pub use registry::{Registry, WorkspaceRef};
pub use workspace::Workspace;
