//! Actor manners, free of any product.
//!
//! Actix gives actors, mailboxes and arbiters. What it does not give, or gives in a way that a daemon
//! cannot rely on, is here:
//!
//! - [`Lifeline`]: a parent learns of every exit, and whether it was a finish, a stop or a panic.
//!   (`actix::Supervisor` does nothing on a panic and never lets an actor finish.)
//! - [`Roster`]: a parent's living children, with generations, restart intensity and room for few.
//! - [`Credit`]: permission to have one more in flight. (A mailbox's capacity is no limit: every clone of
//!   an address may exceed it.)
//! - [`Seat`]: where actors run. [`Clock`]: what time it is there.
//! - [`ask`]: a question that is seen through even if the asker goes away. (Dropping a `send` future
//!   discards a message that is still queued.)
//! - [`Backoff`]: pauses between restarts. [`drain`]: the orderly end, told down and answered up.
//! - [`fault`]: named crash points, in builds for the checkers only.
//!
//! No name of the product's glossary belongs in this room.

mod ask;
mod backoff;
mod clock;
mod credit;
mod drain;
pub mod fault;
mod lifeline;
mod roster;
mod seat;

pub use ask::{Gone, ask};
pub use backoff::Backoff;
pub use clock::Clock;
pub use credit::{Credit, Permit};
pub use drain::{Drain, drain};
pub use lifeline::{Exited, How, Lifeline};
pub use roster::{Child, Fate, Roster};
pub use seat::{Seat, spawn};
