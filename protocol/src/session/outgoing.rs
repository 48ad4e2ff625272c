//! What a session writes: messages with their own sequence numbers, acknowledgements, refusals, the end.

use std::time::Duration;

use serde_json::json;

use super::open::MAX_PAUSE;
use super::{Effect, End, Phase, Session};
use crate::address::Address;
use crate::canonical::Json;
use crate::envelope::{Envelope, Kind, VERSION};
use crate::frame::{self, Oversized};
use crate::message::{Message, MessageId};
use crate::reason::Reason;
use crate::rotation::Notice;
use crate::time::Now;

/// The message's frame would be over the limit of the wire.
pub type TooLarge = Oversized;

/// Something to send that the peer will acknowledge.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// A stored message.
    Message(&'a Message),
    /// A piece of a stream.
    Chunk {
        /// The id of this piece.
        id: MessageId,
        /// The address that was dialled.
        to: &'a Address,
        /// The stream's thread.
        thread_id: &'a str,
        /// The body: stream id and data.
        body: &'a Json,
        /// What is carried, where it is not text.
        content_type: Option<&'static str>,
    },
}

impl Session {
    /// The frame of a message under the next sequence number. The message counts as unacknowledged from
    /// here on.
    ///
    /// # Errors
    /// [`TooLarge`] where the frame would be over the limit; no sequence number is used then.
    pub fn send(&mut self, outgoing: Outgoing<'_>, now: Now) -> Result<Vec<u8>, TooLarge> {
        let sequence = self.next_sequence;
        let mut envelope = match outgoing {
            Outgoing::Message(message) => message.to_envelope(sequence),
            Outgoing::Chunk { id, to, thread_id, body, content_type } => {
                let mut envelope = self.control(Kind::MessageStreamChunk, Some(body.clone()), now);
                envelope.id = id;
                envelope.to = vec![to.clone()];
                envelope.thread_id = Some(thread_id.to_owned());
                envelope.content_type = content_type.map(str::to_owned);
                envelope.sequence = sequence;
                envelope
            }
        };
        envelope.from = self.local.address.clone();
        let frame = frame::encode(&envelope.sign(&self.local.identity))?;
        self.next_sequence = sequence + 1;
        self.unacked.push_back((sequence, envelope.id));
        Ok(frame)
    }

    /// Acknowledges one received envelope.
    #[must_use]
    pub fn ack(&mut self, id: MessageId, now: Now) -> Vec<u8> {
        self.write(Kind::MessageAck, Some(Json::from_value(&json!({"ack_id": id.to_string()}))), now)
    }

    /// Acknowledges every received envelope up to `sequence`, of which `id` is the last. Only where
    /// [`Session::has_cumulative_acks`].
    #[must_use]
    pub fn ack_up_to(&mut self, id: MessageId, sequence: u64, now: Now) -> Vec<u8> {
        let body = json!({"ack_id": id.to_string(), "up_to": sequence});
        self.write(Kind::MessageAck, Some(Json::from_value(&body)), now)
    }

    /// Refuses one received envelope. A peer of our own kind is told and the session goes on; a published
    /// one would take any envelope for an acknowledgement, so the session ends without a word.
    #[must_use]
    pub fn refuse(&mut self, id: MessageId, reason: Reason, now: Now) -> Vec<Effect> {
        if !self.extensions.cumulative_ack {
            self.phase = Phase::Ended;
            return vec![Effect::End(End::Refused(reason))];
        }
        let body = json!({"code": reason.as_str(), "message": reason.as_str(), "related_id": id.to_string()});
        vec![Effect::Write(self.write(Kind::SystemError, Some(Json::from_value(&body)), now))]
    }

    /// Tells how much of an announced file is here. Only where [`Session::has_files`].
    #[must_use]
    pub fn want(&mut self, id: MessageId, offset: u64, now: Now) -> Vec<u8> {
        let word = Reason::FileIncomplete.as_str();
        let body = json!({"code": word, "message": format!("{offset} bytes are here"), "related_id": id.to_string(), "offset": offset});
        self.write(Kind::SystemError, Some(Json::from_value(&body)), now)
    }

    /// Tells the peer which key comes. Nothing is written to a published peer that dialled us, which would take it for its
    /// acknowledgement; one that we dialled ignores it.
    #[must_use]
    pub fn announce_rotation(&mut self, notice: &Notice, now: Now) -> Vec<u8> {
        if !self.is_open() || !(self.is_initiator || self.extensions.cumulative_ack) {
            return Vec::new();
        }
        self.write(Kind::SystemKeyRotation, Some(notice.to_body()), now)
    }

    /// Answers [`Effect::Rotated`].
    #[must_use]
    pub fn answer_rotation(&mut self, id: MessageId, accepted: bool, now: Now) -> Vec<u8> {
        if !self.is_open() {
            return Vec::new();
        }
        let mut answer = self.control(Kind::SystemKeyRotationAck, Some(Json::from_value(&json!({ "accepted": accepted }))), now);
        answer.reply_to = Some(id.to_string());
        self.number(&mut answer);
        self.frame(&answer)
    }

    /// Asks the peer to write nothing for so long. Nothing is written to a published peer, which would take it for its
    /// acknowledgement.
    #[must_use]
    pub fn slow_down(&mut self, pause: Duration, now: Now) -> Vec<u8> {
        if !self.is_open() || !self.extensions.cumulative_ack {
            return Vec::new();
        }
        let seconds = u64::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).min(MAX_PAUSE.as_secs());
        self.write(Kind::SystemBackpressure, Some(Json::from_value(&json!({"retry_after": seconds}))), now)
    }

    /// Says goodbye and ends the session.
    #[must_use]
    pub fn goodbye(&mut self, why: &'static str, now: Now) -> Vec<Effect> {
        let was_open = self.phase == Phase::Open;
        let mut effects = Vec::new();
        if was_open && (self.is_initiator || self.extensions.cumulative_ack) {
            effects.push(Effect::Write(self.write(Kind::SessionDisconnect, None, now)));
        }
        self.phase = Phase::Ended;
        effects.push(Effect::End(End::Left(why)));
        effects
    }

    /// A signed control envelope in its frame.
    pub(super) fn write(&mut self, kind: Kind, body: Option<Json>, now: Now) -> Vec<u8> {
        let mut envelope = self.control(kind, body, now);
        self.number(&mut envelope);
        self.frame(&envelope)
    }

    pub(super) fn number(&mut self, envelope: &mut Envelope) {
        envelope.sequence = self.next_sequence;
        self.next_sequence += 1;
    }

    pub(super) fn frame(&self, envelope: &Envelope) -> Vec<u8> {
        frame::encode(&envelope.sign(&self.local.identity)).expect("control envelopes and cards are far below the limit")
    }

    /// A control envelope to the address that the peer claims, without a sequence number.
    pub(super) fn control(&mut self, kind: Kind, body: Option<Json>, now: Now) -> Envelope {
        self.next_id = self.next_id.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Envelope {
            version: VERSION.to_owned(),
            id: MessageId::from_random(self.next_id.to_be_bytes()),
            kind,
            from: self.local.address.clone(),
            to: self.peer.iter().map(|peer| peer.address.clone()).collect(),
            thread_id: None,
            reply_to: None,
            sequence: 0,
            timestamp: now.wall.to_string(),
            priority: None,
            content_type: None,
            ttl: None,
            compression: None,
            e2e_nonce: None,
            body,
        }
    }
}
