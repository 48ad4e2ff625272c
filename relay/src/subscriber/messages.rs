//! What a connection is told: by its member through its hands, by topics, and by the registry.

use actix::Message;
use prost::bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use toq_channels::ChannelName;
use toq_dataplane::Tag;
use toq_store::StoreError;
use toq_store::relay::Appended;

use super::answer::Answer;

/// A frame has arrived.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Arrived {
    /// What; nobody has looked at it yet.
    pub frame: Bytes,
    /// Its share of the connection's window.
    pub own: OwnedSemaphorePermit,
    /// Its share of what all connections may have on its way.
    pub room: OwnedSemaphorePermit,
}

/// The member sends nothing any more, or the connection is broken.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Ended;

/// There are too many channels in use to do this now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crowded {
    /// Which channel.
    pub channel: ChannelName,
    /// What is not done.
    pub what: Undone,
    /// For a person.
    pub why: String,
}

/// What there was no room for.
#[derive(Debug)]
pub enum Undone {
    /// One of our wishes.
    Wish(u64),
    /// One of our publications.
    Publication {
        /// Its tag.
        tag: Tag,
        /// Its share of the connection's window.
        own: OwnedSemaphorePermit,
    },
}

/// A wish cannot be met from the place that was named.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Lost {
    /// In which channel.
    pub(super) channel: ChannelName,
    /// Which of our wishes.
    pub(super) wish: u64,
    /// What the member calls it.
    pub(super) tag: Option<Tag>,
    /// Why.
    pub(super) answer: Answer,
    /// The wish's share of the connection's window.
    pub(super) own: Option<OwnedSemaphorePermit>,
}

/// The connection is to be ended with this last word.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SentAway(pub Status);

/// What the member sends cannot be read any further.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Unreadable(pub Status);

/// The connection is to be ended, if it listens to or waits for this channel; whatever it does where there is none.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct End {
    /// Which channel.
    pub of: Option<ChannelName>,
}

/// The API key of the connection was revoked, or somebody may no longer take part in a channel: what it was let do is to be looked at
/// again.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Recheck {
    /// In which channel, if it is one.
    pub channel: Option<ChannelName>,
}

/// A channel's topic knows that we listen.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Joined {
    /// Which of our wishes.
    pub wish: u64,
    /// How far the log goes.
    pub last: u64,
}

/// A log has grown.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Nudge {
    /// Which channel's.
    pub channel: ChannelName,
    /// How far it goes.
    pub last: u64,
}

/// Something of ours was written, or was not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stored {
    /// Where.
    pub channel: ChannelName,
    /// What.
    pub tag: Tag,
    /// Its share of the connection's window.
    pub own: OwnedSemaphorePermit,
    /// What became of it.
    pub end: Result<Appended, StoreError>,
}
