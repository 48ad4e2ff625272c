//! Frames: a four-byte big-endian length and that many bytes.
//!
//! The limit is checked on the length alone, before anything is reserved for it, and the buffer grows
//! only with bytes that have really arrived.

use bytes::{Buf, Bytes, BytesMut};

/// The largest frame of the handshake, in bytes.
pub const MAX_HANDSHAKE: usize = 65_536;

/// The largest frame after the handshake, in bytes.
pub const MAX_FRAME: usize = 1_048_576;

const PREFIX: usize = 4;

/// A frame is larger than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame of {length} bytes is over the limit of {limit}")]
pub struct Oversized {
    /// What the prefix announced.
    pub length: usize,
    /// What was allowed.
    pub limit: usize,
}

/// Cuts a byte stream into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Makes an empty decoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes exactly `N` bytes off the front, where they have arrived.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.buffer.first_chunk::<N>().copied()?;
        self.buffer.advance(N);
        Some(taken)
    }

    /// Takes the next whole frame, if it has arrived.
    ///
    /// # Errors
    /// [`Oversized`] as soon as a prefix announces more than `limit` bytes; the decoder is of no use then.
    pub fn next_frame(&mut self, limit: usize) -> Result<Option<Bytes>, Oversized> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > limit {
            return Err(Oversized { length, limit });
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// How many bytes wait for the rest of their frame.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }
}

/// The frame of `payload`, prefix and content in one piece so that it is one write.
///
/// # Errors
/// [`Oversized`] where the payload is over [`MAX_FRAME`].
pub fn encode(payload: &[u8]) -> Result<Vec<u8>, Oversized> {
    let length = payload.len();
    let prefix = match u32::try_from(length) {
        Ok(prefix) if length <= MAX_FRAME => prefix,
        _ => return Err(Oversized { length, limit: MAX_FRAME }),
    };
    let mut out = Vec::with_capacity(PREFIX + length);
    out.extend_from_slice(&prefix.to_be_bytes());
    out.extend_from_slice(payload);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let stream: Vec<u8> = [encode(b"one").expect("small"), encode(b"").expect("small"), encode(b"three").expect("small")].concat();
        for step in 1..=stream.len() {
            let mut decoder = Decoder::new();
            let mut frames = Vec::new();
            for piece in stream.chunks(step) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame(16).expect("small") {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [&b"one"[..], b"", b"three"]);
        }
    }

    #[test]
    fn the_limit_is_checked_on_the_prefix_alone() {
        let mut decoder = Decoder::new();
        decoder.push(&u32::MAX.to_be_bytes());

        assert_eq!(decoder.next_frame(MAX_FRAME), Err(Oversized { length: u32::MAX as usize, limit: MAX_FRAME }));
        assert!(encode(&vec![0; MAX_FRAME]).is_ok());
        assert!(encode(&vec![0; MAX_FRAME + 1]).is_err());
    }
}
