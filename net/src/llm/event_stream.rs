//! AWS event stream frames (`application/vnd.amazon.eventstream`), within limits.
//!
//! A frame is: its length and the length of its headers (4 bytes each, big endian), a CRC-32 of these eight
//! bytes, headers, payload, and a CRC-32 of everything before it.

use super::LlmError;

/// The largest frame, as AWS bounds them too.
const MAX_FRAME: usize = 1 << 20;

/// Lengths and their checksum.
const PRELUDE: usize = 12;

/// The type number of a text header's value.
const TEXT: u8 = 7;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// `event` or `exception`.
    pub(super) message_type: &'a str,
    /// Which event or exception it is.
    pub(super) name: &'a str,
    /// What it says.
    pub(super) payload: &'a [u8],
}

/// Cuts bytes into frames.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    /// Takes the next bytes, cut anywhere; hands each complete frame to `take`.
    ///
    /// # Errors
    /// [`LlmError::TooLarge`] where a frame says that it is over its limit, [`LlmError::Malformed`] where a
    /// checksum or a header is wrong, and what `take` returns.
    pub(super) fn feed(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(&Frame<'_>) -> Result<(), LlmError>) -> Result<(), LlmError> {
        loop {
            let wanted = self.wanted()?;
            let (now, later) = bytes.split_at(bytes.len().min(wanted - self.0.len()));
            self.0.extend_from_slice(now);
            bytes = later;
            if self.0.len() == wanted && wanted > PRELUDE {
                let frame = std::mem::take(&mut self.0);
                take(&parse(&frame)?)?;
            } else if bytes.is_empty() && self.0.len() < self.wanted()? {
                return Ok(());
            }
        }
    }

    /// How many bytes are needed before there is more to say: a prelude, or the frame that it announces.
    fn wanted(&self) -> Result<usize, LlmError> {
        if self.0.len() < PRELUDE {
            return Ok(PRELUDE);
        }
        if crc32fast::hash(&self.0[..8]) != number(&self.0[8..]) {
            return Err(malformed("a frame's prelude has a wrong checksum"));
        }
        let length = number(&self.0) as usize;
        if length > MAX_FRAME {
            return Err(LlmError::TooLarge("one frame of the stream"));
        }
        if length < PRELUDE + 4 { Err(malformed("a frame is too short")) } else { Ok(length) }
    }
}

fn parse(frame: &[u8]) -> Result<Frame<'_>, LlmError> {
    let (content, checksum) = frame.split_at(frame.len() - 4);
    if crc32fast::hash(content) != number(checksum) {
        return Err(malformed("a frame has a wrong checksum"));
    }
    let headers = number(&frame[4..]) as usize;
    let short = || malformed("a frame's headers do not fit");
    let (mut headers, payload) = content[PRELUDE..].split_at_checked(headers).ok_or_else(short)?;
    let mut parsed = Frame { message_type: "", name: "", payload };
    while !headers.is_empty() {
        let (name, rest) = counted::<1>(headers).ok_or_else(short)?;
        let (kind, rest) = rest.split_first().ok_or_else(short)?;
        if *kind != TEXT {
            return Err(malformed("a frame's header is not text"));
        }
        let (value, rest) = counted::<2>(rest).ok_or_else(short)?;
        let value = std::str::from_utf8(value).map_err(|_| malformed("a frame's header is not UTF-8"))?;
        match name {
            b":message-type" => parsed.message_type = value,
            b":event-type" | b":exception-type" | b":error-code" => parsed.name = value,
            _ => {}
        }
        headers = rest;
    }
    Ok(parsed)
}

/// A length of `N` bytes, and that much.
fn counted<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(N)?;
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn malformed(why: &str) -> LlmError {
    LlmError::Malformed(why.to_owned())
}

/// Writes a frame, for tests of those who read them.
#[cfg(test)]
pub(super) fn write(message_type: &str, name: &str, payload: &[u8]) -> Vec<u8> {
    let name_header = if message_type == "event" { ":event-type" } else { ":exception-type" };
    let mut headers = Vec::new();
    for (key, value) in [(":message-type", message_type), (name_header, name), (":content-type", "application/json")] {
        headers.push(u8::try_from(key.len()).expect("short"));
        headers.extend_from_slice(key.as_bytes());
        headers.push(TEXT);
        headers.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let be = |length: usize| u32::try_from(length).expect("short").to_be_bytes();
    let mut frame = [be(PRELUDE + headers.len() + payload.len() + 4), be(headers.len())].concat();
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<(String, String, Vec<u8>)>, LlmError> {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for piece in pieces {
            frames.feed(&piece, &mut |frame| {
                found.push((frame.message_type.to_owned(), frame.name.to_owned(), frame.payload.to_vec()));
                Ok(())
            })?;
        }
        Ok(found)
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut() {
        let stream = [write("event", "one", b"{}"), write("exception", "two", b""), write("event", "three", &[7; 300])].concat();

        let whole = read([stream.clone()]).expect("frames");

        assert_eq!(whole.len(), 3);
        assert_eq!(whole[1], ("exception".to_owned(), "two".to_owned(), Vec::new()));
        for size in 1..40 {
            assert_eq!(read(stream.chunks(size).map(<[u8]>::to_vec)).expect("frames"), whole, "pieces of {size}");
        }
    }

    #[test]
    fn the_empty_frame_of_the_specification_is_read() {
        let frame = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];

        assert_eq!(read([frame.to_vec()]).expect("a frame"), [(String::new(), String::new(), Vec::new())]);
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let frame = write("event", "one", b"{\"a\":1}");
        for at in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[at / 8] ^= 1 << (at % 8);

            assert!(read([damaged]).is_err(), "bit {at}");
        }
    }

    #[test]
    fn a_frame_that_says_it_is_huge_is_refused_before_it_comes() {
        let mut prelude = [(MAX_FRAME as u32 + 1).to_be_bytes(), 0_u32.to_be_bytes()].concat();
        prelude.extend_from_slice(&crc32fast::hash(&prelude).to_be_bytes());

        assert_eq!(read([prelude]), Err(LlmError::TooLarge("one frame of the stream")));
    }
}
