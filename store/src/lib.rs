//! The durable log of one workspace.
//!
//! One redb file holds everything that must survive: both directions' messages, what waits to be sent,
//! what was seen, rules, approvals, consumers. The log is the queue: a message exists once its row is
//! committed, and every reader (an outbox lane, an event stream, a handler) is a cursor into it.
//!
//! - [`tables`] documents each table: key, order, value, who writes, who reads.
//! - [`record`] has the versioned values, [`batch`] what can be committed as one.
//! - [`Journal`] is the one writer; it groups whatever waits into one durable transaction.
//! - [`Reader`] reads snapshots from anywhere.
//! - [`Depot`] keeps the files that come and copies of those that go.
//! - [`relay`] is what a relay of channels keeps, in a file of its own.
//!
//! What this room is not: it decides nothing about retries, order of delivery or admission, and it knows
//! neither actors nor HTTP.

pub mod audit;
pub mod batch;
mod contained;
mod depot;
mod desk;
mod error;
mod journal;
pub mod member;
pub mod open;
mod reader;
pub mod record;
pub mod relay;
mod room;
pub mod tables;
mod writer;

pub use batch::{Batch, Outcome};
pub use contained::is_contained;
pub use depot::{Depot, DepotError, Kept};
pub use error::StoreError;
pub use journal::{Health, Journal};
pub use open::{Options, Store};
pub use reader::{Entry, Expendable, HistoryPage, HistoryQuery, OnLane, Reader, Stretch, ThreadSummary};
pub use room::Room;
pub use writer::{MAX_ALARMS, MAX_KNOCKS, MAX_STRANGERS_EVENTS, MAX_TURNED_AWAY};

/// A row's place in the log. Messages and events share one sequence, so that one cursor orders both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
