//! The messages to one address.
//!
//! Owns a [`Delivery`] and a cursor into the lane. Rows are read from the store when there is room in the
//! window, written to the connection, and settled when the peer has acknowledged them: the final state and
//! the removal from the lane are one batch. Nothing here has to survive: a successor reads the lane from
//! its beginning, and what was in flight is sent again and recognised by its id.

mod carry;
mod handlers;
mod messages;
mod work;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use actix::{Actor, Addr, Context, SpawnHandle};
use tokio::sync::oneshot;
use toq_kit::Lifeline;
use toq_protocol::address::Address;
use toq_protocol::delivery::Delivery;
use toq_protocol::handshake::Credentials;
use toq_protocol::message::MessageId;
use toq_store::{OnLane, Seq};

pub use carry::Files;
pub use messages::{Await, Express, Hasten, Linked, Nudge, Retry, Settled, Urgent};

use crate::connection::{Connection, Goodbye};
use crate::home::Home;
use crate::workspace::Workspace;

/// A lane's name: the address by which it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane(pub String);

impl Lane {
    /// The lane of an address.
    #[must_use]
    pub fn of(address: &Address) -> Self {
        Self(address.key())
    }
}

/// The messages to one address.
pub struct Outbox {
    home: Arc<Home>,
    workspace: Addr<Workspace>,
    lane: Lane,
    address: Address,
    delivery: Delivery,
    attempt: u64,
    connection: Option<Addr<Connection>>,
    is_open: bool,
    /// Who is at the other end of it.
    met: Option<Credentials>,
    /// The last row that was read into `queue`.
    cursor: Seq,
    /// The last row that was ever read.
    highest: Seq,
    /// Read and not written yet.
    queue: VecDeque<(Seq, OnLane)>,
    /// Written and not acknowledged.
    flying: HashMap<MessageId, Seq>,
    /// Acknowledged and being committed as such.
    settling: HashSet<Seq>,
    /// Rows that were ever written to the peer, or may have been by a predecessor.
    written: HashSet<Seq>,
    /// How often rows were tried, where messages are given up after some attempts.
    attempts: HashMap<Seq, u32>,
    /// Rows at or before this place were there before this actor; a predecessor may have written them.
    inherited: Seq,
    waiters: HashMap<Seq, Vec<oneshot::Sender<Settled>>>,
    express: VecDeque<Express>,
    express_flying: HashMap<MessageId, oneshot::Sender<Result<(), String>>>,
    /// What the peer takes of files.
    files: Files,
    /// Whether the peer takes streams.
    streams: bool,
    /// The file that is on its way; nothing behind it is written.
    carried: Option<carry::Carried>,
    timer: Option<SpawnHandle>,
    /// Runs while something is unacknowledged.
    ack_timer: Option<SpawnHandle>,
    /// How often the peer has acknowledged something.
    acknowledgements: u64,
    is_lane_read: bool,
    is_nudged: bool,
    last_error: Option<String>,
    lifeline: Lifeline<Lane>,
}

impl Outbox {
    /// Makes the outbox of a lane.
    #[must_use]
    pub fn new(home: Arc<Home>, workspace: Addr<Workspace>, address: Address, inherited: Seq, lifeline: Lifeline<Lane>) -> Self {
        let delivery = Delivery::new(home.schedule());
        Self {
            lane: lifeline.key().clone(),
            home,
            workspace,
            address,
            delivery,
            attempt: 0,
            connection: None,
            is_open: false,
            met: None,
            cursor: Seq(0),
            highest: inherited,
            queue: VecDeque::new(),
            flying: HashMap::new(),
            settling: HashSet::new(),
            written: HashSet::new(),
            attempts: HashMap::new(),
            inherited,
            waiters: HashMap::new(),
            express: VecDeque::new(),
            express_flying: HashMap::new(),
            files: Files::Unknown,
            streams: true,
            carried: None,
            timer: None,
            ack_timer: None,
            acknowledgements: 0,
            is_lane_read: false,
            is_nudged: false,
            last_error: None,
            lifeline,
        }
    }
}

impl Drop for Outbox {
    /// A connection that was dialled for a lane ends with it, however the lane ended: nobody else would ever write to it.
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.do_send(Goodbye("nothing more to say"));
        }
    }
}

impl Actor for Outbox {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(64);
    }
}
