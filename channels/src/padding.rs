//! Padding: messages of similar length look the same length to a relay.
//!
//! ```text
//! [mask, 4 random bytes][length, u32 little-endian, XOR mask][message][random bytes up to a size that many messages share]
//! ```
//!
//! A frame of more than 32 KiB has the byte `fe` before that, which counts as part of its size.
//!
//! Published members of 0.5.2 and later frame application messages so and read unframed ones too; older ones read only
//! unframed ones. The mask hides nothing from somebody who knows the format; it only keeps the frame from looking like one. Padding is
//! removed before a message is decrypted, so that nobody can learn from it what an encrypted message is, and an
//! attacker who changes the frame gets no more than a message that does not decrypt.

/// Bytes before the message.
const HEAD: usize = 8;

/// The largest of [`SIZES`].
const LARGEST_SIZE: usize = 32_768;

/// Sizes that frames up to 32 KiB are brought to; beyond, see [`padded_len`].
const SIZES: [usize; 8] = [256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768];

/// What a frame beyond those sizes begins with.
const LARGE: u8 = 0xfe;

/// The longest message that is padded, in bytes: what a relay takes as a whole.
pub const MAX_MESSAGE: usize = 1 << 20;

/// The message is longer than [`MAX_MESSAGE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes is too long to be padded, the limit is {MAX_MESSAGE}")]
pub struct TooLong(pub usize);

/// The length of the frame around a message of this length.
///
/// The first of eight sizes up to 32 KiB that holds it, and beyond that Padmé: a number of which only the highest bits are set, which
/// shows O(log log n) bits of the length and costs at most 12 %.
#[must_use]
pub fn padded_len(message: usize) -> usize {
    let least = message.saturating_add(HEAD);
    SIZES.into_iter().find(|size| *size >= least).unwrap_or_else(|| padme(least.saturating_add(1)))
}

fn padme(length: usize) -> usize {
    let exponent = length.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - kept_bits)) - 1;
    length.saturating_add(mask) & !mask
}

/// Puts a frame around a message. `random` fills a slice with random bytes.
///
/// # Errors
/// [`TooLong`] for messages over [`MAX_MESSAGE`].
pub fn pad(message: &[u8], mut random: impl FnMut(&mut [u8])) -> Result<Vec<u8>, TooLong> {
    let length = u32::try_from(message.len()).ok().filter(|_| message.len() <= MAX_MESSAGE).ok_or(TooLong(message.len()))?;
    let mut mask = [0; 4];
    random(&mut mask);
    if looks_unpadded(&mask) {
        // Once in a billion messages; the first bit is as good as any other.
        mask[0] |= 0x80;
    }
    let masked = (u32::from_le_bytes(mask) ^ length).to_le_bytes();
    let whole = padded_len(message.len());
    let mut frame = Vec::with_capacity(whole);
    frame.extend((whole > LARGEST_SIZE).then_some(LARGE));
    for part in [&mask[..], &masked, message] {
        frame.extend_from_slice(part);
    }
    let end = frame.len();
    frame.resize(whole, 0);
    random(&mut frame[end..]);
    Ok(frame)
}

/// The message in a frame, or `None` where this is not a frame.
#[must_use]
pub fn unpad(bytes: &[u8]) -> Option<&[u8]> {
    let frame = match bytes {
        [LARGE, frame @ ..] if bytes.len() > LARGEST_SIZE => frame,
        _ if bytes.len() > LARGEST_SIZE => return None,
        frame => frame,
    };
    let (mask, rest) = frame.split_first_chunk::<4>()?;
    let (masked, rest) = rest.split_first_chunk::<4>()?;
    if looks_unpadded(mask) {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(*masked) ^ u32::from_le_bytes(*mask)).ok()?;
    // Published members leave the first byte of a large frame out of account when they round.
    let is_published = || bytes.len() > LARGEST_SIZE && padme(length.saturating_add(HEAD)) == bytes.len();
    if padded_len(length) != bytes.len() && !is_published() {
        return None;
    }
    rest.get(..length)
}

