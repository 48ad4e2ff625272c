//! One agent: the parent of everything that happens in its name.
//!
//! Owns the policy in force and the rosters of its children. It is the front of the journal: what comes in
//! and what goes out is committed in the order in which it passes through here, which is what makes one
//! (sender, thread) ordered. It holds nothing that must survive; when it panics, the Registry starts
//! another one over the same store and it begins from rows.

mod admission;
mod audit;
mod children;
mod commands;
mod consume;
mod crowd;
mod decide;
mod decisions;
mod files;
mod forget;
mod handlers;
mod messages;
mod notice;
mod pins;
mod policy;
mod receive;
mod respond;
mod retention;
mod rotation;
mod send;
mod settle;
mod streams;
mod tolls;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context, Recipient};
use toq_kit::{Credit, Drain, Lifeline, Roster, Seat};
use toq_protocol::key::PeerKey;
use toq_protocol::policy::waiting::Question;
use toq_protocol::policy::{Policy, Proof};
use toq_protocol::rate::Tolls;
use toq_protocol::rotation::Promises;
use toq_store::StoreError;

pub use audit::Record;
pub use commands::{
    Accepted, Answers, AwaitReply, Connections, Consume, CurrentMode, EndStream, Idempotency, OpenStream, Origin, Patience, Ping,
    RotateKeys, Rule, Send, SetMode, StreamChunk, StreamOpened, WorkspaceError,
};
pub use decide::{are_rules_readable, decide_at_rest};
pub use decisions::{Decided, Held};
pub use forget::ForgetConversations;
pub use handlers::{LeftBehind, Reload, ShowHandlers, Tell, Told, TryAgain};
pub use messages::{
    Admitted, Arrived, Authenticated, Deliver, Delivered, Dial, Expire, Intercepted, KeyChanged, Met, OutboxIdle, PeerRotates, Stored,
    ThreadIdle,
};
pub use respond::Respond;

use crate::approval::Approval;
use crate::connection::{Connection, ConnectionId, LinkEvent};
use crate::handler::{HandlerActor, HandlerName};
use crate::home::Home;
use crate::outbox::{Lane, Outbox};
use crate::registry::WorkspaceId;
use crate::stream::{InKey, IncomingStream, OutKey, OutgoingStream};
use crate::thread::{Thread, ThreadKey};

/// How many idle conversations keep their actor; the least recently used goes first, since a message
/// without a thread id makes a conversation of its own.
const MAX_THREADS: usize = 1024;

/// How many lanes keep their actor.
const MAX_OUTBOXES: usize = 4096;

/// How long a workspace whose rules cannot be read waits before it looks again.
const BEGIN_AGAIN: Duration = Duration::from_secs(1);

/// One agent.
pub struct Workspace {
    home: Arc<Home>,
    seat: Seat,
    policy: Policy,
    /// Which keys peers have said will follow theirs, without a proof of those.
    promises: Promises,
    pub(crate) connections: Roster<ConnectionId, Connection>,
    next_connection: u64,
    /// Who is to hear of the end of a connection that was dialled, however it ends.
    dialed: HashMap<ConnectionId, (u64, Recipient<LinkEvent>)>,
    /// Connections of each key that came in and were let in, oldest first.
    admitted: HashMap<PeerKey, VecDeque<ConnectionId>>,
    /// How it is known, for each connection that was let in, that the peer's address is its own.
    proofs: HashMap<ConnectionId, Proof>,
    /// Who waits for the owner, as it will be once everything that was handed to the journal is committed.
    waiting: HashMap<PeerKey, Question>,
    /// How many had to give way to others meanwhile.
    crowd: crowd::Crowd,
    /// When an alarm about a stranger was last stored, and about each peer that is known.
    last_alarm: Option<Duration>,
    alarms: HashMap<PeerKey, Duration>,
    /// Connections whose peer has not proven itself, oldest first.
    unproven: VecDeque<ConnectionId>,
    pub(crate) outboxes: Roster<Lane, Outbox>,
    pub(crate) threads: Roster<ThreadKey, Thread>,
    pub(crate) incoming: Roster<InKey, IncomingStream>,
    pub(crate) outgoing: Roster<OutKey, OutgoingStream>,
    /// How many streams each address has that we send or are about to.
    sending: HashMap<OutKey, Lane>,
    pub(crate) approvals: Roster<PeerKey, Approval>,
    pub(crate) handlers: Roster<HandlerName, HandlerActor>,
    arranged: handlers::Handlers,
    /// Automatic answers to each address that are handed to the journal and not committed yet.
    answering: HashMap<Lane, usize>,
    tolls: Tolls,
    decisions: decisions::Decisions,
    /// How many addresses are proven at a time because a rule covers them.
    proving: Credit,
    intake: files::Intake,
    has_begun: bool,
    is_draining: bool,
    _lifeline: Lifeline<WorkspaceId>,
}

