//! The wire between channel members and the relay.
//!
//! `proto/dataplane.proto` is its text; [`wire`] is generated from it and checked in, so that nobody needs a compiler of
//! protocol buffers to build. `tests/generated.rs` makes it anew and compares.

pub mod wire;
