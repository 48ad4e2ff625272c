//! Every table of `state.redb`.
//!
//! Values are versioned records (see [`crate::record`]) unless a line says otherwise. The journal writes
//! all of them; "written by" names the change that does.

use redb::TableDefinition;

/// seq → [`crate::record::MessageRow`]. Both directions, never changed once written. Written by `Receive`
/// and `Send`; read by history, event streams, lanes and handlers.
pub const MESSAGES: TableDefinition<u64, &[u8]> = TableDefinition::new("messages");

/// seq of a message → [`crate::record::StateRow`]: what became of it. Apart from the message, so that a
/// delivery does not write a large body again; absent where there is nothing to say, which means received
/// for what came in, accepted for what is on its lane, delivered at the first attempt for what is not.
/// Written by `Attempted` and `Settle`.
pub const STATES: TableDefinition<u64, &[u8]> = TableDefinition::new("states");

/// seq → [`crate::record::EventRow`]: delivery states, approvals, aborted streams. Written with the change
/// that they tell of; read by the event feed.
pub const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

/// (lane, seq) → nothing: what waits to be delivered, in reading order. Written by `Send`, removed in the
/// batch that sets the final state; read by the lane's outbox.
pub const OUTBOX: TableDefinition<(&str, u64), ()> = TableDefinition::new("outbox");

/// message id (16 bytes) ‖ sender key (32 bytes) → seq of the one row of that message. Written by
/// `Receive`, which it guards; read where a caller asks for one incoming message by its id.
pub const SEEN: TableDefinition<&[u8; 48], u64> = TableDefinition::new("seen");

/// message id → seq of an outgoing message. Written by `Send`; read where a caller asks for one message.
pub const SENT: TableDefinition<&[u8; 16], u64> = TableDefinition::new("sent");

/// (thread id, seq) → nothing: the messages of a thread, both directions, oldest first. A stranger who uses
/// a known id appears here too; every row says who sent it.
pub const THREAD_LOG: TableDefinition<(&str, u64), ()> = TableDefinition::new("thread_log");

/// peer key → [`crate::record::PeerRow`]. Written by `Peer` when a peer has proven itself.
pub const PEERS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("peers");

/// address by [`Address::pin_key`](toq_protocol::address::Address::pin_key) → [`crate::record::PinRow`]: the key that was met there.
/// Written by `Pin`, removed by `Unpin`; read whenever that address is dialled or claimed.
pub const PINS: TableDefinition<&str, &[u8]> = TableDefinition::new("pins");

/// (`approve` or `block`, `key` or `address`, value) → when it was made, in nanoseconds of Unix time.
pub const RULES: TableDefinition<(&str, &str, &str), i64> = TableDefinition::new("rules");

/// peer key → [`crate::record::ApprovalRow`]: who waits for the owner's decision.
pub const APPROVALS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("approvals");

/// peer key → [`crate::record::TurnedAwayRow`]: who waits for a word that it may come in, because it was told no or because nobody could
/// tell it yes; only those that hear of decisions. Written by `TurnAway`, which keeps a bounded number; removed by `ForgetTurnedAway`.
pub const TURNED_AWAY: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("turned_away");

/// (peer key, reason) → [`crate::record::AlarmRow`]: sessions that were refused because somebody may be in between. Written by `Alarm`,
/// which keeps a bounded number.
pub const ALARMS: TableDefinition<(&[u8; 32], &str), &[u8]> = TableDefinition::new("alarms");

/// consumer → [`crate::record::ConsumerRow`].
pub const CONSUMERS: TableDefinition<&str, &[u8]> = TableDefinition::new("consumers");

/// (consumer, seq) → how often that message was offered to it. Written by `Offer` before the offer,
/// removed by `Confirm`.
pub const OFFERS: TableDefinition<(&str, u64), u32> = TableDefinition::new("offers");