/// The message in a frame, or the bytes themselves where they are not a frame.
#[must_use]
pub fn strip(bytes: &[u8]) -> &[u8] {
    unpad(bytes).unwrap_or(bytes)
}

/// Whether an MLS message begins like this: version 1, a wire format that exists.
const fn looks_unpadded(first: &[u8; 4]) -> bool {
    matches!(first, [0, 1, 0, 1..=5])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_head_of_a_frame_is_ours() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/relay-frames.json")).expect("the vectors are JSON");
        let vector = &vectors["padded_frame_0_5"];
        let mask = [0xb3, 0x4e, 0x86, 0x07];
        let message = vec![7; usize::try_from(vector["len"].as_u64().expect("a number")).expect("small")];

        let frame = pad(&message, |random| random.iter_mut().zip(mask).for_each(|(byte, mask)| *byte = mask)).expect("short");

        let head: String = frame[..HEAD].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(vector["header_hex"].as_str(), Some(head.as_str()));
        assert_eq!(serde_json::json!(SIZES), vector["buckets"]);
        assert_eq!(unpad(&frame), Some(&message[..]));
    }

    #[test]
    fn lengths_are_those_of_the_sizes_and_then_of_padme() {
        for (message, frame) in
            [(0, 256), (248, 256), (249, 512), (32_760, 32_768), (32_761, 34_816), (65_528, 67_584), (100_000, 100_352), (262_144, 270_336)]
        {
            assert_eq!(padded_len(message), frame, "{message}");
        }
        assert_eq!(pad(&vec![0; MAX_MESSAGE + 1], |_| {}), Err(TooLong(MAX_MESSAGE + 1)));
    }

    #[test]
    fn frames_of_more_than_32_kib_begin_as_those_of_published_members() {
        // The head of a frame that a member of 0.5.2 sent, around a message of 32,864 bytes.
        let head = [0xfe, 0x20, 0x2d, 0x76, 0x0b, 0x40, 0xad, 0x76, 0x0b];
        let message = vec![7; 32_864];
        let published = [&head[..], &message, &[0; 34_816 - 9 - 32_864]].concat();

        let ours = pad(&message, |random| random.iter_mut().zip([0x20, 0x2d, 0x76, 0x0b]).for_each(|(byte, mask)| *byte = mask));

        assert_eq!(unpad(&published), Some(&message[..]));
        assert_eq!(ours.map(|frame| (frame.len(), frame[..9].to_vec())), Ok((34_816, head.to_vec())));
        assert_eq!(unpad(&published[1..]), None);
    }

    #[test]
    fn a_small_frame_of_another_size_is_none() {
        assert_eq!(unpad(&[9; HEAD]), None);
        assert_eq!(unpad(&[[9; HEAD].as_slice(), &[0; 2]].concat()), None);
    }

    #[test]
    fn a_mask_that_looks_like_a_message_is_not_used() {
        let frame = pad(b"message", |random| random.iter_mut().zip([0, 1, 0, 2]).for_each(|(byte, mask)| *byte = mask)).expect("short");

        assert_eq!(unpad(&frame), Some(&b"message"[..]));
    }

    #[test]
    fn an_unframed_message_is_left_alone_whatever_its_group() {
        // A group id chosen so that the bytes would also be a frame of length 248.
        let mut message = vec![0, 1, 0, 2, 248, 1, 0, 2];
        message.resize(256, 0);

        assert_eq!(strip(&message), &message[..]);
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_out(length in 0..70_000_usize, byte: u8, seed: u8) {
            let message = vec![byte; length];
            let frame = pad(&message, |random| random.fill(seed)).expect("short");

            prop_assert_eq!(frame.len(), padded_len(message.len()));
            prop_assert_eq!(unpad(&frame), Some(&message[..]));
            prop_assert_eq!(unpad(&frame[..frame.len() - 1]), None);
        }
    }
}
