//! What a workspace is told by its children: what peers do, and what is idle.

use std::net::IpAddr;
use std::time::Duration;

use actix::{Addr, Message, Recipient};
use toq_protocol::address::Address;
use toq_protocol::envelope::Envelope;
use toq_protocol::handshake::Credentials;
use toq_protocol::key::PeerKey;
use toq_protocol::reason::Reason;
use toq_protocol::rotation::Notice;
use toq_protocol::session::Admission;

use crate::connection::{ConnectionId, Link, LinkEvent};
use crate::outbox::{Lane, Outbox};
use crate::thread::ThreadKey;

/// A greeted link for this workspace.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Arrived(pub Box<Link>);

/// A peer has proven itself; may it come in?
#[derive(Message)]
#[rtype(result = "Admission")]
pub struct Authenticated {
    /// What it showed.
    pub credentials: Credentials,
    /// On which connection.
    pub connection: ConnectionId,
    /// Whether it has bound the session to its TLS channel.
    pub is_bound: bool,
    /// Its end of the connection, where it has one.
    pub remote: Option<IpAddr>,
    /// Whether it hears what is decided about it.
    pub hears_decisions: bool,
}

/// A peer that we dialled has proven itself.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Met {
    /// The address that was dialled.
    pub target: Address,
    /// What it showed.
    pub peer: Credentials,
    /// Whether the session is bound to its TLS channel.
    pub is_bound: bool,
}

/// Another key than the pinned one answered at an address.
#[derive(Message)]
#[rtype(result = "()")]
pub struct KeyChanged {
    /// The address that was dialled.
    pub target: Address,
    /// The pinned key.
    pub expected: PeerKey,
    /// The key that answered.
    pub met: PeerKey,
}

/// The two ends of a session saw different TLS channels, or one of them did not show which it saw.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Intercepted {
    /// The key of the peer.
    pub key: PeerKey,
    /// The address that was dialled, or else the one that it claims.
    pub address: Address,
    /// How it was noticed.
    pub reason: Reason,
}

/// A peer says which key it has from now on; is it believed?
#[derive(Message)]
#[rtype(result = "bool")]
pub struct PeerRotates {
    /// What the peer showed in the session in which it says so.
    pub peer: Credentials,
    /// What it says.
    pub notice: Notice,
}

/// A connection was let in. Nothing is to be read from it for as long as the answer says.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Duration")]
pub struct Admitted {
    /// Whose it is.
    pub key: PeerKey,
    /// Which one.
    pub connection: ConnectionId,
}

/// What became of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is on disk, now or since an earlier time.
    Committed,
    /// It is not.
    Refused(Reason),
    /// It announces a file of which only so many bytes are here.
    Incomplete(u64),
}

/// What became of messages that were received together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Each of them, in order.
    pub stored: Vec<Stored>,
    /// How long nothing more is to be read from this peer.
    pub pause: Duration,
}

/// These were received; answer when each is on disk or refused.
#[derive(Message)]
#[rtype(result = "Delivered")]
pub struct Deliver {
    /// On which connection.
    pub connection: ConnectionId,
    /// Who sent them.
    pub peer: PeerKey,
    /// The address that the sender claims.
    pub address: Address,
    /// Where the connection comes from; `None` where we dialled it.
    pub source: Option<IpAddr>,
    /// Whether the session is bound to its TLS channel.
    pub is_bound: bool,
    /// What was received, in order.
    pub envelopes: Vec<Envelope>,
}

/// Start a connection for a lane.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Dial {
    /// Whom to dial.
    pub target: Address,
    /// Which dial this is.
    pub attempt: u64,
    /// Who is told what happens on it.
    pub events: Recipient<LinkEvent>,
    /// Whose connection it is.
    pub outbox: Addr<Outbox>,
}

/// A lane has nothing to do.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OutboxIdle {
    /// The lane.
    pub lane: Lane,
    /// The life that speaks.
    pub generation: u64,
}

/// A conversation is idle.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ThreadIdle {
    /// The thread.
    pub key: ThreadKey,
    /// The life that speaks.
    pub generation: u64,
}

/// A question was not answered in its time.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Expire(pub PeerKey);
