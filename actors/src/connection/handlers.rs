//! Input → session → effects.

use std::net::SocketAddr;

use actix::{ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use toq_kit::{Drain, fault};
use toq_net::BoxedIo;
use toq_protocol::address::Address;
use toq_protocol::envelope::{Envelope, Kind};
use toq_protocol::reason::Reason;
use toq_protocol::session::{Effect, End, LocalEnd, Outgoing as Send, Session};

use super::socket::{ReadHalf, read};
use super::{Announce, Connection, ConnectionView, Goodbye, Link, LinkEvent, LinkNews, View, Write};
use crate::describe::{Describe, Description};
use crate::home::Counters;
use crate::outbox::Files;

type Ctx = Context<Connection>;

impl Connection {
    pub(super) fn accept(&mut self, link: Link, ctx: &mut Ctx) {
        self.source = link.remote.parse().ok().map(|remote: SocketAddr| remote.ip());
        self.remote = link.remote;
        let now = self.home.now();
        let local = self.home.local();
        let end = LocalEnd { host: &link.local_host, exporter: link.io.exporter };
        let (session, first) = Session::accept(local, link.greeted, end, self.home.entropy(), now);
        self.open(session, link.io.io, &first, ctx);
    }

    pub(super) fn dial(&mut self, target: Address, ctx: &mut Ctx) {
        self.remote = target.wire();
        self.target = Some(target.clone());
        let home = self.home.clone();
        let dialing = async move {
            let reached = home.reach(&target).await;
            (target, reached)
        };
        ctx.spawn(dialing.into_actor(self).map(|(target, reached), act, ctx| match reached {
            Ok((route, stream)) => {
                let (home, expected) = (&act.home, act.home.expected(&target, route.announced));
                let (session, first) = Session::dial(home.local(), &target, expected, stream.exporter, home.entropy(), home.now());
                act.open(session, stream.io, &first, ctx);
            }
            Err(error) => {
                tracing::debug!(%error, "dialling failed");
                act.tell(LinkNews::Closed(unreachable(&target, &error)));
                act.lifeline.finish();
                ctx.stop();
            }
        }));
    }

    fn open(&mut self, session: Session, io: BoxedIo, first: &[u8], ctx: &mut Ctx) {
        self.session = Some(session);
        let (reader, writer) = tokio::io::split(io);
        let writing = self.outgoing.clone().run(writer);
        ctx.spawn(writing.into_actor(self).map(|result, act, ctx| {
            if let Err(error) = result {
                tracing::debug!(peer = %act.remote, %error, "writing to a peer failed");
                act.tell(LinkNews::Closed(toq_net::broken::told(&error)));
            }
            act.lifeline.finish();
            ctx.stop();
        }));
        self.reader = Some(reader);
        self.write(first, ctx);
        self.arm(ctx);
        self.pull(ctx);
    }

    /// Handles every frame that has arrived, then reads on; stops at the window, while judged and while held.
    pub(super) fn pull(&mut self, ctx: &mut Ctx) {
        let mut received = Vec::new();
        loop {
            if self.is_judging || self.is_held() || self.is_ending() || self.in_flight() + received.len() >= self.window() {
                self.is_stalled = !self.is_judging;
                break;
            }
            let now = self.home.now();
            let Some(effects) = self.session.as_mut().and_then(|session| session.next(now)) else {
                self.is_stalled = false;
                break;
            };
            self.perform(effects, &mut received, ctx);
            // What follows the end of a stream must not be committed before it, and the end takes a detour
            // through the stream's actor.
            if received.last().is_some_and(|envelope| envelope.kind == Kind::MessageStreamEnd) {
                self.is_stalled = true;
                break;
            }
        }
        self.hand_over(received, ctx);
        if self.is_stalled || self.is_judging {
            return;
        }
        let Some(reader) = self.reader.take() else { return };
        ctx.spawn(read(reader).into_actor(self).map(|(reader, result), act, ctx| act.have_read(reader, result, ctx)));
    }

    fn have_read(&mut self, reader: ReadHalf, result: std::io::Result<Vec<u8>>, ctx: &mut Ctx) {
        match result {
            Ok(bytes) if !bytes.is_empty() => {
                self.reader = Some(reader);
                if let Some(session) = self.session.as_mut() {
                    session.push(&bytes);
                }
                self.pull(ctx);
            }
            // A bare end of file is how published peers close.
            Ok(_) | Err(_) => {
                let effects = self.session.as_mut().map(Session::eof).unwrap_or_default();
                self.perform(effects, &mut Vec::new(), ctx);
            }
        }
    }

    pub(super) fn perform(&mut self, effects: Vec<Effect>, received: &mut Vec<Envelope>, ctx: &mut Ctx) {
        for effect in effects {
            match effect {
                Effect::Write(bytes) => self.write(&bytes, ctx),
                Effect::Authenticated => self.be_judged(ctx),
                Effect::Opened(card) => {
                    tracing::debug!(peer = %self.remote, name = %card.name.escape_debug(), "session is open");
                    self.introduce();
                    let is_known = self.session.as_ref().is_some_and(Session::has_files);
                    let streams = self.session.as_ref().is_some_and(Session::has_streams);
                    if let Some(peer) = self.session.as_ref().and_then(Session::peer).cloned() {
                        self.tell(LinkNews::Opened { peer: Box::new(peer), files: Files::of(&card, is_known), streams });
                    }
                }
                Effect::Received(envelope) => received.push(*envelope),
                Effect::Rejected(id, reason) => {
                    Counters::count(&self.home.counters.refused);
                    tracing::warn!(peer = %self.remote, %id, %reason, "a message was refused");
                    if reason == Reason::NotAddressedHere {
                        self.note_misaddressed();
                    }
                }
                Effect::Acked(ids) => {
                    self.messages += ids.len() as u64;
                    self.tell(LinkNews::Acked(ids));
                }
                Effect::Refused(id, reason, text) => self.tell(LinkNews::Refused(id, reason, text)),
                Effect::Wanted(id, offset) => self.tell(LinkNews::Wanted(id, offset)),
                Effect::Rotated(id, notice) => self.follow(id, *notice, ctx),
                Effect::Followed(accepted) => tracing::info!(peer = %self.remote, accepted, "the peer answered to the new key"),
                Effect::Slow(pause) => self.tell(LinkNews::Slow(pause)),
                Effect::Decided(decision) => self.pass_on(decision),
                Effect::End(end) => self.end(&end),
            }
        }
    }

    fn end(&mut self, end: &End) {
        if !matches!(end, End::Left(_) | End::PeerLeft(_)) {
            Counters::count(&self.home.counters.refused);
        }
        tracing::debug!(peer = %self.remote, %end, "session ended");
        self.report(end);
        self.tell(LinkNews::Closed(why(end)));
        self.reader = None;
        self.outgoing.close();
    }

    pub(super) fn write(&mut self, bytes: &[u8], ctx: &mut Ctx) {
        if !self.outgoing.push(bytes) {
            tracing::warn!(peer = %self.remote, "the peer reads too slowly; the connection is closed");
            self.tell(LinkNews::Closed("the peer reads too slowly".to_owned()));
            self.lifeline.finish();
            ctx.stop();
        }
    }

    pub(super) fn arm(&mut self, ctx: &mut Ctx) {
        let Some(session) = &self.session else { return };
        let wait = session.deadline().saturating_sub(self.home.clock.monotonic()).max(std::time::Duration::from_millis(10));
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(wait, |act, ctx| {
            act.timer = None;
            // The lane that it was dialled for may have ended before it was told of this connection.
            if act.events.as_ref().is_some_and(|(_, events)| !events.connected()) {
                return act.handle(Goodbye("nothing more to say"), ctx);
            }
            let now = act.home.now();
            let effects = act.session.as_mut().map(|session| session.tick(now)).unwrap_or_default();
            act.perform(effects, &mut Vec::new(), ctx);
            act.arm(ctx);
        }));
    }

    fn tell(&self, news: LinkNews) {
        if let Some((attempt, events)) = &self.events {
            events.do_send(LinkEvent { attempt: *attempt, news });
        }
    }

    fn is_ending(&self) -> bool {
        self.in_flight.iter().any(|flight| flight.ends_stream)
    }

    fn in_flight(&self) -> usize {
        self.in_flight.iter().map(|flight| flight.messages.len()).sum()
    }

    fn window(&self) -> usize {
        self.home.config.delivery.window as usize
    }
}

