//! Starting children, noticing their ends, describing them.

use std::time::Duration;

use actix::{AsyncContext as _, Context, Handler, Recipient, ResponseFuture};
use futures_util::future::join_all;
use toq_kit::{Drain, Exited, Fate, How, Lifeline, drain};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::time::Timestamp;
use toq_store::Seq;

use super::{Admitted, Arrived, Connections, Dial, MAX_OUTBOXES, MAX_THREADS, OutboxIdle, Ping, ThreadIdle, Workspace};
use crate::approval::Approval;
use crate::connection::{Connection, ConnectionId, ConnectionView, Goodbye, LinkEvent, LinkNews, Pinged, Role, View, ping};
use crate::describe::{Describe, Description};
use crate::home::Counters;
use crate::outbox::{Lane, Linked, Nudge, Outbox};
use crate::stream::{InKey, OutKey};
use crate::thread::{Thread, ThreadKey};

/// How many lanes are looked at for one that has nothing to do, where there are more than [`MAX_OUTBOXES`], and how many
/// messages for one that can be read.
const LOOKED_AT: usize = 8;

/// How many children of one kind a description lists; the rest is counted.
const DESCRIBED: usize = 1000;

/// How long a child that panicked is left alone before rows in its lane start it again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

type Ctx = Context<Workspace>;

impl Workspace {
    /// The outbox of an address. Rows of its lane up to `inherited` may have been written to the peer by an
    /// earlier life of it.
    pub(super) fn outbox(&mut self, address: &Address, inherited: Seq, ctx: &mut Ctx) -> actix::Addr<Outbox> {
        let lane = Lane::of(address);
        let (home, seat, address, parent) = (self.home.clone(), self.seat.clone(), address.clone(), ctx.address());
        let outbox = self.outboxes.find_or_start(&lane, |generation| {
            let lifeline = Lifeline::new(lane.clone(), generation, parent.clone().recipient());
            seat.start(move |_| Outbox::new(home, parent, address, inherited, lifeline))
        });
        let outbox = outbox.clone();
        if self.outboxes.len() > MAX_OUTBOXES {
            let idle = self.outboxes.least_used().take(LOOKED_AT).find(|lane| !self.is_wanted(lane)).cloned();
            if let Some((lane, outbox)) = idle.and_then(|lane| Some((lane.clone(), self.outboxes.remove(&lane)?))) {
                self.decisions.forget(&lane);
                outbox.do_send(Drain { grace: Duration::ZERO });
            }
        }
        outbox
    }

    /// Whether a lane has something to do. Messages that wait are bounded by `max_message_queue`, and so are lanes that have any.
    fn is_wanted(&self, lane: &Lane) -> bool {
        self.sending.values().any(|sending| sending == lane) || !matches!(self.home.store.reader().lane_len(&lane.0, 1), Ok(0))
    }

    /// Starts a lane from its rows, if it has any.
    pub(super) fn resume(&mut self, lane: &str, ctx: &mut Ctx) {
        let reader = self.home.store.reader();
        let (last, waiting) = (reader.last(), reader.lane(lane, Seq(0), LOOKED_AT));
        let waiting = match waiting {
            Ok(waiting) if waiting.is_empty() => return,
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!(lane = %lane.escape_debug(), %error, "a lane cannot be read"),
        };
        // Where no message can be read, the name of the lane says where they were to go.
        let address =
            waiting.into_iter().find_map(|(_, waiting)| waiting).map_or_else(|| Address::parse(lane), |waiting| Ok(waiting.message.to));
        match address {
            Ok(address) => self.outbox(&address, last, ctx).do_send(Nudge(last)),
            Err(error) => tracing::error!(lane = %lane.escape_debug(), %error, "messages wait in a lane that has no address"),
        }
    }

    /// The actor of a conversation.
    pub(super) fn thread(&mut self, id: &str, ctx: &mut Ctx) -> actix::Addr<Thread> {
        let key = ThreadKey { id: id.to_owned() };
        let (home, seat, parent) = (self.home.clone(), self.seat.clone(), ctx.address());
        let thread = self.threads.find_or_start(&key, |generation| {
            let lifeline = Lifeline::new(key.clone(), generation, parent.clone().recipient());
            seat.start(move |_| Thread::new(home, parent, lifeline))
        });
        let thread = thread.clone();
        if let Some((_, idle)) = self.threads.shrink_to(MAX_THREADS) {
            idle.do_send(Drain { grace: Duration::ZERO });
        }
        thread
    }

