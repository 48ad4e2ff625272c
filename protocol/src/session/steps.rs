//! How a session moves on: one frame, one verdict or one tick at a time.

use bytes::Bytes;
use serde::Deserialize;

use super::{Admission, Decision, Effect, End, Phase, Session};
use crate::binding::Side;
use crate::canonical::Json;
use crate::card::Card;
use crate::envelope::{Envelope, Kind, Unverified};
use crate::frame::{MAX_FRAME, MAX_HANDSHAKE};
use crate::key::PeerKey;
use crate::message::is_timely;
use crate::negotiate::{self, Rejection};
use crate::reason::Reason;
use crate::rotation;
use crate::time::{Now, Timestamp};

/// What the initiator of a held connection is told, in the words that published peers show.
const PENDING: &str = "Connection pending approval by remote agent";

impl Session {
    /// Takes bytes that were read from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// Handles the next whole frame. `None` where there is none, where the verdict is still out, or where
    /// the session is over.
    pub fn next(&mut self, now: Now) -> Option<Vec<Effect>> {
        let limit = match self.phase {
            Phase::Greeting => MAX_HANDSHAKE,
            Phase::Asking | Phase::Proving | Phase::Carding | Phase::Open => MAX_FRAME,
            Phase::Judged | Phase::Ended => return None,
        };
        let frame = match self.decoder.next_frame(limit) {
            Ok(frame) => frame?,
            Err(oversized) => return Some(self.end(oversized.into())),
        };
        self.last_heard = now.monotonic;
        self.heartbeat_sent = false;
        let step = match self.phase {
            Phase::Greeting => self.greeted(&frame, now),
            Phase::Asking => self.answered(&frame, now),
            Phase::Proving => self.proven(&frame, now),
            Phase::Carding => self.carded(&frame, now),
            Phase::Open => self.opened(&frame, now),
            Phase::Judged | Phase::Ended => return None,
        };
        Some(step.unwrap_or_else(|end| self.end(end)))
    }

    /// Answers [`Effect::Authenticated`].
    #[must_use]
    pub fn admit(&mut self, admission: Admission, now: Now) -> Vec<Effect> {
        if self.phase != Phase::Judged {
            return Vec::new();
        }
        match admission {
            Admission::Accept => {
                self.phase = Phase::Carding;
                self.deadline = now.monotonic + self.local.deadlines.negotiation;
                let binding = self.binding(Side::Receiver).unwrap_or_default();
                let response = self.write(Kind::NegotiateResponse, Some(negotiate::response(self.extensions, self.streams, &binding)), now);
                let card = self.write_card(now);
                vec![Effect::Write(response), Effect::Write(card)]
            }
            Admission::Ask => {
                let body = Json::from_value(&serde_json::json!({ "message": PENDING }));
                let request = self.write(Kind::ApprovalRequest, Some(body), now);
                let mut effects = vec![Effect::Write(request)];
                effects.extend(self.end(End::Refused(Reason::PendingApproval)));
                effects
            }
            Admission::Refuse => self.end(End::Refused(Reason::Blocked)),
            Admission::Unbound => self.reject(Rejection::BindingMissing, now),
        }
    }

    /// Looks at the clock: sends a heartbeat where one is due, ends the session where the peer is late.
    #[must_use]
    pub fn tick(&mut self, now: Now) -> Vec<Effect> {
        if self.phase == Phase::Ended {
            return Vec::new();
        }
        if self.phase != Phase::Open {
            let is_late = now.monotonic >= self.deadline && self.phase != Phase::Judged;
            return if is_late { self.end(End::Late(self.phase.name())) } else { Vec::new() };
        }
        let may_ask = self.is_initiator || self.extensions.cumulative_ack;
        if !may_ask {
            self.deadline = now.monotonic + self.local.deadlines.silence;
            return Vec::new();
        }
        let silence = now.monotonic.saturating_sub(self.last_heard);
        if silence >= self.local.deadlines.silence {
            return self.end(End::Late(self.phase.name()));
        }
        if silence >= self.local.deadlines.heartbeat && !self.heartbeat_sent {
            self.heartbeat_sent = true;
            self.deadline = self.last_heard + self.local.deadlines.silence;
            return vec![Effect::Write(self.write(Kind::SystemHeartbeat, None, now))];
        }
        let next = if self.heartbeat_sent { self.local.deadlines.silence } else { self.local.deadlines.heartbeat };
        self.deadline = self.last_heard + next;
        Vec::new()
    }

    /// The socket was closed by the peer.
    #[must_use]
    pub fn eof(&mut self) -> Vec<Effect> {
        if self.phase == Phase::Ended {
            return Vec::new();
        }
        let end = match self.phase {
            Phase::Asking => End::Refused(Reason::Blocked),
            phase => End::PeerLeft(phase.name()),
        };
        self.end(end)
    }

    pub(super) fn end(&mut self, end: End) -> Vec<Effect> {
        self.phase = Phase::Ended;
        vec![Effect::End(end)]
    }

    fn greeted(&mut self, frame: &Bytes, now: Now) -> Result<Vec<Effect>, End> {
        let met = crate::handshake::parse_reply(frame)?;
        let followed = |expected: &PeerKey| rotation::leads(&met.rotations, expected, &met.key, &met.address.wire(), now.wall);
        if let Some(expected) = self.expected.key.filter(|expected| *expected != met.key && !followed(expected)) {
            return Err(End::KeyChanged { expected, met: met.key });
        }
        self.peer = Some(met);
        self.phase = Phase::Asking;
        self.deadline = now.monotonic + self.local.deadlines.negotiation;
        if let Some(decision) = self.decision {
            return Ok(self.say(decision, now));
        }
        let binding = self.binding(Side::Initiator).unwrap_or_default();
        let request = self.write(Kind::NegotiateRequest, Some(negotiate::request(&binding)), now);
        Ok(vec![Effect::Write(request)])
    }