/// (consumer, seq) → [`crate::record::SetAsideRow`]: messages that were offered too often and given up, for
/// their owner to look at. Written by `SetAside`, removed by `Retry`, `ForgetSetAside`, and by `Forget` with the message. Rows that cannot be
/// read are noted here too, once, as set aside for [`UNREADABLE`].
pub const SET_ASIDE: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("set_aside");

/// For whom rows are set aside that nobody can read. No consumer can have this name.
pub const UNREADABLE: &str = "log:unreadable";

/// idempotency key → [`crate::record::IdempotencyRow`]. Written by `Send`, which it guards.
pub const IDEMPOTENCY: TableDefinition<&str, &[u8]> = TableDefinition::new("idempotency");

/// digest of a handshake challenge → when it was accepted, in nanoseconds of Unix time. Written by
/// `Challenge` and `Knock`, which it guards; trimmed after a day, or when too many knock.
pub const CHALLENGES: TableDefinition<&[u8; 32], i64> = TableDefinition::new("challenges");

/// (when a message was deleted, its seq) → its key in `seen`, which is removed when no repetition can come any more. Written
/// by `Forget`, removed by `ForgetSeen`.
pub const FORGOTTEN: TableDefinition<(i64, u64), &[u8; 48]> = TableDefinition::new("forgotten");

/// (when an idempotency key was remembered, the key) → nothing: by age, so that forgetting looks at what is old alone. Written by
/// `Remember`, removed by `ForgetKeys`.
pub const KEY_AGES: TableDefinition<(i64, &str), ()> = TableDefinition::new("key_ages");

/// (when a challenge was accepted, its digest) → nothing: by age, in the same way. Written by `Challenge`, removed by `TrimChallenges`.
pub const CHALLENGE_AGES: TableDefinition<(i64, &[u8; 32]), ()> = TableDefinition::new("challenge_ages");

/// (when an agent that is not let in has proven its key, the digest of its challenge) → its key. Written by `Knock` beside `challenges` and
/// `challenge_ages`; `Knock` keeps a bounded number, and `TrimChallenges` removes what is old.
pub const KNOCKS: TableDefinition<(i64, &[u8; 32]), &[u8; 32]> = TableDefinition::new("knocks");

/// (sort, seq) → nothing: the events that strangers cause, of which `StrangersEvent` keeps a bounded number of each
/// [`crate::batch::Sort`]. Where an event went for its age, its place here goes when its turn comes.
pub const STRANGERS_EVENTS: TableDefinition<(u8, u64), ()> = TableDefinition::new("strangers_events");

/// (handler, day, whose: 0 for everybody, 1 for senders without a key, 2 and the peer's key) → (runs, tokens): what a handler has
/// spent on a day, counted since the epoch. Written by `Spend`, which forgets earlier days. The runs of an hour are counted in the same
/// way under `hour:` and the handler's name, with the hour for the day.
pub const SPENDING: TableDefinition<(&str, u32, &[u8; 33]), (u64, u64)> = TableDefinition::new("spending");

/// key of a peer that has another one now → [`crate::record::RotationRow`]. Written by `AddRotation`; read at the start.
pub const ROTATIONS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("rotations");

/// place, from 1 on → the record's hash (32 bytes) and [`crate::audit::AuditRow`]: what was decided. Written by `Audit` and
/// `AuditState`, the oldest deleted by `TrimAudit` and when there are too many.
pub const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");

/// name → bytes: `head` and `base` (place and hash of the last record and of the last deleted one), `state:` and a name (the
/// digest of how something was when that was last recorded).
pub const AUDIT_NOTES: TableDefinition<&str, &[u8]> = TableDefinition::new("audit_notes");

/// name → number: `schema` (the version of this layout), `taken_over` (how far the takeover of a published
/// workspace's files has come, in a measure of whoever carries it out; absent where none was begun; written by
/// `TakenOver`), and `unremembered:` and a peer's key (the place up to which handlers are shown nothing of that peer; written by
/// `Unremember`). The next place in the log is not here: it is one
/// more than the last key of `messages` and `events`.
pub const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The version of this layout. A file with a larger one is refused, not guessed at.
pub const SCHEMA: u64 = 1;
