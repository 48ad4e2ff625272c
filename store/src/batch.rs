//! What is committed as one.
//!
//! A batch is a guard and changes. The guard is looked at inside the write transaction; where it fails,
//! this batch alone changes nothing and its outcome says so. Everything that must be atomic is one batch.

use toq_protocol::address::Address;
use toq_protocol::budget::Spent;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::policy::{Proof, Ruling, Subject};
use toq_protocol::time::Timestamp;

use crate::Seq;
use crate::audit::AuditRow;
use crate::record::{ApprovalRow, EventRow, MessageRow, PeerRow, PinRow, RotationRow, State, StateRow, TurnedAwayRow};

/// What must hold for a batch to take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    Always,
    /// No row has this sender and message id.
    Unseen(PeerKey, MessageId),
    /// No handshake with this challenge digest was accepted.
    FreshChallenge([u8; 32]),
    /// No request with this idempotency key was made.
    FreshKey(String),
    /// This consumer has not confirmed this message.
    Unconfirmed(String, Seq),
}

/// A session that was refused because somebody may be in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The key that was shown.
    pub key: PeerKey,
    /// Why, as a word.
    pub reason: String,
    /// The address that was claimed or dialled.
    pub address: String,
    /// Whether this key was met before. Strangers make keys for nothing, and do not push out what is known of others.
    pub is_known: bool,
    /// When.
    pub at: Timestamp,
}

