//! A channel's group: MLS (RFC 9420) with the log as its queue.
//!
//! Members agree on one thing only, the order of the log; everything else follows. A commit is staged, published, and applied when
//! it is read back as the first valid one of its epoch; one that lost is dropped and made anew on the new epoch. Whatever bytes the
//! log shows, [`Group::receive`] says what became of them and never fails.
//!
//! A call that changes a secret returns [`Rows`]. They are committed before anything else that the call returned leaves the process,
//! and together with whatever is kept of a message that was read.
//!
//! An attacker here is a member: one that commits what it has no right to, that gives a leaf to somebody else, that forges messages
//! to use up others' keys, or that was removed and kept its state. And the relay: one that drops, swaps, repeats or invents blobs. And
//! a copy of a database that somebody restores.

mod agent;
mod chain;
mod error;
mod growth;
mod inbound;
mod member;
mod memory;
mod proof;
mod received;
mod roles;
mod rows;
mod rules;
mod saved;
mod screen;
mod staging;
mod stamp;
mod state;
mod store;
mod walk;
mod welcome;

pub use agent::{Agent, KeyPackage, KeyPackageKind, MAX_IDENTITY, MAX_PACKAGE, PACKAGE_LIFETIME, PackageView, view_key_package};
pub use chain::{Chain, Head, KEPT, OutOfOrder, Verdict};
pub use error::GroupError;
pub use inbound::{MAX_HANDSHAKE, MAX_MESSAGE};
pub use member::Member;
pub use memory::Memory;
pub use proof::ProofError;
pub use received::{Change, Received, Why, Wish};
pub use roles::{Admission, MAX_OWNERS, Role};
pub use rows::{Row, Rows, Shelf, ShelfError, Shelves};
pub use rules::{MAX_MEMBERS, Refusal};
pub use staging::{Intent, MAX_ATTEMPTS, Staged};
pub use state::{Group, MAX_PLAINTEXT};
pub use store::PAST_EPOCHS;
pub use welcome::{MAX_WELCOME, welcome_references};
