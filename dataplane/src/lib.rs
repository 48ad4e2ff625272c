//! The wire between channel members and the relay.
//!
//! `proto/dataplane.proto` is its text; [`wire`] is generated from it and checked in, so that nobody needs a compiler of
//! protocol buffers to build. `tests/generated.rs` makes it anew and compares. [`extension`] is what both sides need to know
//! of a frame, [`link`] the member's end of a stream.

pub mod extension;
pub mod link;
pub mod wire;

pub use extension::{Carriage, Tag};
pub use link::{Event, Incoming, Link, LinkError, Options, Refusal};
