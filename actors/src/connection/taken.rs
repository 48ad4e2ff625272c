//! What the peer sent, from its arrival until it is answered: handed to the workspace, and acknowledged or refused in order.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_kit::{fault, spawn};
use toq_protocol::envelope::{Envelope, Kind};
use toq_protocol::message::MessageId;
use toq_protocol::reason::Reason;
use toq_protocol::rotation::Notice;
use toq_protocol::session::Session;

use super::{Connection, Flight};
use crate::workspace::{Deliver, Delivered, PeerRotates, Stored};

type Ctx = Context<Connection>;

impl Connection {
    /// Gives received messages to the workspace; the answer comes when they are committed.
    pub(super) fn hand_over(&mut self, envelopes: Vec<Envelope>, ctx: &mut Ctx) {
        let Some(peer) = self.session.as_ref().and_then(Session::peer) else { return };
        if envelopes.is_empty() {
            return;
        }
        let (key, address) = (peer.key, peer.address.clone());
        let number = self.next_flight;
        self.next_flight += 1;
        let messages = envelopes.iter().map(|envelope| (envelope.id, envelope.sequence)).collect();
        let ends_stream = envelopes.iter().any(|envelope| envelope.kind == Kind::MessageStreamEnd);
        self.in_flight.push_back(Flight { number, messages, ends_stream, outcome: None });
        if fault::is_broken("ack-before-commit") {
            let flight = self.in_flight.back().map(|flight| flight.messages.clone()).unwrap_or_default();
            let now = self.home.now();
            for (id, _) in flight {
                let ack = self.session.as_mut().map(|session| session.ack(id, now)).unwrap_or_default();
                self.write(&ack, ctx);
            }
        }
        let is_bound = self.session.as_ref().is_some_and(Session::is_bound);
        let deliver = Deliver { connection: *self.lifeline.key(), peer: key, address, source: self.source, is_bound, envelopes };
        // Seen through even if the peer has closed by now: published peers do not wait for the answer.
        let storing = spawn(self.workspace.send(deliver));
        ctx.spawn(storing.into_actor(self).map(move |outcome, act, ctx| act.have_stored(number, outcome.ok().and_then(Result::ok), ctx)));
    }

    fn have_stored(&mut self, number: u64, delivered: Option<Delivered>, ctx: &mut Ctx) {
        let Some(flight) = self.in_flight.iter_mut().find(|flight| flight.number == number) else { return };
        let gone = || vec![Stored::Refused(Reason::AgentUnavailable); flight.messages.len()];
        let (stored, pause) = delivered.map_or_else(|| (gone(), Duration::ZERO), |delivered| (delivered.stored, delivered.pause));
        flight.outcome = Some(stored);
        // Before any refusal: who hears that a message was not taken must know by then when to try again.
        self.hold(pause, ctx);
        self.answer(ctx);
        self.pull(ctx);
    }

    /// Acknowledges, in the order of arrival, everything whose commit has answered.
    fn answer(&mut self, ctx: &mut Ctx) {
        let mut last_good = None;
        while let Some(flight) = self.in_flight.pop_front_if(|flight| flight.outcome.is_some()) {
            for ((id, sequence), stored) in flight.messages.into_iter().zip(flight.outcome.unwrap_or_default()) {
                self.messages += 1;
                match stored {
                    Stored::Committed => last_good = self.acknowledge(last_good, id, sequence, ctx),
                    Stored::Refused(reason) => self.refuse(id, reason, ctx),
                    Stored::Incomplete(offset) => self.want(id, offset, ctx),
                }
            }
        }
        if let Some((id, sequence)) = last_good {
            let now = self.home.now();
            let ack = self.session.as_mut().map(|session| session.ack_up_to(id, sequence, now)).unwrap_or_default();
            self.write(&ack, ctx);
        }
        fault::crash_point("after-ack-write");
    }

    fn acknowledge(&mut self, last: Option<(MessageId, u64)>, id: MessageId, sequence: u64, ctx: &mut Ctx) -> Option<(MessageId, u64)> {
        let now = self.home.now();
        let session = self.session.as_mut()?;
        if session.has_cumulative_acks() {
            return Some((id, sequence));
        }
        if !session.is_open() {
            return last;
        }
        let ack = session.ack(id, now);
        self.write(&ack, ctx);
        last
    }

    /// Asks the workspace whether the peer's new key is believed, and tells the peer.
    pub(super) fn follow(&mut self, id: MessageId, notice: Notice, ctx: &mut Ctx) {
        let Some(peer) = self.session.as_ref().and_then(Session::peer).cloned() else { return };
        // Seen through even if the peer has closed by now: it ends its sessions with this.
        let asking = spawn(self.workspace.send(PeerRotates { peer, notice }));
        ctx.spawn(asking.into_actor(self).map(move |answer, act, ctx| {
            let accepted = matches!(answer, Ok(Ok(true)));
            let now = act.home.now();
            let bytes = act.session.as_mut().map(|session| session.answer_rotation(id, accepted, now)).unwrap_or_default();
            act.write(&bytes, ctx);
        }));
    }

    /// Tells how much of a file is here. A peer that does not know how files are sent is refused.
    fn want(&mut self, id: MessageId, offset: u64, ctx: &mut Ctx) {
        let now = self.home.now();
        let Some(session) = self.session.as_mut().filter(|session| session.is_open()) else { return };
        if !session.has_files() {
            return self.refuse(id, Reason::UnsupportedContentType, ctx);
        }
        let want = session.want(id, offset, now);
        self.write(&want, ctx);
    }

    fn refuse(&mut self, id: MessageId, reason: Reason, ctx: &mut Ctx) {
        tracing::warn!(peer = %self.remote, %id, %reason, "a message was not taken");
        let now = self.home.now();
        let effects = self.session.as_mut().map(|session| session.refuse(id, reason, now)).unwrap_or_default();
        self.perform(effects, &mut Vec::new(), ctx);
    }
}
