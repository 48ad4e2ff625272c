//! Every table of `state.redb`.
//!
//! Values are versioned records (see [`crate::record`]) unless a line says otherwise. The journal writes
//! all of them; "written by" names the change that does.

use redb::TableDefinition;

/// seq → [`crate::record::MessageRow`]. Both directions, never changed once written. Written by `Receive`
/// and `Send`; read by history, event streams, lanes and handlers.
pub const MESSAGES: TableDefinition<u64, &[u8]> = TableDefinition::new("messages");

/// seq of a message → [`crate::record::StateRow`]: what became of it. Apart from the message, so that a
/// delivery does not write a large body again. Written by `Receive`, `Send`, `Attempted`, `Settle`.
pub const STATES: TableDefinition<u64, &[u8]> = TableDefinition::new("states");

/// seq → [`crate::record::EventRow`]: delivery states, approvals, aborted streams. Written with the change
/// that they tell of; read by the event feed.
pub const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

/// (lane, seq) → nothing: what waits to be delivered, in reading order. Written by `Send`, removed in the
/// batch that sets the final state; read by the lane's outbox.
pub const OUTBOX: TableDefinition<(&str, u64), ()> = TableDefinition::new("outbox");

/// sender key (32 bytes) ‖ message id (16 bytes) → seq of the one row of that message. Written by
/// `Receive`, which it guards.
pub const SEEN: TableDefinition<&[u8; 48], u64> = TableDefinition::new("seen");

/// direction (1 byte) ‖ message id (16 bytes) → seq. Written by `Receive` and `Send`; read where a caller
/// asks for one message. For incoming messages the first sender of an id keeps the entry.
pub const IDS: TableDefinition<&[u8; 17], u64> = TableDefinition::new("ids");

/// (thread id, seq) → nothing: the messages of a thread, both directions, oldest first.
pub const THREAD_LOG: TableDefinition<(&str, u64), ()> = TableDefinition::new("thread_log");

/// (thread id, principal) → [`crate::record::ThreadRow`]. The principal is a peer's key for what comes in
/// and a lane for what goes out, so that a stranger who uses a known id has a thread of its own.
pub const THREADS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("threads");

/// peer key → [`crate::record::PeerRow`]. Written by `Peer` when a peer has proven itself.
pub const PEERS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("peers");

/// (`approve` or `block`, `key` or `address`, value) → when it was made, in nanoseconds of Unix time.
pub const RULES: TableDefinition<(&str, &str, &str), i64> = TableDefinition::new("rules");

/// peer key → [`crate::record::ApprovalRow`]: who waits for the owner's decision.
pub const APPROVALS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("approvals");

/// consumer → [`crate::record::ConsumerRow`].
pub const CONSUMERS: TableDefinition<&str, &[u8]> = TableDefinition::new("consumers");

/// (consumer, seq) → how often that message was offered to it. Written by `Offer` before the offer,
/// removed by `Confirm`.
pub const OFFERS: TableDefinition<(&str, u64), u32> = TableDefinition::new("offers");

/// idempotency key → [`crate::record::IdempotencyRow`]. Written by `Send`, which it guards.
pub const IDEMPOTENCY: TableDefinition<&str, &[u8]> = TableDefinition::new("idempotency");

/// digest of a handshake challenge → when it was accepted, in nanoseconds of Unix time. Written by
/// `Challenge`, which it guards; trimmed after a day.
pub const CHALLENGES: TableDefinition<&[u8; 32], i64> = TableDefinition::new("challenges");

/// name → number: `schema` (the version of this layout), `next_seq`.
pub const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The version of this layout. A file with a larger one is refused, not guessed at.
pub const SCHEMA: u64 = 1;