impl Workspace {
    /// Makes the actor of an agent; it begins from its rows when it is started.
    #[must_use]
    pub fn new(home: Arc<Home>, seat: Seat, lifeline: Lifeline<WorkspaceId>) -> Self {
        let policy = Policy::new(home.mode());
        let arranged = handlers::Handlers::new(&home);
        let tolls = Tolls::new(tolls::limits(&home.config.limits));
        Self {
            home,
            seat,
            policy,
            promises: Promises::default(),
            connections: Roster::new(),
            next_connection: 1,
            dialed: HashMap::new(),
            admitted: HashMap::new(),
            proofs: HashMap::new(),
            waiting: HashMap::new(),
            crowd: crowd::Crowd::default(),
            last_alarm: None,
            alarms: HashMap::new(),
            unproven: VecDeque::new(),
            outboxes: Roster::new(),
            threads: Roster::new(),
            incoming: Roster::new(),
            outgoing: Roster::new(),
            sending: HashMap::new(),
            approvals: Roster::new(),
            handlers: Roster::new(),
            arranged,
            answering: HashMap::new(),
            tolls,
            decisions: decisions::Decisions::new(),
            proving: Credit::new(decisions::AT_ONCE),
            intake: files::Intake::new(),
            has_begun: false,
            is_draining: false,
            _lifeline: lifeline,
        }
    }

    /// Begins from rows. Until the rules can be read nobody is let in and no handler works: a block may be among them.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        if let Err(error) = self.begin_from_rules(ctx) {
            tracing::error!(workspace = %self.home.id, %error, "the workspace cannot be read; nobody is let in until it can be");
            ctx.run_later(BEGIN_AGAIN, Self::begin);
            return;
        }
        match self.home.store.reader().lanes() {
            Ok(lanes) => lanes.iter().for_each(|lane| self.resume(lane, ctx)),
            Err(error) => tracing::error!(%error, "the lanes cannot be read; what waits in them is sent after the next start"),
        }
        // What was decided while no daemon ran has been told to nobody.
        self.let_in_by_now(ctx);
        self.record_beginning(ctx);
        self.begin_handlers(ctx);
        self.trim(ctx);
        self.retain(ctx);
    }

    /// Reads rules and open questions.
    fn begin_from_rules(&mut self, ctx: &mut Context<Self>) -> Result<(), StoreError> {
        let reader = self.home.store.reader().clone();
        let (policy, questions) = (decide::policy(&reader, self.policy.mode())?, reader.approvals()?);
        self.policy = policy;
        self.has_begun = true;
        for fault in self.policy.faults() {
            tracing::warn!(%fault, "a rule covers nobody; `toq permissions` shows it, `toq unblock` or `toq revoke` takes it back");
        }
        self.publish();
        self.reread_questions();
        for (key, row) in questions {
            self.start_approval(key, toq_protocol::time::Timestamp::from_nanos(row.requested_at), ctx);
        }
        Ok(())
    }

    /// The rules that decisions are made from; an error until they have been read.
    pub(super) fn has_rules(&self) -> Result<(), StoreError> {
        if self.has_begun { Ok(()) } else { Err(StoreError::Record { table: "rules" }) }
    }
}

impl Actor for Workspace {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1024);
        self.begin(ctx);
    }
}

impl Drop for Workspace {
    /// A child never outlives its parent, however the parent ended.
    fn drop(&mut self) {
        for child in self.children() {
            child.do_send(Drain { grace: std::time::Duration::ZERO });
        }
    }
}
