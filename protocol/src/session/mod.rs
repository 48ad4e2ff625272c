//! One connection between two agents, as a state machine that does no I/O.
//!
//! After TLS an initiator sends four magic bytes and its credentials; [`Greeting`] reads them before the
//! receiver knows which of its agents is meant. From then on both sides run a [`Session`]:
//!
//! ```text
//! initiator: Greeting ──reply──▶ Asking ──negotiate.response──▶ Carding ──card──▶ Open ─▶ Ended
//! receiver:  (Greeting) ───────▶ Proving ──negotiate.request──▶ Judged ──admit──▶ Carding ──card──▶ Open ─▶ Ended
//! ```
//!
//! What a security reviewer should argue with:
//!
//! - A handshake proves only that somebody once held the key (see [`crate::handshake`]). Nothing is
//!   granted for it. [`Effect::Authenticated`] is emitted only when an envelope that is signed by that
//!   key, written within ten minutes, from the claimed address and addressed to *this* agent arrives; the
//!   caller must also refuse a challenge that it has seen before, which ends replays to the same agent.
//!   The address check ends replays to another.
//! - The channel is compared where both sides can (see [`crate::binding`]). A peer that has bound a session
//!   before must do so again; the caller knows and says so with [`Expected`] and [`Admission::Unbound`].
//! - Every later envelope must be from the address of the handshake, addressed to this agent, timely and
//!   with a larger sequence number than the one before.
//! - Nothing unsolicited goes to a published peer on a connection that it opened: such a peer takes the
//!   first envelope that it reads for its acknowledgement. A message is refused to it by silence and
//!   close.

mod decision;
mod effect;
mod greeting;
mod local;
mod open;
mod outgoing;
mod steps;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::binding::{self, Exporter, Party, Side};
use crate::frame::Decoder;
use crate::handshake::Credentials;
use crate::message::MessageId;
use crate::negotiate::Extensions;
use crate::time::Now;

pub use decision::Decision;
pub use effect::{ANOTHER_KEY, Admission, Effect, End};
pub use greeting::{Greeted, Greeting};
pub use local::{Deadlines, Entropy, Expected, Local, LocalEnd, Locality};
pub use outgoing::{Outgoing, TooLarge};

/// Which stage a session is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Initiator: waits for the receiver's credentials.
    Greeting,
    /// Initiator: waits for the receiver's choice.
    Asking,
    /// Receiver: waits for a fresh signed envelope.
    Proving,
    /// Receiver: waits for the verdict.
    Judged,
    /// Both: wait for the peer's card.
    Carding,
    /// Both: messages flow.
    Open,
    /// It is over.
    Ended,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Phase::Greeting => "the handshake",
            Phase::Asking | Phase::Proving | Phase::Judged => "negotiation",
            Phase::Carding => "the exchange of cards",
            Phase::Open => "the session",
            Phase::Ended => "the end",
        }
    }
}

/// One connection's state.
pub struct Session {
    local: Arc<Local>,
    locality: Locality,
    decoder: Decoder,
    phase: Phase,
    is_initiator: bool,
    exporter: Exporter,
    challenge: [u8; 32],
    expected: Expected,
    /// What is told in place of a session.
    decision: Option<Decision>,
    is_bound: bool,
    peer: Option<Credentials>,
    /// What both sides can do beyond the published protocol.
    extensions: Extensions,
    /// Whether the peer takes streams.
    streams: bool,
    next_sequence: u64,
    last_sequence: Option<u64>,
    next_id: u128,
    /// The last address that the peer meant and that is not ours.
    elsewhere: Option<Address>,
    /// Sent and not yet answered, in order of their sequence numbers.
    unacked: VecDeque<(u64, MessageId)>,
    deadline: Duration,
    last_heard: Duration,
    heartbeat_sent: bool,
}

impl Session {
    /// Starts a session that we dialled. The bytes to write first are returned with it.
    #[must_use]
    pub fn dial(
        local: Arc<Local>,
        target: &Address,
        expected: Expected,
        exporter: Exporter,
        entropy: Entropy,
        now: Now,
    ) -> (Self, Vec<u8>) {
        let hello = crate::handshake::hello(local.showing(&entropy.challenge), target.agent().as_str());
        let deadline = now.monotonic + local.deadlines.handshake;
        let mut session = Self::new(local, exporter, entropy, deadline, now);
        session.is_initiator = true;
        session.expected = expected;
        session.phase = Phase::Greeting;
        let mut first = crate::handshake::MAGIC.to_vec();
        first.extend(crate::frame::encode(&hello).expect("a greeting is far below the limit"));
        (session, first)
    }

