//! One live peer link: a session, its socket, and what is in flight on it.
//!
//! Owns the socket's two halves, the [`Session`] and the queue of received messages that are not committed
//! yet. A message is acknowledged when its commit has answered, in the order of arrival; while more than a
//! window of them is in flight the socket is not read and TCP pushes back. When this actor dies nothing is
//! lost: what was not acknowledged is sent again by the peer, and what we sent is in a lane's rows.

mod acquaint;
mod announce;
mod handlers;
mod messages;
mod pace;
mod ping;
mod socket;
mod taken;
mod tell;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, SpawnHandle};
use toq_kit::Lifeline;
use toq_protocol::address::Address;
use toq_protocol::message::MessageId;
use toq_protocol::session::Session;
use toq_protocol::time::Timestamp;

pub use announce::announce;
pub use messages::{Announce, ConnectionView, Goodbye, Link, LinkEvent, LinkNews, Role, View, Write};
pub use ping::{Pinged, ping};
use socket::{Outgoing, ReadHalf};
pub use tell::tell;

use crate::home::Home;
use crate::workspace::{Stored, Workspace};

/// A connection's name in its workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// A live peer link.
pub struct Connection {
    home: Arc<Home>,
    workspace: Addr<Workspace>,
    role: Option<Role>,
    events: Option<(u64, actix::Recipient<LinkEvent>)>,
    remote: String,
    /// Whom we dialled.
    target: Option<Address>,
    /// Where it comes from; `None` where we dialled.
    source: Option<IpAddr>,
    session: Option<Session>,
    reader: Option<ReadHalf>,
    outgoing: Outgoing,
    /// Received and not yet committed, oldest first.
    in_flight: VecDeque<Flight>,
    next_flight: u64,
    is_stalled: bool,
    is_judging: bool,
    /// Nothing is read before.
    held_until: Duration,
    /// Until when the peer was asked to write nothing.
    told_until: Duration,
    timer: Option<SpawnHandle>,
    connected_at: Timestamp,
    messages: u64,
    lifeline: Lifeline<ConnectionId>,
}

/// Messages that were handed to the workspace together.
struct Flight {
    number: u64,
    messages: Vec<(MessageId, u64)>,
    ends_stream: bool,
    outcome: Option<Vec<Stored>>,
}

impl Connection {
    /// Makes a connection that begins when it is started.
    #[must_use]
    pub fn new(home: Arc<Home>, workspace: Addr<Workspace>, role: Role, lifeline: Lifeline<ConnectionId>) -> Self {
        let connected_at = home.wall();
        let events = match &role {
            Role::Outgoing { events, attempt, .. } => Some((*attempt, events.clone())),
            Role::Incoming(_) => None,
        };
        Self {
            home,
            workspace,
            role: Some(role),
            events,
            remote: String::new(),
            target: None,
            source: None,
            session: None,
            reader: None,
            outgoing: Outgoing::default(),
            in_flight: VecDeque::new(),
            next_flight: 0,
            is_stalled: false,
            is_judging: false,
            held_until: Duration::ZERO,
            told_until: Duration::ZERO,
            timer: None,
            connected_at,
            messages: 0,
            lifeline,
        }
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The mailbox holds window-sized bursts; its capacity is no limit and is not meant as one.
        ctx.set_mailbox_capacity(64);
        match self.role.take() {
            Some(Role::Incoming(link)) => self.accept(*link, ctx),
            Some(Role::Outgoing { target, .. }) => self.dial(target, ctx),
            None => {}
        }
    }
}