    pub(super) fn start_connection(&mut self, role: Role, ctx: &mut Ctx) -> actix::Addr<Connection> {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let (home, seat, parent) = (self.home.clone(), self.seat.clone(), ctx.address());
        let connection = self.connections.find_or_start(&id, |generation| {
            let lifeline = Lifeline::new(id, generation, parent.clone().recipient());
            seat.start(move |_| Connection::new(home, parent, role, lifeline))
        });
        connection.clone()
    }

    pub(super) fn start_approval(&mut self, key: PeerKey, requested_at: Timestamp, ctx: &mut Ctx) {
        let (home, seat, parent) = (self.home.clone(), self.seat.clone(), ctx.address());
        self.approvals.find_or_start(&key, |generation| {
            let lifeline = Lifeline::new(key, generation, parent.clone().recipient());
            seat.start(move |_| Approval::new(home, parent, requested_at, lifeline))
        });
    }

    /// Every living child.
    pub(super) fn children(&self) -> Vec<Recipient<Drain>> {
        let connections = self.connections.iter().map(|(_, child)| child.clone().recipient());
        let outboxes = self.outboxes.iter().map(|(_, child)| child.clone().recipient());
        let threads = self.threads.iter().map(|(_, child)| child.clone().recipient());
        let incoming = self.incoming.iter().map(|(_, child)| child.clone().recipient());
        let outgoing = self.outgoing.iter().map(|(_, child)| child.clone().recipient());
        let approvals = self.approvals.iter().map(|(_, child)| child.clone().recipient());
        connections.chain(outboxes).chain(threads).chain(incoming).chain(outgoing).chain(approvals).chain(self.handler_drains()).collect()
    }

    fn handler_drains(&self) -> impl Iterator<Item = Recipient<Drain>> {
        self.handlers.iter().map(|(_, child)| child.clone().recipient())
    }

    fn describers(&self) -> Vec<Recipient<Describe>> {
        let connections = self.connections.iter().take(DESCRIBED).map(|(_, child)| child.clone().recipient());
        let outboxes = self.outboxes.iter().take(DESCRIBED).map(|(_, child)| child.clone().recipient());
        let threads = self.threads.iter().take(DESCRIBED).map(|(_, child)| child.clone().recipient());
        let incoming = self.incoming.iter().take(DESCRIBED).map(|(_, child)| child.clone().recipient());
        let outgoing = self.outgoing.iter().take(DESCRIBED).map(|(_, child)| child.clone().recipient());
        let approvals = self.approvals.iter().take(DESCRIBED).map(|(_, child)| child.clone().recipient());
        let handlers = self.handlers.iter().take(DESCRIBED).map(|(_, child)| child.clone().recipient());
        connections.chain(outboxes).chain(threads).chain(incoming).chain(outgoing).chain(approvals).chain(handlers).collect()
    }

    pub(super) fn note_end(&self, kind: &'static str, name: &dyn std::fmt::Display, how: How, fate: Fate) {
        if how != How::Panicked {
            return;
        }
        Counters::count(&self.home.counters.panics);
        match fate {
            Fate::GiveUp => tracing::error!(kind, %name, "an actor panics again and again; it is left alone"),
            Fate::Ignore | Fate::Forget => tracing::error!(kind, %name, "an actor panicked; nothing that was acknowledged is lost"),
        }
    }
}

impl Handler<Arrived> for Workspace {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, ctx: &mut Ctx) {
        let proven = self.connections.len().saturating_sub(self.unproven.len());
        if self.is_draining || proven >= self.home.config.max_connections {
            Counters::count(&self.home.counters.refused);
            tracing::warn!(connections = self.connections.len(), "a connection was turned away");
            return;
        }
        // A crowd that proves nothing gives way to newcomers, the oldest first.
        if self.unproven.len() >= self.home.config.limits.handshake_seats
            && let Some(oldest) = self.unproven.pop_front()
            && let Some(connection) = self.connections.find(&oldest)
        {
            connection.do_send(Goodbye("others wait for the seat"));
        }
        self.unproven.push_back(ConnectionId(self.next_connection));
        self.start_connection(Role::Incoming(arrived.0), ctx);
    }
}

