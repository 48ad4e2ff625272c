//! The toq wire protocol without any I/O.
//!
//! Everything here is a synchronous function on plain data: bytes and times come in, values and bytes
//! go out. There is no clock, no randomness, no socket and no task in this room; whoever needs one of
//! them owns it and passes the result in. That is what makes every decoder and every state machine
//! fuzzable and replayable.
//!
//! Start reading at [`session`], the state machine of one connection; [`envelope`] is what travels on
//! it, [`canonical`] what is signed, [`address`] how agents are named. [`policy`] decides who gets in,
//! [`delivery`] when an outgoing message is tried again, [`conversation`] and [`flow`] follow threads
//! and streams. [`dns`] reads what a domain says of its agents. [`dialogue`] is what a language model is
//! shown of a thread, [`budget`] what it may cost, [`rate`] how fast peers may send.
//!
//! What this room is not: a place for records on disk (`store`), for sockets (`net`) or for the local
//! HTTP API (`api`).

pub mod address;
pub mod audit;
pub mod auto_reply;
pub mod binding;
pub mod budget;
pub mod canonical;
pub mod card;
pub mod compression;
pub mod conversation;
pub mod delivery;
pub mod dialogue;
pub mod dns;
pub mod envelope;
pub mod file;
pub mod filter;
pub mod flow;
pub mod frame;
pub mod handshake;
pub mod key;
pub mod lookalike;
pub mod message;
pub mod negotiate;
pub mod policy;
pub mod rate;
pub mod reason;
pub mod rotation;
pub mod sealed_body;
pub mod session;
pub mod time;

pub use address::{Address, AddressError, AgentName};
pub use canonical::Json;
pub use card::Card;
pub use envelope::{Envelope, Kind};
pub use filter::Filter;
pub use key::{Identity, PeerKey, Signature};
pub use message::{Message, MessageId};
pub use reason::Reason;
pub use time::Timestamp;