/// What a caller is told about an end, in words that do not tell more than the peer did.
fn why(end: &End) -> String {
    match end {
        End::Refused(Reason::Blocked) => "the remote agent closed the connection without a word; it may block this agent".to_owned(),
        // The published words, behind the code that explains them.
        End::Pending(said) => format!("{}: {said}", Reason::PendingApproval),
        End::Handshake(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn unreachable(target: &Address, error: &toq_net::dial::DialError) -> String {
    match error {
        toq_net::dial::DialError::Connect { source, .. } if source.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!("no agent running at {}", target.written())
        }
        other => other.to_string(),
    }
}

impl Handler<Write> for Connection {
    type Result = ();

    fn handle(&mut self, write: Write, ctx: &mut Ctx) {
        let now = self.home.now();
        let Some(session) = self.session.as_mut().filter(|session| session.is_open()) else { return };
        fault::crash_point("before-frame-write");
        let (id, frame) = match &write {
            Write::Message(message) => (message.id, session.send(Send::Message(message), now)),
            Write::Chunk { id, to, thread_id, body, content_type } => {
                (*id, session.send(Send::Chunk { id: *id, to, thread_id, body, content_type: *content_type }, now))
            }
        };
        match frame {
            Ok(frame) => {
                self.write(&frame, ctx);
                fault::crash_point("after-frame-write");
            }
            Err(error) => self.tell(LinkNews::Refused(id, Reason::MessageTooLarge, error.to_string())),
        }
    }
}

impl Handler<Announce> for Connection {
    type Result = ();

    fn handle(&mut self, Announce(notice): Announce, ctx: &mut Ctx) {
        let now = self.home.now();
        let bytes = self.session.as_mut().map(|session| session.announce_rotation(&notice, now)).unwrap_or_default();
        self.write(&bytes, ctx);
        self.handle(Goodbye("the key was replaced"), ctx);
    }
}

impl Handler<Goodbye> for Connection {
    type Result = ();

    fn handle(&mut self, goodbye: Goodbye, ctx: &mut Ctx) {
        let now = self.home.now();
        match self.session.as_mut() {
            Some(session) => {
                let effects = session.goodbye(goodbye.0, now);
                self.perform(effects, &mut Vec::new(), ctx);
            }
            None => {
                self.lifeline.finish();
                ctx.stop();
            }
        }
    }
}

impl Handler<Drain> for Connection {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Ctx) {
        self.handle(Goodbye("shutting down"), ctx);
    }
}

impl Handler<View> for Connection {
    type Result = Option<ConnectionView>;

    fn handle(&mut self, _: View, _: &mut Ctx) -> Self::Result {
        let session = self.session.as_ref().filter(|session| session.is_open())?;
        let peer = session.peer()?;
        Some(ConnectionView {
            session_id: peer.session_id.clone().unwrap_or_else(|| format!("conn-{}", self.lifeline.key().0)),
            peer_address: peer.address.wire(),
            peer_key: peer.key,
            connected_at: self.connected_at,
            messages: self.messages,
            is_incoming: self.events.is_none(),
        })
    }
}

impl Handler<Describe> for Connection {
    type Result = Description;

    fn handle(&mut self, _: Describe, _: &mut Ctx) -> Description {
        let unacked = self.session.as_ref().map_or(0, Session::unacked);
        let peer = self.session.as_ref().and_then(Session::peer).map_or_else(String::new, |peer| peer.key.short());
        Description::leaf(
            "connection",
            self.lifeline.key().0.to_string(),
            vec![
                ("direction", if self.events.is_none() { "in" } else { "out" }.to_owned()),
                ("remote", self.remote.clone()),
                ("peer", peer),
                ("uncommitted", self.in_flight().to_string()),
                ("unacknowledged", unacked.to_string()),
            ],
        )
    }
}
