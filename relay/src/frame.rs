//! Frames as the relay handles them: read into messages, but written from bytes that are ready.
//!
//! A row of the log is the frame as published members get it. A thousand subscribers get the same bytes, and those with the extension
//! get one more field behind them: protocol buffers may be put together by putting their bytes together. What an attacker would try
//! is a frame that cannot be read; it is answered and does not end the stream of an honest member whose bytes were garbled
//! by a bug of its own.

use prost::Message as _;
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use toq_dataplane::extension::{self, TRAILER};
use toq_dataplane::wire::message::MessageType;
use toq_dataplane::wire::{Message, Publish, SlimHeader};

/// The number of `Message.seq`.
const SEQ: u32 = 113;

/// What came from a member.
#[derive(Debug)]
pub enum Inbound {
    /// A frame.
    Frame(Box<Message>),
    /// Bytes that are none.
    Garbage,
}

/// What goes to a member.
#[derive(Debug)]
pub struct Outbound {
    /// The frame.
    pub bytes: Bytes,
    /// Its place, where the member is told.
    pub seq: Option<u64>,
    /// What it takes up of the room for what is on its way; given back when it has been written.
    pub room: Option<OwnedSemaphorePermit>,
}

impl Outbound {
    /// Makes a frame of a message that is not in the log.
    pub fn message(message: MessageType) -> Self {
        let message = Message { message_type: Some(message), ..Message::default() };
        Self { bytes: Bytes::from(message.encode_to_vec()), seq: None, room: None }
    }
}

/// Makes what is kept and forwarded of a publication: its destination, its session header and its content, with room for its place
/// as the last eight bytes. `None` where it carries nothing.
pub fn forwarded(mut publish: Publish) -> Option<Vec<u8>> {
    // Whatever else a header says of its sender is nobody's business.
    let destination = publish.header.take()?.destination;
    publish.header = Some(SlimHeader { destination, ..SlimHeader::default() });
    let blob = extension::carried_mut(&mut publish)?;
    let mut room = BytesMut::with_capacity(blob.len() + TRAILER);
    room.extend_from_slice(blob);
    room.put_bytes(0, TRAILER);
    *blob = room.freeze();
    // The bytes are the last field of their message, which is the last of its own, so they end the frame.
    let message = Message { message_type: Some(MessageType::Publish(publish)), ..Message::default() };
    Some(message.encode_to_vec())
}

/// Reads [`Inbound`], writes [`Outbound`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameCodec;

impl Codec for FrameCodec {
    type Encode = Outbound;
    type Decode = Inbound;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for FrameCodec {
    type Item = Outbound;
    type Error = Status;

    fn encode(&mut self, item: Outbound, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item.bytes);
        if let Some(seq) = item.seq {
            encode_key(SEQ, WireType::Varint, buffer);
            encode_varint(seq, buffer);
        }
        Ok(())
    }
}

impl Decoder for FrameCodec {
    type Item = Inbound;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Inbound>, Status> {
        use prost::bytes::Buf as _;

        // What is not read of a frame must not be taken for the beginning of the next one.
        let whole = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(Message::decode(whole).map_or(Inbound::Garbage, |message| Inbound::Frame(Box::new(message)))))
    }
}

#[cfg(test)]
mod tests {
    use toq_channels::ChannelName;
    use toq_dataplane::Carriage;

    use super::*;

    fn published(carriage: Carriage) -> Publish {
        let channel = ChannelName::parse("acme/team/general").expect("a name");
        let frame = extension::publish(&channel, carriage, Bytes::from_static(b"mls"), None, None);
        match frame.message_type {
            Some(MessageType::Publish(mut publish)) => {
                publish.header.as_mut().expect("a header").identity = "nobody's business".to_owned();
                publish
            }
            other => panic!("not a publication: {other:?}"),
        }
    }

    #[test]
    fn whatever_carries_the_bytes_a_forwarded_frame_ends_in_its_place() {
        for carriage in [Carriage::Message, Carriage::Commit, Carriage::Proposal, Carriage::Welcome] {
            let mut frame = forwarded(published(carriage)).expect("it carries something");
            let place = frame.len() - TRAILER;
            frame[place..].copy_from_slice(&42u64.to_be_bytes());

            let message = Message::decode(frame.as_slice()).expect("still a frame");
            let Some(MessageType::Publish(publish)) = message.message_type else { panic!("not a publication") };
            let (read, blob) = extension::carried(&publish).expect("it carries something");

            assert_eq!((read, extension::without_trailer(blob)), (carriage, Some((Bytes::from_static(b"mls"), 42))));
            assert_eq!(publish.header.expect("a header").identity, "");
        }
    }
}