    /// Starts a session that we accepted, for the agent that the greeting asked for. The bytes to write
    /// first are returned with it.
    #[must_use]
    pub fn accept(local: Arc<Local>, greeted: Greeted, end: LocalEnd<'_>, entropy: Entropy, now: Now) -> (Self, Vec<u8>) {
        let session_id = format!("sess-{}", MessageId::from_random(entropy.ids));
        let reply = crate::handshake::reply(local.showing(&entropy.challenge), &session_id);
        let deadline = now.monotonic + local.deadlines.negotiation;
        let mut session = Self::new(local, end.exporter, entropy, deadline, now);
        session.locality = session.locality.with_host(end.host);
        session.decoder = greeted.rest;
        session.peer = Some(greeted.credentials);
        session.phase = Phase::Proving;
        let first = crate::frame::encode(&reply).expect("a greeting is far below the limit");
        (session, first)
    }

    fn new(local: Arc<Local>, exporter: Exporter, entropy: Entropy, deadline: Duration, now: Now) -> Self {
        Self {
            locality: local.locality.clone(),
            local,
            decoder: Decoder::new(),
            phase: Phase::Proving,
            is_initiator: false,
            exporter,
            challenge: entropy.challenge,
            expected: Expected::default(),
            decision: None,
            is_bound: false,
            peer: None,
            extensions: Extensions::default(),
            streams: true,
            next_sequence: 0,
            last_sequence: None,
            next_id: u128::from_be_bytes(entropy.ids),
            elsewhere: None,
            unacked: VecDeque::new(),
            deadline,
            last_heard: now.monotonic,
            heartbeat_sent: false,
        }
    }

    /// The peer as the handshake showed it; `None` before it did.
    #[must_use]
    pub const fn peer(&self) -> Option<&Credentials> {
        self.peer.as_ref()
    }

    /// The last address that the peer meant and that is not ours; `None` where it meant us.
    #[must_use]
    pub const fn elsewhere(&self) -> Option<&Address> {
        self.elsewhere.as_ref()
    }

    /// True where one of these addresses means this agent. Otherwise the first of them is remembered.
    fn is_meant(&mut self, to: &[Address]) -> bool {
        let is_meant = to.iter().any(|to| self.locality.includes(to));
        if !is_meant {
            self.elsewhere = to.first().cloned();
        }
        is_meant
    }

    /// True where the peer has proven that it sees the same TLS channel.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.is_bound
    }

    /// The digest of the channel that `side` sends; `None` before the handshake.
    fn binding(&self, side: Side) -> Option<String> {
        let peer = self.peer.as_ref()?;
        let key = self.local.identity.public();
        let us = Party { key: &key, challenge: &self.challenge, address: &self.local.address };
        let them = Party { key: &peer.key, challenge: &peer.challenge, address: &peer.address };
        let (initiator, receiver) = if self.is_initiator { (us, them) } else { (them, us) };
        Some(binding::digest(&self.exporter, side, initiator, receiver))
    }

    /// True once messages may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// True where one acknowledgement may answer many messages.
    #[must_use]
    pub const fn has_cumulative_acks(&self) -> bool {
        self.extensions.cumulative_ack
    }

    /// True where the peer takes streams; one that does not gets what they would have carried as a message.
    #[must_use]
    pub const fn has_streams(&self) -> bool {
        self.streams
    }

    /// True where both sides know how files are sent.
    #[must_use]
    pub const fn has_files(&self) -> bool {
        self.extensions.files && self.extensions.cumulative_ack
    }

    /// True where the peer hears what is decided about it.
    #[must_use]
    pub const fn hears_decisions(&self) -> bool {
        self.extensions.decisions
    }

    /// How many messages wait for the peer's acknowledgement.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.unacked.len()
    }

    /// When [`Session::tick`] wants to be called next, on the monotonic clock.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }
}
