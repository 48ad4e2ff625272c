//! Signed envelopes: everything that travels after the handshake.
//!
//! A receiver never verifies the bytes that it read. It parses the frame into the known members, brings
//! them into canonical form and verifies that, so unknown top-level members are neither signed nor
//! delivered. Parsing therefore yields [`Unverified`], and only [`Unverified::verify`] gives access to the
//! [`Envelope`].

use std::fmt;

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use crate::address::Address;
use crate::canonical::{Json, push_string};
use crate::key::{Identity, PeerKey, Signature};
use crate::message::MessageId;

/// The version text that we write and that published peers expect.
pub const VERSION: &str = "0.1";

/// Why a frame is not an envelope, or not one of the peer that it claims.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The frame is not the JSON object that the protocol describes.
    #[error("malformed envelope: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The signature is not the peer's over this content.
    #[error("signature does not verify")]
    Signature,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The type of an envelope.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Kind {
            /// Every type of the protocol.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text),* }
            }

            /// The type with this name, if there is one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Kind::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// Reserved; never sent.
    HandshakeInit = "handshake.init",
    /// Reserved; never sent.
    HandshakeResponse = "handshake.response",
    /// Reserved; never sent.
    HandshakeReject = "handshake.reject",
    /// The initiator's versions and features.
    NegotiateRequest = "negotiate.request",
    /// The receiver's choice.
    NegotiateResponse = "negotiate.response",
    /// No version in common.
    NegotiateReject = "negotiate.reject",
    /// Asks to go on with an earlier session; ignored, unacknowledged messages are sent again instead.
    SessionResume = "session.resume",
    /// The orderly end.
    SessionDisconnect = "session.disconnect",
    /// The receiver's owner is being asked.
    ApprovalRequest = "approval.request",
    /// The owner said yes.
    ApprovalGranted = "approval.granted",
    /// The owner said no.
    ApprovalDenied = "approval.denied",
    /// A message.
    MessageSend = "message.send",
    /// The receiver has committed a message.
    MessageAck = "message.ack",
    /// Withdraws a message; ignored.
    MessageCancel = "message.cancel",
    /// A piece of a stream.
    MessageStreamChunk = "message.stream.chunk",
    /// The end of a stream.
    MessageStreamEnd = "message.stream.end",
    /// The end of a conversation.
    ThreadClose = "thread.close",
    /// Are you there?
    SystemHeartbeat = "system.heartbeat",
    /// I am.
    SystemHeartbeatAck = "system.heartbeat.ack",
    /// Slow down.
    SystemBackpressure = "system.backpressure",
    /// Go on.
    SystemBackpressureClear = "system.backpressure.clear",
    /// A message was refused.
    SystemError = "system.error",
    /// The sender has a new key.
    SystemKeyRotation = "system.key_rotation",
    /// Whether the new key was taken.
    SystemKeyRotationAck = "system.key_rotation.ack",
    /// An agent's card.
    CardExchange = "card.exchange",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How soon a message wants to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The default.
    Normal,
    /// Now.
    Urgent,
}

/// The content of an envelope, without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The protocol version that the sender wrote; not checked, as published peers do not.
    pub version: String,
    /// The envelope's id.
    pub id: MessageId,
    /// Its type.
    pub kind: Kind,
    /// The sender's address as it claims it.
    pub from: Address,
    /// The recipients.
    pub to: Vec<Address>,
    /// The conversation it belongs to.
    pub thread_id: Option<String>,
    /// The envelope it answers.
    pub reply_to: Option<String>,
    /// Its place in this session and direction.
    pub sequence: u64,
    /// When it was written, RFC 3339; kept as text because the text is signed.
    pub timestamp: String,
    /// How soon it wants to be read.
    pub priority: Option<Priority>,
    /// The MIME type of the body.
    pub content_type: Option<String>,
    /// How long it may wait, in seconds.
    pub ttl: Option<u64>,
    /// The body's compression, if any was agreed.
    pub compression: Option<String>,
    /// The nonce of an end-to-end encrypted body.
    pub e2e_nonce: Option<String>,
    /// The body.
    pub body: Option<Json>,
}