impl Handler<Admitted> for Workspace {
    type Result = actix::MessageResult<Admitted>;

    /// One more than a key may have ends its oldest: a peer that lost its connections without a word must get in again.
    fn handle(&mut self, admitted: Admitted, _: &mut Ctx) -> Self::Result {
        let connections = self.admitted.entry(admitted.key).or_default();
        connections.push_back(admitted.connection);
        if connections.len() > self.home.config.limits.connections_per_key
            && let Some(oldest) = connections.pop_front()
            && let Some(connection) = self.connections.find(&oldest)
        {
            Counters::count(&self.home.counters.refused);
            tracing::warn!(peer = %admitted.key.short(), "a peer has too many connections; its oldest is ended");
            connection.do_send(Goodbye("this key has too many connections"));
        }
        // A new connection is no way round a pause.
        actix::MessageResult(self.tolls.hold(&admitted.key, self.home.clock.monotonic()))
    }
}

impl Handler<Dial> for Workspace {
    type Result = ();

    fn handle(&mut self, dial: Dial, ctx: &mut Ctx) {
        let id = ConnectionId(self.next_connection);
        self.dialed.insert(id, (dial.attempt, dial.events.clone()));
        let role = Role::Outgoing { target: dial.target, events: dial.events, attempt: dial.attempt };
        let connection = self.start_connection(role, ctx);
        dial.outbox.do_send(Linked { attempt: dial.attempt, connection });
    }
}

impl Handler<OutboxIdle> for Workspace {
    type Result = ();

    fn handle(&mut self, idle: OutboxIdle, _: &mut Ctx) {
        // Something may have come for it while it said so.
        if self.is_wanted(&idle.lane) {
            if let Some(outbox) = self.outboxes.find(&idle.lane) {
                outbox.do_send(Nudge(self.home.store.reader().last()));
            }
            return;
        }
        if let Some(outbox) = self.outboxes.remove_generation(&idle.lane, idle.generation) {
            self.decisions.forget(&idle.lane);
            outbox.do_send(Drain { grace: Duration::ZERO });
        }
    }
}

impl Handler<ThreadIdle> for Workspace {
    type Result = ();

    fn handle(&mut self, idle: ThreadIdle, _: &mut Ctx) {
        if let Some(thread) = self.threads.remove_generation(&idle.key, idle.generation) {
            thread.do_send(Drain { grace: Duration::ZERO });
        }
    }
}

impl Handler<Exited<ConnectionId>> for Workspace {
    type Result = ();

    fn handle(&mut self, exited: Exited<ConnectionId>, _: &mut Ctx) {
        self.unproven.retain(|id| *id != exited.key);
        self.proofs.remove(&exited.key);
        self.admitted.retain(|_, connections| {
            connections.retain(|id| *id != exited.key);
            !connections.is_empty()
        });
        // A connection that panicked has told nobody; one that has is not listened to twice.
        if let Some((attempt, events)) = self.dialed.remove(&exited.key) {
            events.do_send(LinkEvent { attempt, news: LinkNews::Closed("the connection ended".to_owned()) });
        }
        let fate = self.connections.exited(&exited, self.home.clock.monotonic());
        self.note_end("connection", &exited.key.0, exited.how, fate);
    }
}

impl Handler<Exited<Lane>> for Workspace {
    type Result = ();

    fn handle(&mut self, exited: Exited<Lane>, ctx: &mut Ctx) {
        let fate = self.outboxes.exited(&exited, self.home.clock.monotonic());
        self.note_end("outbox", &exited.key.0, exited.how, fate);
        if fate != Fate::Ignore {
            self.decisions.forget(&exited.key);
        }
        // Rows wait: the lane is started again, from rows.
        if exited.how == How::Panicked && fate == Fate::Forget && !self.is_draining {
            let lane = exited.key.0;
            ctx.run_later(RESTART_PAUSE, move |act, ctx| act.resume(&lane, ctx));
        }
    }
}

