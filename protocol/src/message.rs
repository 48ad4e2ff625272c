//! Messages as they are kept: unsigned, so that each attempt to deliver one gets its own sequence
//! number and signature.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::address::Address;
use crate::canonical::Json;
use crate::envelope::{Envelope, Kind, VERSION};
use crate::frame::MAX_FRAME;
use crate::time::Timestamp;

/// The longest lifetime of a message.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a frame has beside the body of its message: two addresses, three references, a signature and names, in bytes at most.
const ENVELOPE: usize = 8 * 1024;

/// The largest body of a message, in bytes of its canonical JSON: what is left of a frame.
pub const MAX_BODY: usize = MAX_FRAME - ENVELOPE;

/// How far a sender's clock may be off where a message states no lifetime.
pub const MAX_SKEW: Duration = Duration::from_secs(600);

/// The id of a message: a UUID, lower-case and hyphenated as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Makes an id from 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Makes an id that sorts by the time it was made (UUID version 7, RFC 9562 section 5.7) from that time
    /// and random bytes. Ids are keys of the log's indexes: ids in the order of time go to neighbouring
    /// pages, random ones each dirty a page of their own.
    #[must_use]
    pub fn ordered(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_nanos() / 1_000_000).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Takes 16 bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Parses any text form of a UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<Uuid> for MessageId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// What agents exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id, the same for every attempt and every copy.
    pub id: MessageId,
    /// `message.send`, `thread.close` or `message.stream.end`.
    pub kind: Kind,
    /// Who wrote it.
    pub from: Address,
    /// Who shall read it.
    pub to: Address,
    /// The conversation it belongs to.
    pub thread_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// The MIME type of its body.
    pub content_type: Option<String>,
    /// When it was written.
    pub timestamp: Timestamp,
    /// How long it may wait for delivery.
    pub ttl: Option<Duration>,
    /// Its body.
    pub body: Option<Json>,
}

impl Message {
    /// The envelope of one attempt to deliver this message.
    #[must_use]
    pub fn to_envelope(&self, sequence: u64) -> Envelope {
        Envelope {
            version: VERSION.to_owned(),
            id: self.id,
            kind: self.kind,
            from: self.from.clone(),
            to: vec![self.to.clone()],
            thread_id: self.thread_id.clone(),
            reply_to: self.reply_to.clone(),
            sequence,
            timestamp: self.timestamp.to_string(),
            priority: None,
            content_type: self.content_type.clone(),
            ttl: self.ttl.map(|ttl| ttl.as_secs()),
            compression: None,
            e2e_nonce: None,
            body: self.body.clone(),
        }
    }

    /// The message as local programs read it: one JSON object in the shape of the event stream.
    #[must_use]
    pub fn to_event(&self) -> Value {
        let mut event = json!({
            "id": self.id.to_string(),
            "type": self.kind.as_str(),
            "from": self.from.wire(),
            "timestamp": self.timestamp.to_string(),
        });
        let optional = [
            ("body", self.body.as_ref().map(Json::to_value)),
            ("thread_id", self.thread_id.clone().map(Value::from)),
            ("reply_to", self.reply_to.clone().map(Value::from)),
            ("content_type", self.content_type.clone().map(Value::from)),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                event[name] = value;
            }
        }
        event
    }

    /// The message in an envelope that was addressed to `to`.
    #[must_use]
    pub fn from_envelope(envelope: Envelope, to: Address, received: Timestamp) -> Self {
        Self {
            id: envelope.id,
            kind: envelope.kind,
            from: envelope.from,
            to,
            thread_id: envelope.thread_id,
            reply_to: envelope.reply_to,
            content_type: envelope.content_type,
            timestamp: received,
            ttl: envelope.ttl.map(Duration::from_secs),
            body: envelope.body,
        }
    }
}

/// True where an envelope written at `written` may be accepted at `now`: within [`MAX_SKEW`] of now, or
/// not yet past its signed lifetime, which counts up to [`MAX_TTL`].
#[must_use]
pub fn is_timely(written: Timestamp, ttl: Option<u64>, now: Timestamp) -> bool {
    if written.distance(now) <= MAX_SKEW {
        return true;
    }
    let Some(ttl) = ttl else { return false };
    let ttl = Duration::from_secs(ttl).min(MAX_TTL);
    written < now && now < written.plus(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_timely_within_ten_minutes_or_its_lifetime() {
        let written = Timestamp::from_nanos(1_000_000_000_000_000_000);
        let after = |secs| written.plus(Duration::from_secs(secs));

        assert!(is_timely(written, None, after(600)));
        assert!(!is_timely(written, None, after(601)));
        assert!(is_timely(written, Some(3600), after(3599)));
        assert!(!is_timely(written, Some(3600), after(3600)));
        assert!(!is_timely(written, Some(u64::MAX), after(31 * 24 * 3600)));
        assert!(is_timely(after(599), None, written));
        assert!(!is_timely(after(601), Some(3600), written));
    }
}