/// What kind of thing strangers cause an event by. Each has room of its own, so that the loud do not push out what the owner should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sort {
    /// Somebody asks, and there was room for the question; or nobody answered it.
    Asked = 0,
    /// Somebody asks in place of another one, and how many gave way.
    Crowd = 1,
    /// Somebody came with another key than is known for its address.
    Changed = 2,
    /// Somebody may be in between.
    Alarm = 3,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
    /// Appends an incoming message.
    Receive {
        /// Who sent it.
        sender: PeerKey,
        /// What it says.
        message: Box<Message>,
        /// How it is known that the sender's address is its own.
        proof: Proof,
        /// Whether its session was bound to the TLS channel, so that nobody in between has read it.
        is_bound: bool,
    },
    /// Appends an outgoing message to a lane.
    Send {
        /// The lane: the recipient's address by its key.
        lane: String,
        /// What it says.
        message: Box<Message>,
        /// The only key that may have it, where it answers somebody: an address may be claimed by one and belong to another.
        only: Option<PeerKey>,
    },
    /// Appends an outgoing message that needs no lane, because the peer has it already: the assembled text
    /// of a stream.
    Sent {
        /// What it says.
        message: Box<Message>,
    },
    /// Appends a message of another log, with what became of it; one that is here already stays as it is.
    Restore {
        /// Its row there.
        message: Box<MessageRow>,
        /// What became of it there. Where that is not final, it is given up here: nobody knows whether the
        /// other log still tries.
        state: StateRow,
    },
    /// Remembers the answer to an idempotency key: the messages that this batch appends.
    Remember {
        /// The key.
        key: String,
        /// A digest of the request.
        fingerprint: [u8; 32],
        /// When.
        at: Timestamp,
    },
    /// Notes failed attempts; the messages stay where they are.
    Attempted {
        /// The messages.
        messages: Vec<Seq>,
        /// Why they are not delivered yet.
        reason: String,
        /// When they are tried again.
        next_attempt: Timestamp,
        /// When.
        at: Timestamp,
    },
    /// Sets the final state of messages and takes them off their lane.
    Settle {
        /// The lane.
        lane: String,
        /// The messages.
        messages: Vec<Seq>,
        /// What became of them.
        state: State,
        /// Why, where they are not delivered.
        reason: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// Appends an event.
    Event(EventRow),
    /// Appends an event that a stranger caused, in place of the oldest of its sort where there are too many.
    StrangersEvent(Sort, EventRow),
    /// Notes that a peer has proven itself.
    Peer(PeerKey, PeerRow),
    /// Forgets a peer.
    RemovePeer(PeerKey),
    /// Notes that a peer with this key has another one now.
    AddRotation(PeerKey, RotationRow),
    /// Ties a key to an address, in place of any earlier one.
    Pin(Address, PinRow),
    /// Forgets which key belongs to an address.
    Unpin(Address),
    /// Remembers a challenge of somebody who is let in.
    Challenge([u8; 32], Timestamp),
    /// Remembers a challenge of somebody who is not let in; where there are too many, the oldest go that brought about nothing.
    Knock([u8; 32], PeerKey, Timestamp),
    /// Adds a rule.
    AddRule(Subject, Ruling, Timestamp),
    /// Removes a rule.
    RemoveRule(Subject, Ruling),
    /// Adds or refreshes a pending approval.
    AddApproval(PeerKey, ApprovalRow),
    /// Removes a pending approval.
    RemoveApproval(PeerKey),
    /// Remembers who waits for a word that it may come in, in place of whoever waits longest where there are too many.
    TurnAway(PeerKey, TurnedAwayRow),
    /// Forgets that it waits.
    ForgetTurnedAway(PeerKey),
    /// Counts a session that was refused because somebody may be in between.
    Alarm(Alarm),
    /// Makes a consumer that has confirmed everything up to this place, unless it exists.
    AddConsumer(String, Seq),
    /// Has a consumer rest: its place stays, and what comes after this place is not for it.
    Rest(String, Seq),
    /// Has a consumer go on that rests: what came meanwhile counts as confirmed.
    Wake(String),
    /// Forgets a consumer.
    RemoveConsumer(String),
    /// Counts an offer of each of these to a consumer.
    Offer(String, Vec<Seq>),
    /// Takes back an offer of each of these, which was cut short by no fault of theirs.
    TakeBack(String, Vec<Seq>),
    /// Gives a message up for a consumer: confirms it, keeps it where its owner finds it, and tells of it.
    SetAside {
        /// The consumer.
        consumer: String,
        /// The message.
        message: Seq,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Opens messages again that were set aside for a consumer; their offers are counted anew.
    Retry(String, Vec<Seq>),
    /// Forgets what was set aside for a consumer.
    ForgetSetAside(String),
    /// Confirms these for a consumer.
    Confirm(String, Vec<Seq>),
    /// Confirms everything up to this place for a consumer.
    ConfirmUpTo(String, Seq),
    /// Counts what a handler spends.
    Spend {
        /// The handler.
        handler: String,
        /// For whom.
        peer: Option<PeerKey>,
        /// The day, since the epoch.
        day: u32,
        /// How much.
        spent: Spent,
    },
    /// Deletes messages that nobody needs; those that somebody does, stay.
    Forget {
        /// The messages.
        messages: Vec<Seq>,
        /// When.
        at: Timestamp,
    },
    /// Notes, once, that a row cannot be read, and tells of it.
    Unreadable {
        /// Its place.
        message: Seq,
        /// When.
        at: Timestamp,
    },
    /// Forgets by what repetitions of messages are recognised that were deleted before this time; some of them.
    ForgetSeen(Timestamp),
    /// Deletes events from before this time; some of them.
    ForgetEvents(Timestamp),
    /// Forgets idempotency keys from before this time; some of them.
    ForgetKeys(Timestamp),
    /// Forgets challenges accepted before this time; some of them.
    TrimChallenges(Timestamp),
    /// Records a decision.
    Audit(AuditRow),
    /// Records how something is now, by this name and the digest of its content, unless it was so when that was last recorded.
    AuditState(&'static str, [u8; 32], AuditRow),
    /// Deletes all but so many of the newest recorded decisions, and records that.
    TrimAudit(u64, Timestamp),
    /// Notes that handlers are shown nothing of a peer from up to this place; see [`crate::tables::META`].
    Unremember(PeerKey, Seq),
    /// Notes how far the takeover of another log has come; see [`crate::tables::META`].
    TakenOver(u64),
}

/// Changes that take effect together, if their guard holds.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What must hold.
    pub guard: Guard,
    /// What is changed, in this order.
    pub changes: Vec<Change>,
}

impl Batch {
    /// A batch without a guard.
    #[must_use]
    pub const fn new(changes: Vec<Change>) -> Self {
        Self { guard: Guard::Always, changes }
    }

    /// A batch that takes effect only if `guard` holds.
    #[must_use]
    pub const fn guarded(guard: Guard, changes: Vec<Change>) -> Self {
        Self { guard, changes }
    }

    /// Whether it writes nothing and asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.guard == Guard::Always
    }

    /// Roughly how many bytes it will write.
    #[must_use]
    pub fn weight(&self) -> usize {
        let message = |message: &Message| 256 + message.body.as_ref().map_or(0, |body| body.as_str().len());
        let weigh = |change: &Change| match change {
            Change::Receive { message: m, .. } | Change::Send { message: m, .. } | Change::Sent { message: m, .. } => message(m),
            Change::Restore { message: m, .. } => 256 + m.body_size(),
            _ => 64,
        };
        self.changes.iter().map(weigh).sum()
    }
}

/// What came of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk. The places of the messages that it appended, in order.
    Committed(Vec<Seq>),
    /// Its guard found an earlier row; nothing was changed. For a message this is its place, for an
    /// idempotency key the places of the messages that it made, with the digest of that request.
    Duplicate {
        /// The earlier messages.
        messages: Vec<Seq>,
        /// The digest of the earlier request, where the guard was an idempotency key.
        fingerprint: Option<[u8; 32]>,
    },
}
