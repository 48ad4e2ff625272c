//! What a connection is told and what it tells.

use std::sync::Arc;
use std::time::Duration;

use actix::{Message, Recipient};
use toq_net::SecureIo;
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::handshake::Credentials;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{self, MessageId};
use toq_protocol::reason::Reason;
use toq_protocol::rotation::Notice;
use toq_protocol::session::Greeted;
use toq_protocol::time::Timestamp;

use crate::outbox::Files;

/// A greeted link that a door hands over.
pub struct Link {
    /// Its bytes and its channel.
    pub io: SecureIo,
    /// What its initiator showed.
    pub greeted: Greeted,
    /// The address of our end.
    pub local_host: String,
    /// The address of theirs.
    pub remote: String,
}

/// Which way a connection was opened, and who is told of it.
pub enum Role {
    /// A peer opened it.
    Incoming(Box<Link>),
    /// We dial it for a lane.
    Outgoing {
        /// Whom to dial.
        target: Address,
        /// Who is told what happens.
        events: Recipient<LinkEvent>,
        /// Which dial this is, so that news of an earlier one is not taken for news of this.
        attempt: u64,
    },
}

/// Write this; news of its acknowledgement comes as [`LinkEvent`].
#[derive(Message)]
#[rtype(result = "()")]
pub enum Write {
    /// A stored message.
    Message(Box<message::Message>),
    /// A piece of a stream.
    Chunk {
        /// The id of this piece.
        id: MessageId,
        /// The address that was dialled.
        to: Address,
        /// The stream's thread.
        thread_id: String,
        /// Stream id and data.
        body: Json,
        /// What is carried, where it is not text.
        content_type: Option<&'static str>,
    },
}

/// Tell the peer of our new key, say goodbye and close.
#[derive(Clone, Message)]
#[rtype(result = "()")]
pub struct Announce(pub Arc<Notice>);

/// Say goodbye and close.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Goodbye(pub &'static str);

/// Something happened on an outgoing connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LinkEvent {
    /// The dial that it belongs to.
    pub attempt: u64,
    /// What happened.
    pub news: LinkNews,
}

/// What can happen on an outgoing connection.
#[derive(Debug)]
pub enum LinkNews {
    /// Messages may be written.
    Opened {
        /// Whom we met.
        peer: Box<Credentials>,
        /// What it takes of files.
        files: Files,
        /// Whether it takes streams.
        streams: bool,
    },
    /// The peer has committed these.
    Acked(Vec<MessageId>),
    /// The peer refused this one.
    Refused(MessageId, Reason, String),
    /// The peer has so many bytes of the file that this message announces.
    Wanted(MessageId, u64),
    /// The peer wants a pause.
    Slow(Duration),
    /// It is over, for this reason in words.
    Closed(String),
}

/// A live connection in a few words.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// The session id that the receiver chose.
    pub session_id: String,
    /// The peer's address as it claims it.
    pub peer_address: String,
    /// The peer's key.
    pub peer_key: PeerKey,
    /// When it was opened.
    pub connected_at: Timestamp,
    /// Messages in either direction.
    pub messages: u64,
    /// True where the peer opened it.
    pub is_incoming: bool,
}

/// Describe yourself as the API lists connections; `None` before the peer has proven itself.
#[derive(Clone, Copy, Message)]
#[rtype(result = "Option<ConnectionView>")]
pub struct View;
