//! What this relay and its members say beyond the published protocol.
//!
//! Both sides name the extension in the metadata of the call ([`HEADER`]: [`VERSION`]); only then do they send fields from
//! number 100 up. Everything that both kinds of client share (where the MLS bytes are in a frame, what a channel is called on
//! the wire, the eight bytes behind what a relay forwards) is here as well, so that relay and member cannot disagree about it.

use prost::bytes::Bytes;
use toq_channels::{ChannelName, NameError};

use crate::wire::command_payload::CommandPayloadType;
use crate::wire::content::ContentType;
use crate::wire::message::MessageType;
use crate::wire::{
    ApplicationPayload, CommandPayload, Content, GroupMembership, GroupProposal, GroupWelcome, Message, MlsPayload, Name, Publish,
    SessionHeader, SlimHeader, StringName, Subscribe, Unsubscribe,
};

/// The request and response header in which a side says that it knows the extension.
pub const HEADER: &str = "toq-relay";
/// The version of the extension that this is.
pub const VERSION: &str = "1";

/// The largest frame that a relay takes by default: a plaintext of 262,144 bytes makes a blob of about 336 KiB, and a
/// commit that adds many members is larger than any message.
pub const MAX_FRAME: usize = 1 << 20;

/// The largest blob that a relay can be told to take, in bytes. Members take whatever such a relay forwards.
pub const MAX_MESSAGE: usize = 16 << 20;

/// What a relay appends to the MLS bytes of everything that it forwards: the place in the log, 8 bytes, big-endian.
pub const TRAILER: usize = 8;

/// `session_type` of a message to a group.
const MULTICAST: i32 = 2;

/// What the sender of a Subscribe or Publish calls it; the answer repeats it. Chosen at random, and the same whenever the same
/// thing is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub [u8; 16]);

impl Tag {
    /// Reads a tag; `None` where it has another length than 16 bytes.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn wire(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

/// Which part of a frame carries the MLS bytes. It is what the sender says; who needs to be sure looks at the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carriage {
    /// A message of an application.
    Message,
    /// A commit, whatever it changes.
    Commit,
    /// A proposal.
    Proposal,
    /// A welcome. Published members never send one this way.
    Welcome,
}

impl Carriage {
    /// The `session_message_type` that published members put beside it.
    const fn message_type(self) -> i32 {
        match self {
            Carriage::Message => 1,
            Carriage::Commit => 11,
            Carriage::Welcome => 13,
            Carriage::Proposal => 15,
        }
    }
}

/// Makes the frame that asks for a channel's messages.
#[must_use]
pub fn subscribe(channel: &ChannelName, after: Option<u64>, tag: Option<Tag>) -> Message {
    let subscribe = Subscribe { header: Some(header(channel)) };
    let tag = tag.map(Tag::wire).unwrap_or_default();
    Message { message_type: Some(MessageType::Subscribe(subscribe)), after, tag, ..Message::default() }
}

/// Makes the frame that ends a subscription.
#[must_use]
pub fn unsubscribe(channel: &ChannelName) -> Message {
    let unsubscribe = Unsubscribe { header: Some(header(channel)) };
    Message { message_type: Some(MessageType::Unsubscribe(unsubscribe)), ..Message::default() }
}

/// Makes the frame that publishes MLS bytes to a channel.
#[must_use]
pub fn publish(channel: &ChannelName, carriage: Carriage, blob: Bytes, tag: Option<Tag>, seen: Option<u64>) -> Message {
    let mls = |blob| Some(MlsPayload { commit_id: 0, mls_content: blob });
    let command = |command| ContentType::CommandPayload(CommandPayload { command_payload_type: Some(command) });
    let content = match carriage {
        Carriage::Message => ContentType::AppPayload(ApplicationPayload { payload_type: String::new(), blob }),
        Carriage::Commit => command(CommandPayloadType::GroupAdd(GroupMembership { mls: mls(blob), ..GroupMembership::default() })),
        Carriage::Proposal => command(CommandPayloadType::GroupProposal(GroupProposal { source: None, mls_proposal: blob })),
        Carriage::Welcome => command(CommandPayloadType::GroupWelcome(GroupWelcome { participants: Vec::new(), mls: mls(blob) })),
    };
    let session = SessionHeader { session_type: MULTICAST, session_message_type: carriage.message_type(), ..SessionHeader::default() };
    let publish = Publish { header: Some(header(channel)), session: Some(session), msg: Some(Content { content_type: Some(content) }) };
    let tag = tag.map(Tag::wire).unwrap_or_default();
    Message { message_type: Some(MessageType::Publish(publish)), tag, seen, ..Message::default() }
}

/// The bytes that a Publish carries, and where; `None` where there are none (an acknowledgement, a ping, something unknown).
#[must_use]
pub fn carried(publish: &Publish) -> Option<(Carriage, &Bytes)> {
    match publish.msg.as_ref()?.content_type.as_ref()? {
        ContentType::AppPayload(payload) => Some((Carriage::Message, &payload.blob)),
        ContentType::CommandPayload(command) => match command.command_payload_type.as_ref()? {
            CommandPayloadType::GroupAdd(change) | CommandPayloadType::GroupRemove(change) => {
                Some((Carriage::Commit, &change.mls.as_ref()?.mls_content))
            }
            CommandPayloadType::GroupWelcome(welcome) => Some((Carriage::Welcome, &welcome.mls.as_ref()?.mls_content)),
            CommandPayloadType::GroupProposal(proposal) => Some((Carriage::Proposal, &proposal.mls_proposal)),
            CommandPayloadType::GroupAck(_) | CommandPayloadType::GroupNack(_) | CommandPayloadType::Ping(_) => None,
        },
    }
}

/// Cuts what a relay appended: the MLS bytes and the place in the log. `None` where there is nothing before it.
#[must_use]
pub fn without_trailer(blob: &Bytes) -> Option<(Bytes, u64)> {
    let cut = blob.len().checked_sub(TRAILER).filter(|cut| *cut > 0)?;
    let seq = u64::from_be_bytes(blob[cut..].try_into().ok()?);
    Some((blob.slice(..cut), seq))
}

/// The channel that a header is addressed to.
///
/// # Errors
/// [`NameError`] where it is addressed to nothing, or to what no channel is called.
pub fn destination(header: Option<&SlimHeader>) -> Result<ChannelName, NameError> {
    channel(header.and_then(|header| header.destination.as_ref()))
}

/// The channel that a name on the wire means.
///
/// # Errors
/// [`NameError`] where there is none, or none that a channel may have.
pub fn channel(name: Option<&Name>) -> Result<ChannelName, NameError> {
    let parts = name.and_then(|name| name.str_name.as_ref()).ok_or_else(|| NameError::Parts(String::new()))?;
    ChannelName::from_parts(&parts.str_component_0, &parts.str_component_1, &parts.str_component_2)
}

/// A channel's name on the wire.
#[must_use]
pub fn name(channel: &ChannelName) -> Name {
    let (organisation, namespace, service) = channel.parts();
    let parts =
        StringName { str_component_0: organisation.to_owned(), str_component_1: namespace.to_owned(), str_component_2: service.to_owned() };
    Name { name: None, str_name: Some(parts) }
}

/// The header of a frame for a channel.
#[must_use]
pub fn header(channel: &ChannelName) -> SlimHeader {
    SlimHeader { destination: Some(name(channel)), ..SlimHeader::default() }
}
