//! What members ask for, read without whatever nobody needs of it.
//!
//! A frame of the data plane has lists and maps besides what it is for: an entry of two bytes on the wire would be more than a hundred
//! in memory, and whatever is forwarded is forwarded to everybody. Here a frame is read into what the relay looks at and forwards, with the
//! same numbers as in `dataplane.proto`; all else is skipped and takes up nothing. So a frame that has been read is about as large
//! as its bytes, and what becomes of a publication is as large as its blob and its channel's name.

use prost::Message;
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use toq_dataplane::extension::TRAILER;
use toq_dataplane::wire::{ApplicationPayload, MlsPayload, Name, SessionHeader};

/// The longest `payload_type` that is forwarded, in bytes. Published members mark cover traffic with one of 27 and read no others.
const MAX_PAYLOAD_TYPE: usize = 64;

/// A frame.
#[derive(Clone, PartialEq, Message)]
pub struct Asked {
    /// For what; `None` for what only relays say, and for what a later extension may say.
    #[prost(oneof = "What", tags = "1, 2, 3")]
    pub what: Option<What>,
    /// What its sender calls it.
    #[prost(bytes = "bytes", tag = "110")]
    pub tag: Bytes,
    /// The place to resume behind.
    #[prost(uint64, optional, tag = "111")]
    pub after: Option<u64>,
    /// How far its sender has read.
    #[prost(uint64, optional, tag = "112")]
    pub seen: Option<u64>,
}

/// What is asked for.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum What {
    /// A channel's messages.
    #[prost(message, tag = "1")]
    Subscribe(Subscription),
    /// No more of them.
    #[prost(message, tag = "2")]
    Unsubscribe(Subscription),
    /// That this is published.
    #[prost(message, tag = "3")]
    Publish(Publication),
}

/// Which channel.
#[derive(Clone, PartialEq, Message)]
pub struct Subscription {
    #[prost(message, optional, tag = "1")]
    header: Option<Address>,
}

/// What is published, and where.
#[derive(Clone, PartialEq, Message)]
pub struct Publication {
    #[prost(message, optional, tag = "1")]
    header: Option<Address>,
    #[prost(message, optional, tag = "2")]
    session: Option<SessionHeader>,
    #[prost(message, optional, tag = "3")]
    content: Option<Content>,
}

/// A header: what it says of its sender is nobody's business.
#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, optional, tag = "2")]
    destination: Option<Name>,
}

#[derive(Clone, PartialEq, Message)]
struct Content {
    #[prost(oneof = "Payload", tags = "1, 2")]
    payload: Option<Payload>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Payload {
    #[prost(message, tag = "1")]
    Application(ApplicationPayload),
    #[prost(message, tag = "2")]
    Command(Command),
}

#[derive(Clone, PartialEq, Message)]
struct Command {
    #[prost(oneof = "Change", tags = "7, 8, 9, 11")]
    change: Option<Change>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Change {
    #[prost(message, tag = "7")]
    Add(Membership),
    #[prost(message, tag = "8")]
    Remove(Membership),
    #[prost(message, tag = "9")]
    Welcome(Welcome),
    #[prost(message, tag = "11")]
    Proposal(Proposal),
}

#[derive(Clone, PartialEq, Message)]
struct Membership {
    #[prost(message, optional, tag = "3")]
    mls: Option<MlsPayload>,
}

#[derive(Clone, PartialEq, Message)]
struct Welcome {
    #[prost(message, optional, tag = "2")]
    mls: Option<MlsPayload>,
}

#[derive(Clone, PartialEq, Message)]
struct Proposal {
    #[prost(bytes = "bytes", tag = "2")]
    mls_proposal: Bytes,
}

impl Subscription {
    /// The channel's name on the wire.
    #[must_use]
    pub fn destination(&self) -> Option<&Name> {
        self.header.as_ref()?.destination.as_ref()
    }
}

impl Publication {
    /// The channel's name on the wire.
    #[must_use]
    pub fn destination(&self) -> Option<&Name> {
        self.header.as_ref()?.destination.as_ref()
    }

    /// What is carried; `None` where nothing is (an acknowledgement, a ping, something unknown).
    #[must_use]
    pub fn blob(&self) -> Option<&Bytes> {
        match self.content.as_ref()?.payload.as_ref()? {
            Payload::Application(payload) => Some(&payload.blob),
            Payload::Command(command) => match command.change.as_ref()? {
                Change::Add(membership) | Change::Remove(membership) => Some(&membership.mls.as_ref()?.mls_content),
                Change::Welcome(welcome) => Some(&welcome.mls.as_ref()?.mls_content),
                Change::Proposal(proposal) => Some(&proposal.mls_proposal),
            },
        }
    }

    fn blob_mut(&mut self) -> Option<&mut Bytes> {
        match self.content.as_mut()?.payload.as_mut()? {
            Payload::Application(payload) => Some(&mut payload.blob),
            Payload::Command(command) => match command.change.as_mut()? {
                Change::Add(membership) | Change::Remove(membership) => Some(&mut membership.mls.as_mut()?.mls_content),
                Change::Welcome(welcome) => Some(&mut welcome.mls.as_mut()?.mls_content),
                Change::Proposal(proposal) => Some(&mut proposal.mls_proposal),
            },
        }
    }