impl Envelope {
    /// The bytes that are signed.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.body.as_ref().map_or(0, |body| body.as_str().len()));
        let mut object = ObjectWriter::new(&mut out);
        object.json("body", self.body.as_ref());
        object.text("compression", self.compression.as_deref());
        object.text("content_type", self.content_type.as_deref());
        object.text("e2e_nonce", self.e2e_nonce.as_deref());
        object.text("from", Some(&self.from.wire()));
        object.text("id", Some(&self.id.to_string()));
        object.text("priority", self.priority.map(Priority::as_str));
        object.text("reply_to", self.reply_to.as_deref());
        object.number("sequence", Some(self.sequence));
        object.text("thread_id", self.thread_id.as_deref());
        object.text("timestamp", Some(&self.timestamp));
        object.list("to", &self.to);
        object.number("ttl", self.ttl);
        object.text("type", Some(self.kind.as_str()));
        object.text("version", Some(&self.version));
        object.close();
        out
    }

    /// Signs the envelope and returns the JSON text that goes into a frame.
    #[must_use]
    pub fn sign(&self, identity: &Identity) -> Vec<u8> {
        let signature = identity.sign(&self.canonical());
        let mut out = Vec::with_capacity(640 + self.body.as_ref().map_or(0, |body| body.as_str().len()));
        let mut object = ObjectWriter::new(&mut out);
        object.text("version", Some(&self.version));
        object.text("id", Some(&self.id.to_string()));
        object.text("type", Some(self.kind.as_str()));
        object.text("from", Some(&self.from.wire()));
        object.list("to", &self.to);
        object.text("thread_id", self.thread_id.as_deref());
        object.text("reply_to", self.reply_to.as_deref());
        object.number("sequence", Some(self.sequence));
        object.text("timestamp", Some(&self.timestamp));
        object.text("priority", self.priority.map(Priority::as_str));
        object.text("content_type", self.content_type.as_deref());
        object.number("ttl", self.ttl);
        object.text("compression", self.compression.as_deref());
        object.text("signature", Some(&signature.to_string()));
        object.text("e2e_nonce", self.e2e_nonce.as_deref());
        object.json("body", self.body.as_ref());
        object.close();
        out
    }
}

impl Priority {
    const fn as_str(self) -> &'static str {
        match self {
            Priority::Normal => "normal",
            Priority::Urgent => "urgent",
        }
    }
}

/// An envelope whose signature nobody has checked yet.
#[derive(Debug)]
pub struct Unverified {
    envelope: Envelope,
    signature: Signature,
}

impl Unverified {
    /// Parses the payload of a frame.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] for anything that is not an envelope of the protocol.
    pub fn parse(payload: &[u8]) -> Result<Self, EnvelopeError> {
        let wire: Wire = serde_json::from_slice(payload)?;
        let envelope = Envelope {
            version: wire.version,
            id: MessageId::from(wire.id),
            kind: wire.kind,
            from: wire.from.0,
            to: wire.to.into_iter().map(|address| address.0).collect(),
            thread_id: wire.thread_id,
            reply_to: wire.reply_to,
            sequence: wire.sequence,
            timestamp: wire.timestamp,
            priority: wire.priority,
            content_type: wire.content_type,
            ttl: wire.ttl,
            compression: wire.compression,
            e2e_nonce: wire.e2e_nonce,
            body: wire.body,
        };
        Ok(Self { envelope, signature: wire.signature.0 })
    }

    /// Checks that `key` signed this envelope and hands it out.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`] where it did not.
    pub fn verify(self, key: &PeerKey) -> Result<Envelope, EnvelopeError> {
        if key.verifies(&self.envelope.canonical(), &self.signature) {
            return Ok(self.envelope);
        }
        // Peers built before serde_json 1.0.146 sign `1e16` where newer ones sign `1e+16`.
        let has_exponent = self.envelope.body.as_ref().is_some_and(|body| body.as_str().contains("e+"));
        if has_exponent {
            let mut older = self.envelope.clone();
            older.body = older.body.map(|body| body.with_plain_exponents());
            if key.verifies(&older.canonical(), &self.signature) {
                return Ok(self.envelope);
            }
        }
        Err(EnvelopeError::Signature)
    }
}

#[derive(Deserialize)]
struct Wire {
    version: String,
    id: Uuid,
    #[serde(rename = "type")]
    kind: Kind,
    from: AddressText,
    to: Vec<AddressText>,
    thread_id: Option<String>,
    reply_to: Option<String>,
    sequence: u64,
    timestamp: String,
    priority: Option<Priority>,
    content_type: Option<String>,
    ttl: Option<u64>,
    compression: Option<String>,
    signature: SignatureText,
    e2e_nonce: Option<String>,
    body: Option<Json>,
}

struct AddressText(Address);

impl<'de> Deserialize<'de> for AddressText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Address::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

struct SignatureText(Signature);

impl<'de> Deserialize<'de> for SignatureText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Signature::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Writes one JSON object member by member, in the order of the calls, leaving absent members out.
struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> ObjectWriter<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        push_string(self.out, name);
        self.out.push(b':');
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.name(name);
            push_string(self.out, value);
        }
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.name(name);
            self.out.extend_from_slice(value.to_string().as_bytes());
        }
    }

    fn json(&mut self, name: &str, value: Option<&Json>) {
        if let Some(value) = value {
            self.name(name);
            self.out.extend_from_slice(value.as_str().as_bytes());
        }
    }

    fn list(&mut self, name: &str, addresses: &[Address]) {
        self.name(name);
        self.out.push(b'[');
        for (index, address) in addresses.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            push_string(self.out, &address.wire());
        }
        self.out.push(b']');
    }

    fn close(self) {
        self.out.push(b'}');
    }
}