    fn answered(&mut self, frame: &Bytes, now: Now) -> Result<Vec<Effect>, End> {
        let envelope = self.verified(frame)?;
        match envelope.kind {
            Kind::NegotiateResponse => {
                let chosen = negotiate::read_response(envelope.body.as_ref()).ok_or(End::Refused(Reason::VersionNotSupported))?;
                self.is_bound = self.compare(chosen.channel_binding.as_deref(), Side::Receiver).map_err(|no| End::Refused(no.reason()))?;
                if !self.is_bound && self.expected.binding {
                    return Err(End::Refused(Reason::ChannelBindingMissing));
                }
                self.extensions = chosen.extensions;
                self.streams = chosen.streaming;
                self.phase = Phase::Carding;
                Ok(vec![Effect::Write(self.write_card(now))])
            }
            Kind::NegotiateReject => Err(End::Refused(negotiate::read_reject(envelope.body.as_ref()))),
            Kind::ApprovalRequest => Err(End::Pending(pending_text(envelope.body.as_ref()))),
            _ => Err(End::Violation("the answer to negotiate.request is something else")),
        }
    }

    fn proven(&mut self, frame: &Bytes, now: Now) -> Result<Vec<Effect>, End> {
        let envelope = self.verified(frame)?;
        if let Some(decision) = Decision::of(envelope.kind) {
            return self.told(decision, &envelope, now);
        }
        if envelope.kind != Kind::NegotiateRequest {
            return Err(End::Violation("the first envelope is not negotiate.request"));
        }
        if !self.is_meant(&envelope.to) {
            return Err(End::Refused(Reason::NotAddressedHere));
        }
        let written = Timestamp::parse(&envelope.timestamp).ok_or(End::Refused(Reason::InvalidEnvelope))?;
        if !is_timely(written, None, now.wall) {
            return Err(End::Refused(Reason::ClockSkew));
        }
        let Some(offer) = negotiate::read_request(envelope.body.as_ref()) else {
            return Ok(self.reject(Rejection::Version, now));
        };
        match self.compare(offer.channel_binding.as_deref(), Side::Initiator) {
            Ok(is_bound) => self.is_bound = is_bound,
            Err(rejection) => return Ok(self.reject(rejection, now)),
        }
        self.extensions = offer.extensions;
        self.streams = offer.streaming;
        self.phase = Phase::Judged;
        Ok(vec![Effect::Authenticated])
    }

    /// Compares the peer's digest of the channel with ours: true where they agree, false where it sent none
    /// and need not.
    fn compare(&self, theirs: Option<&str>, side: Side) -> Result<bool, Rejection> {
        match theirs {
            Some(theirs) if self.binding(side).as_deref() == Some(theirs) => Ok(true),
            Some(_) => Err(Rejection::BindingMismatch),
            None if self.local.requires_binding => Err(Rejection::BindingMissing),
            None => Ok(false),
        }
    }

    fn reject(&mut self, rejection: Rejection, now: Now) -> Vec<Effect> {
        let reject = self.write(Kind::NegotiateReject, Some(negotiate::reject(rejection)), now);
        let mut effects = vec![Effect::Write(reject)];
        effects.extend(self.end(End::Refused(rejection.reason())));
        effects
    }

    fn carded(&mut self, frame: &Bytes, now: Now) -> Result<Vec<Effect>, End> {
        let envelope = self.verified(frame)?;
        if envelope.kind != Kind::CardExchange {
            return Err(End::Violation("a message came before the card"));
        }
        let key = self.peer.as_ref().ok_or(End::Violation("no handshake"))?.key;
        let card = Card::from_body(envelope.body.as_ref(), &key)?;
        self.phase = Phase::Open;
        self.deadline = now.monotonic + self.local.deadlines.heartbeat;
        Ok(vec![Effect::Opened(Box::new(card))])
    }

    /// Parses and verifies one envelope of the peer: its signature, its sender, its place in the order.
    pub(super) fn verified(&mut self, frame: &Bytes) -> Result<Envelope, End> {
        let peer = self.peer.as_ref().ok_or(End::Violation("no handshake"))?;
        let envelope = Unverified::parse(frame)?.verify(&peer.key)?;
        if envelope.from.wire() != peer.address.wire() {
            return Err(End::Violation("the sender is not the one of the handshake"));
        }
        if self.last_sequence.is_some_and(|last| envelope.sequence <= last) {
            return Err(End::Refused(Reason::SequenceViolation));
        }
        self.last_sequence = Some(envelope.sequence);
        Ok(envelope)
    }

    fn write_card(&mut self, now: Now) -> Vec<u8> {
        let body = self.local.card.to_body();
        self.write(Kind::CardExchange, Some(body), now)
    }
}

fn pending_text(body: Option<&Json>) -> String {
    #[derive(Deserialize)]
    struct Pending {
        message: String,
    }
    body.and_then(|body| serde_json::from_str::<Pending>(body.as_str()).ok()).map_or_else(|| PENDING.to_owned(), |pending| pending.message)
}
