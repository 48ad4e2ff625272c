//! Encrypted channels, without I/O.
//!
//! A channel is a name (`org/namespace/service`) and one MLS group (RFC 9420). This room holds what a member decides by
//! itself: names, groups, envelopes, and the translation of one protocol's messages into another's. It opens no file and no
//! socket; what has to be kept comes out as rows, and somebody else commits them.

pub mod envelope;
pub mod frame;
pub mod group;
pub mod members;
pub mod name;
pub mod padding;
pub mod translate;

pub use envelope::{Envelope, EnvelopeError, Protocol};
pub use name::{ChannelName, NameError};