impl Handler<Exited<ThreadKey>> for Workspace {
    type Result = ();

    fn handle(&mut self, exited: Exited<ThreadKey>, _: &mut Ctx) {
        let fate = self.threads.exited(&exited, self.home.clock.monotonic());
        self.note_end("thread", &exited.key.id, exited.how, fate);
    }
}

impl Handler<Exited<InKey>> for Workspace {
    type Result = ();

    fn handle(&mut self, exited: Exited<InKey>, _: &mut Ctx) {
        let fate = self.incoming.exited(&exited, self.home.clock.monotonic());
        self.note_end("stream", &exited.key.stream_id, exited.how, fate);
    }
}

impl Handler<Exited<OutKey>> for Workspace {
    type Result = ();

    fn handle(&mut self, exited: Exited<OutKey>, _: &mut Ctx) {
        self.sending.remove(&exited.key);
        let fate = self.outgoing.exited(&exited, self.home.clock.monotonic());
        self.note_end("stream", &exited.key.0, exited.how, fate);
    }
}

impl Handler<Exited<PeerKey>> for Workspace {
    type Result = ();

    fn handle(&mut self, exited: Exited<PeerKey>, ctx: &mut Ctx) {
        let fate = self.approvals.exited(&exited, self.home.clock.monotonic());
        self.note_end("approval", &exited.key, exited.how, fate);
        // The question is a row and stands; its expiry is watched again.
        if exited.how == How::Panicked && fate == Fate::Forget && !self.is_draining {
            ctx.run_later(RESTART_PAUSE, move |act, ctx| {
                if let Ok(Some(row)) = act.home.store.reader().approval(&exited.key) {
                    act.start_approval(exited.key, Timestamp::from_nanos(row.requested_at), ctx);
                }
            });
        }
    }
}

impl Handler<Connections> for Workspace {
    type Result = ResponseFuture<Vec<ConnectionView>>;

    fn handle(&mut self, _: Connections, _: &mut Ctx) -> Self::Result {
        let asked: Vec<_> = self.connections.iter().map(|(_, connection)| connection.send(View)).collect();
        Box::pin(async move { join_all(asked).await.into_iter().filter_map(|view| view.ok().flatten()).collect() })
    }
}

impl Handler<Ping> for Workspace {
    type Result = ResponseFuture<Result<Pinged, String>>;

    fn handle(&mut self, target: Ping, _: &mut Ctx) -> Self::Result {
        Box::pin(ping(self.home.clone(), target.0))
    }
}

impl Handler<Drain> for Workspace {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, order: Drain, _: &mut Ctx) -> Self::Result {
        self.is_draining = true;
        // Lanes first, so that none dials again when its connection says goodbye.
        // Runs may finish meanwhile; what they answer is committed and sent at the next start.
        let outboxes = self.outboxes.iter().map(|(_, child)| child.clone().recipient());
        let lanes: Vec<_> = outboxes.chain(self.handler_drains()).collect();
        let others = self.children();
        Box::pin(async move {
            drain(lanes, order.grace).await;
            drain(others, order.grace).await;
        })
    }
}

impl Handler<Describe> for Workspace {
    type Result = ResponseFuture<Description>;

    fn handle(&mut self, _: Describe, _: &mut Ctx) -> Self::Result {
        let name = self.home.id.clone();
        let detail = vec![
            ("address", self.home.local().address.wire()),
            ("mode", self.policy.mode().to_string()),
            ("connections", self.connections.len().to_string()),
            ("outboxes", self.outboxes.len().to_string()),
            ("threads", self.threads.len().to_string()),
            ("streams", (self.incoming.len() + self.outgoing.len()).to_string()),
            ("approvals", self.approvals.len().to_string()),
            ("handlers", self.handlers.len().to_string()),
        ];
        let asked: Vec<_> = self.describers().into_iter().map(|child| child.send(Describe)).collect();
        Box::pin(async move {
            let children = join_all(asked).await.into_iter().filter_map(Result::ok).collect();
            Description { name, kind: "workspace", detail, children }
        })
    }
}
