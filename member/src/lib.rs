//! A member of encrypted channels that survives: its process, its relay, and its directory's other life.
//!
//! A [`Client`] is one member, with a directory and a connection; a [`Channel`] is one of its groups. What is said is on the disk
//! before it leaves, what is heard is on the disk before it is shown, and between both stands nothing but the relay's
//! log, which is read from where it was left. The rules are in [`core`](crate::core), which does no I/O; the tasks around it
//! are in `driver`.
//!
//! - [`Settings`] says where the relay and the directory are.
//! - [`mock`] is a relay inside the process, for programs' tests.
//! - [`Error`] has the texts that programs of the published SDK look for.
//!
//! What this room is not: it knows no Python, opens no socket itself, and decides nothing about MLS.

mod chance;
mod channel;
mod client;
mod core;
mod deed;
mod driver;
mod error;
mod fault;
mod home;
mod inner;
mod invites;
mod joining;
mod line;
pub mod mock;
mod pins;
mod received;
mod seat;
mod settings;
mod shelf;
#[cfg(feature = "faults")]
mod weather;

pub use channel::{Channel, Who};
pub use client::Client;
pub use error::{Error, Kind};
pub use inner::State;
pub use received::{Happening, Message};
pub use settings::{Relay, Settings};
pub use toq_channels::group::{Admission, Member, Role};
pub use toq_store::member::Standing;