    /// Makes what is kept and forwarded: its destination, its session header and its content, with room for its place as the last
    /// eight bytes. `None` where it carries nothing.
    #[must_use]
    pub fn forwarded(mut self) -> Option<Vec<u8>> {
        if let Some(Content { payload: Some(Payload::Application(payload)) }) = &mut self.content
            && payload.payload_type.len() > MAX_PAYLOAD_TYPE
        {
            payload.payload_type.clear();
        }
        let blob = self.blob_mut()?;
        let mut room = BytesMut::with_capacity(blob.len() + TRAILER);
        room.extend_from_slice(blob);
        room.put_bytes(0, TRAILER);
        *blob = room.freeze();
        // The bytes are the last field of their message, which is the last of its own, so they end the frame.
        Some(Asked { what: Some(What::Publish(self)), ..Asked::default() }.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use toq_channels::ChannelName;
    use toq_dataplane::wire::command_payload::CommandPayloadType;
    use toq_dataplane::wire::content::ContentType;
    use toq_dataplane::wire::message::MessageType;
    use toq_dataplane::wire::{self, Publish};
    use toq_dataplane::{Carriage, Tag, extension};

    use super::*;

    const CARRIAGES: [Carriage; 4] = [Carriage::Message, Carriage::Commit, Carriage::Proposal, Carriage::Welcome];

    fn frame(carriage: Carriage, blob: &'static [u8]) -> wire::Message {
        let channel = ChannelName::parse("acme/team/general").expect("a name");
        extension::publish(&channel, carriage, Bytes::from_static(blob), Some(Tag([7; 16])), Some(3))
    }

    fn publish_of(frame: &mut wire::Message) -> &mut Publish {
        let Some(MessageType::Publish(publish)) = &mut frame.message_type else { panic!("not a publication") };
        publish
    }

    fn read(frame: &wire::Message) -> Publication {
        let asked = Asked::decode(frame.encode_to_vec().as_slice()).expect("a frame");
        assert_eq!((asked.tag.as_ref(), asked.after, asked.seen), (&[7; 16][..], None, Some(3)));
        let Some(What::Publish(publication)) = asked.what else { panic!("not a publication") };
        publication
    }

    #[test]
    fn whatever_carries_the_bytes_a_forwarded_frame_ends_in_its_place() {
        for carriage in CARRIAGES {
            let mut frame = read(&frame(carriage, b"mls")).forwarded().expect("it carries something");
            let place = frame.len() - TRAILER;
            frame[place..].copy_from_slice(&42u64.to_be_bytes());

            let mut message = wire::Message::decode(frame.as_slice()).expect("still a frame");
            let (read, blob) = extension::carried(publish_of(&mut message)).expect("it carries something");

            assert_eq!((read, extension::without_trailer(blob)), (carriage, Some((Bytes::from_static(b"mls"), 42))));
            assert!(message.tag.is_empty() && message.seen.is_none(), "what its sender asked for is not told");
        }
    }

    #[test]
    fn nothing_is_forwarded_beside_the_bytes_and_where_they_go() {
        let name = || Name { name: None, str_name: Some(wire::StringName { str_component_0: "x".repeat(9000), ..Default::default() }) };
        for carriage in CARRIAGES {
            let bare = read(&frame(carriage, b"mls")).forwarded();
            let mut padded = frame(carriage, b"mls");
            padded.metadata.insert("x".repeat(9000), "x".repeat(9000));
            let publish = publish_of(&mut padded);
            let header = publish.header.as_mut().expect("a header");
            (header.source, header.identity, header.fanout) = (Some(name()), "x".repeat(9000), 7);
            match publish.msg.as_mut().and_then(|content| content.content_type.as_mut()) {
                Some(ContentType::AppPayload(payload)) => payload.payload_type = "x".repeat(9000),
                Some(ContentType::CommandPayload(command)) => match &mut command.command_payload_type {
                    Some(CommandPayloadType::GroupAdd(change)) => {
                        (change.participant, change.participants) = (Some(name()), vec![name(); 3]);
                    }
                    Some(CommandPayloadType::GroupWelcome(welcome)) => welcome.participants = vec![name(); 3],
                    Some(CommandPayloadType::GroupProposal(proposal)) => proposal.source = Some(name()),
                    other => panic!("unexpected: {other:?}"),
                },
                None => panic!("it carries something"),
            }
            assert!(padded.encoded_len() > 18_000);

            assert_eq!(read(&padded).forwarded(), bare);
        }
    }

    #[test]
    fn a_short_mark_of_cover_traffic_is_forwarded() {
        let mut marked = frame(Carriage::Message, b"noise");
        let mark = "application/x-skytale-cover";
        let Some(ContentType::AppPayload(payload)) = publish_of(&mut marked).msg.as_mut().and_then(|content| content.content_type.as_mut())
        else {
            panic!("a message")
        };
        payload.payload_type = mark.to_owned();

        let forwarded = read(&marked).forwarded().expect("it carries something");

        assert!(forwarded.windows(mark.len()).any(|bytes| bytes == mark.as_bytes()));
    }
}
