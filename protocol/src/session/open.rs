//! What may arrive while messages flow.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::{Effect, End, Session};
use crate::canonical::Json;
use crate::envelope::{Envelope, Kind};
use crate::message::{MessageId, is_timely};
use crate::reason::Reason;
use crate::rotation::Notice;
use crate::time::{Now, Timestamp};

/// The longest pause that a peer may ask for, as the published protocol has it.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(60);

impl Session {
    pub(super) fn opened(&mut self, frame: &Bytes, now: Now) -> Result<Vec<Effect>, End> {
        let envelope = self.verified(frame)?;
        match envelope.kind {
            // Whom we dialled was never judged: it has shown a key, and may claim any address. Whoever has something to
            // say dials, and is judged.
            Kind::MessageSend | Kind::ThreadClose | Kind::MessageStreamChunk | Kind::MessageStreamEnd if self.is_initiator => {
                Err(End::Violation("a message came on a connection that this side opened"))
            }
            Kind::MessageSend | Kind::ThreadClose | Kind::MessageStreamChunk | Kind::MessageStreamEnd => Ok(self.received(envelope, now)),
            Kind::MessageAck => Ok(self.acked(envelope.body.as_ref())),
            Kind::SystemHeartbeat => Ok(vec![Effect::Write(self.heartbeat_ack(&envelope, now))]),
            Kind::SystemError => Ok(self.refused(envelope.body.as_ref())),
            Kind::SystemBackpressure => Ok(slow(envelope.body.as_ref())),
            Kind::SystemKeyRotation => Ok(self.rotated(&envelope, now)),
            Kind::SystemKeyRotationAck => Ok(followed(envelope.body.as_ref())),
            Kind::SessionDisconnect => Err(End::PeerLeft("the session")),
            // Ignored, as published peers do: they are late, reserved or not ours to answer.
            Kind::ApprovalDenied
            | Kind::ApprovalGranted
            | Kind::ApprovalRequest
            | Kind::CardExchange
            | Kind::HandshakeInit
            | Kind::HandshakeReject
            | Kind::HandshakeResponse
            | Kind::MessageCancel
            | Kind::NegotiateReject
            | Kind::NegotiateRequest
            | Kind::NegotiateResponse
            | Kind::SessionResume
            | Kind::SystemBackpressureClear
            | Kind::SystemHeartbeatAck => Ok(Vec::new()),
        }
    }

    fn received(&mut self, envelope: Envelope, now: Now) -> Vec<Effect> {
        let reason = if !self.is_meant(&envelope.to) {
            Some(Reason::NotAddressedHere)
        } else {
            match Timestamp::parse(&envelope.timestamp) {
                None => Some(Reason::InvalidEnvelope),
                Some(written) if !is_timely(written, envelope.ttl, now.wall) => Some(Reason::ClockSkew),
                Some(_) => None,
            }
        };
        let Some(reason) = reason else { return vec![Effect::Received(Box::new(envelope))] };
        let mut effects = vec![Effect::Rejected(envelope.id, reason)];
        effects.extend(self.refuse(envelope.id, reason, now));
        effects
    }

    fn acked(&mut self, body: Option<&Json>) -> Vec<Effect> {
        #[derive(Deserialize)]
        struct Ack {
            ack_id: String,
            up_to: Option<u64>,
        }
        let Some(ack) = body.and_then(|body| serde_json::from_str::<Ack>(body.as_str()).ok()) else { return Vec::new() };
        let acked: Vec<MessageId> = match ack.up_to.filter(|_| self.extensions.cumulative_ack) {
            Some(up_to) => {
                let count = self.unacked.partition_point(|(sequence, _)| *sequence <= up_to);
                self.unacked.drain(..count).map(|(_, id)| id).collect()
            }
            None => MessageId::parse(&ack.ack_id).and_then(|id| self.take_unacked(id)).into_iter().collect(),
        };
        if acked.is_empty() { Vec::new() } else { vec![Effect::Acked(acked)] }
    }

    fn refused(&mut self, body: Option<&Json>) -> Vec<Effect> {
        #[derive(Deserialize)]
        struct Refusal {
            code: String,
            #[serde(default)]
            message: String,
            related_id: Option<String>,
            offset: Option<u64>,
        }
        let Some(refusal) = body.and_then(|body| serde_json::from_str::<Refusal>(body.as_str()).ok()) else { return Vec::new() };
        let related = refusal.related_id.as_deref().and_then(MessageId::parse).and_then(|id| self.take_unacked(id));
        let Some(id) = related else { return Vec::new() };
        if let (Reason::FileIncomplete, Some(offset)) = (Reason::parse(&refusal.code), refusal.offset) {
            return vec![Effect::Wanted(id, offset)];
        }
        let text: String = refusal.message.chars().filter(|c| !c.is_control()).take(256).collect();
        vec![Effect::Refused(id, Reason::parse(&refusal.code), text)]
    }

    /// Not a word is believed here; but what was meant for somebody else or is old is not even looked at.
    fn rotated(&mut self, envelope: &Envelope, now: Now) -> Vec<Effect> {
        let is_timely = Timestamp::parse(&envelope.timestamp).is_some_and(|written| is_timely(written, envelope.ttl, now.wall));
        if !self.is_meant(&envelope.to) || !is_timely {
            return Vec::new();
        }
        match Notice::from_body(envelope.body.as_ref()) {
            Some(notice) => vec![Effect::Rotated(envelope.id, Box::new(notice))],
            None => vec![Effect::Write(self.answer_rotation(envelope.id, false, now))],
        }
    }

    fn take_unacked(&mut self, id: MessageId) -> Option<MessageId> {
        let index = self.unacked.iter().position(|(_, unacked)| *unacked == id)?;
        self.unacked.remove(index).map(|(_, id)| id)
    }

    fn heartbeat_ack(&mut self, heartbeat: &Envelope, now: Now) -> Vec<u8> {
        let mut answer = self.control(Kind::SystemHeartbeatAck, None, now);
        answer.reply_to = Some(heartbeat.id.to_string());
        self.number(&mut answer);
        self.frame(&answer)
    }
}

fn followed(body: Option<&Json>) -> Vec<Effect> {
    #[derive(Deserialize)]
    struct Answer {
        accepted: bool,
    }
    let answer = body.and_then(|body| serde_json::from_str::<Answer>(body.as_str()).ok());
    answer.map(|answer| Effect::Followed(answer.accepted)).into_iter().collect()
}

fn slow(body: Option<&Json>) -> Vec<Effect> {
    #[derive(Deserialize)]
    struct Pause {
        retry_after: u64,
    }
    let pause = body.and_then(|body| serde_json::from_str::<Pause>(body.as_str()).ok());
    pause.map(|pause| Effect::Slow(Duration::from_secs(pause.retry_after).min(MAX_PAUSE))).into_iter().collect()
}
