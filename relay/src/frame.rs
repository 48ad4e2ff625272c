//! Frames as the relay handles them: bytes that nobody has looked at, and bytes that are ready.
//!
//! A row of the log is the frame as published members get it. A thousand subscribers get the same bytes, and those with the extension
//! get one more field behind them: protocol buffers may be put together by putting their bytes together.

use prost::Message as _;
use prost::bytes::{BufMut as _, Bytes};
use prost::encoding::{WireType, encode_key, encode_varint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use toq_dataplane::wire::Message;
use toq_dataplane::wire::message::MessageType;

/// The number of `Message.seq`.
const SEQ: u32 = 113;

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

/// Reads bytes, writes [`Outbound`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameCodec;

impl Codec for FrameCodec {
    type Encode = Outbound;
    type Decode = Bytes;
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
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        use prost::bytes::Buf as _;

        // What they say is looked at when there is room for it. All is taken: what is left of a frame would begin the next one.
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
