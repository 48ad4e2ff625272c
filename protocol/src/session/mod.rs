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
mod greeting;
mod open;
mod outgoing;
mod steps;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::address::{Address, AgentName, host_key};
use crate::binding::{self, Exporter, Party, Side};
use crate::card::{Card, CardError};
use crate::envelope::{Envelope, EnvelopeError};
use crate::frame::{Decoder, Oversized};
use crate::handshake::{Credentials, HandshakeError, Showing};
use crate::key::{Identity, PeerKey};
use crate::message::MessageId;
use crate::negotiate::Extensions;
use crate::reason::Reason;
use crate::rotation::{Notice, RotationProof};
use crate::time::Now;

pub use decision::Decision;
pub use greeting::{Greeted, Greeting};
pub use outgoing::{Outgoing, TooLarge};

/// How long each stage may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the first byte to the end of the handshake.
    pub handshake: Duration,
    /// From the handshake to the exchange of cards.
    pub negotiation: Duration,
    /// Silence after which a heartbeat is sent.
    pub heartbeat: Duration,
    /// Silence after which the peer counts as gone.
    pub silence: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            negotiation: Duration::from_secs(5),
            heartbeat: Duration::from_secs(30),
            silence: Duration::from_secs(90),
        }
    }
}

/// The names under which this agent may be addressed.
#[derive(Clone, Debug)]
pub struct Locality {
    agent: AgentName,
    hosts: HashSet<String>,
    ports: HashSet<u16>,
    checks: bool,
}

impl Locality {
    /// An agent that is reached by `agent` on any of `hosts`, where a port is written at one of `ports`.
    pub fn new<'a>(agent: AgentName, hosts: impl IntoIterator<Item = &'a str>, ports: impl IntoIterator<Item = u16>) -> Self {
        let loopback = ["localhost", "127.0.0.1", "::1"];
        let hosts = hosts.into_iter().chain(loopback).map(host_key).collect();
        Self { agent, hosts, ports: ports.into_iter().collect(), checks: true }
    }

    /// Adds the address of the local end of a connection.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        self.hosts.insert(host_key(host));
        self
    }

    /// A locality that takes every address for its own. Only builds that are broken on purpose use it, to
    /// prove that the checkers notice.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.checks = false;
        self
    }

    /// True where `address` means this agent.
    #[must_use]
    pub fn includes(&self, address: &Address) -> bool {
        if !self.checks {
            return true;
        }
        // The wire text of a domain name cannot hold a port, so there is none to compare.
        let port_fits = address.hides_port() || self.ports.contains(&address.port());
        address.agent() == &self.agent && port_fits && self.hosts.contains(&address.host_key())
    }
}

/// Who we are in a session.
#[derive(Debug)]
pub struct Local {
    /// Our key.
    pub identity: Identity,
    /// Our address as we claim it.
    pub address: Address,
    /// The names under which we may be addressed.
    pub locality: Locality,
    /// What we say of ourselves.
    pub card: Card,
    /// How long each stage may take.
    pub deadlines: Deadlines,
    /// How we came to our key, oldest first.
    pub rotations: Vec<RotationProof>,
    /// Whether only sessions that are bound to their TLS channel are accepted.
    pub requires_binding: bool,
}

impl Local {
    fn showing<'a>(&'a self, challenge: &'a [u8; 32]) -> Showing<'a> {
        Showing { identity: &self.identity, challenge, address: &self.address, rotations: &self.rotations }
    }
}

/// What is known of the peer before it is dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The key that is pinned to the address, or that its domain announces.
    pub key: Option<PeerKey>,
    /// True where that key has bound a session before.
    pub binding: bool,
}

/// Random bytes of one session.
#[derive(Clone, Copy)]
pub struct Entropy {
    /// The challenge that we sign.
    pub challenge: [u8; 32],
    /// Where the ids of our control envelopes start.
    pub ids: [u8; 16],
}

/// Our end of a connection that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct LocalEnd<'a> {
    /// Its address.
    pub host: &'a str,
    /// The exporter value of its TLS channel.
    pub exporter: Exporter,
}

/// What the receiver's owner says to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Come in.
    Accept,
    /// The owner will be asked.
    Ask,
    /// Go away, without a word.
    Refuse,
    /// Come back with a session that is bound to its channel: this key has done so before.
    Unbound,
}

/// How a session ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The peer's card is not acceptable.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The peer sent an envelope that cannot be read or verified.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// We said goodbye.
    #[error("we closed the session: {0}")]
    Left(&'static str),
    /// A stage took too long.
    #[error("the peer was silent for too long during {0}")]
    Late(&'static str),
    /// A frame is larger than its limit.
    #[error(transparent)]
    Oversized(#[from] Oversized),
    /// The peer's owner has not decided yet.
    #[error("{0}")]
    Pending(String),
    /// The peer said goodbye or closed the connection.
    #[error("the peer closed the session during {0}")]
    PeerLeft(&'static str),
    /// The peer or our policy refused.
    #[error("refused: {0}")]
    Refused(Reason),
    /// The peer at the dialled address has another key than the one that is pinned to it or that its domain announces.
    #[error(
        "another key answers than is pinned to this address or announced by its domain: expected {expected}, met {met}; nothing was sent"
    )]
    KeyChanged {
        /// The key that was expected.
        expected: PeerKey,
        /// The key that answered.
        met: PeerKey,
    },
    /// The peer broke the protocol.
    #[error("protocol violation: {0}")]
    Violation(&'static str),
}

/// What a step asks its driver to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Write these bytes to the socket.
    Write(Vec<u8>),
    /// The peer has proven itself; ask the policy and call [`Session::admit`]. Until then no frame is read.
    Authenticated,
    /// Cards are exchanged, messages may flow both ways.
    Opened(Box<Card>),
    /// A message, a close, a chunk or an end arrived and is good; commit it, then [`Session::ack`] it.
    Received(Box<Envelope>),
    /// A received envelope is refused; the session has said so if it may.
    Rejected(MessageId, Reason),
    /// The peer has committed these.
    Acked(Vec<MessageId>),
    /// The peer refused this message.
    Refused(MessageId, Reason, String),
    /// The peer has so many bytes of the file that this message announces.
    Wanted(MessageId, u64),
    /// The peer says which key it has from now on; answer with [`Session::answer_rotation`].
    Rotated(MessageId, Box<Notice>),
    /// Whether the peer follows us to the key that it was told of.
    Followed(bool),
    /// The peer wants a pause of this length.
    Slow(Duration),
    /// The peer's owner has decided about us.
    Decided(Decision),
    /// The session is over. Write what was asked to be written before, then close the socket.
    End(End),
}

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
