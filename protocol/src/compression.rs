//! Compressed bodies: gzip (RFC 1952) and Zstandard (RFC 8878), one frame each.
//!
//! Published peers name compression in their negotiation and never agree on any: they offer an empty list,
//! and how a compressed body would stand in JSON is undefined. So nobody is sent a compressed body, and an
//! envelope that claims to have one is refused. What is here is the part that the published library defines,
//! raw bytes in and out, for the day when two sides agree.
//!
//! An attacker would send few bytes that become many. What comes out is therefore bounded before anything is
//! read: by the caller's limit and by [`MAX_RATIO`] times what came in. It is read in pieces, so that
//! memory never holds more than one piece above the bound, and a Zstandard frame that wants to look back
//! further than [`MAX_WINDOW_LOG`] is refused by its header. One layer is taken off and no more.

use std::io::{self, BufRead, Read, Write as _};

/// How many bytes may come out of each byte that went in.
pub const MAX_RATIO: usize = 100;

/// What may come out whatever the ratio, in bytes: short texts of one repeated word are no attack.
pub const FREE: usize = 64 * 1024;

/// The binary logarithm of the largest window of a Zstandard frame: 8 MiB.
pub const MAX_WINDOW_LOG: u32 = 23;

/// How much is expanded at once, in bytes.
const PIECE: usize = 16 * 1024;

/// The level of the published library.
const ZSTD_LEVEL: i32 = 3;

/// A way to write bytes shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Why bytes cannot be expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// More would come out than `limit` bytes.
    #[error("expands to more than {limit} bytes")]
    TooLarge {
        /// What was allowed, in bytes.
        limit: usize,
    },
    /// They are not whole, or not of this encoding, or want a window that is not given.
    #[error("damaged, cut short, or made for a larger window")]
    Damaged,
    /// Something follows what was compressed.
    #[error("followed by bytes that do not belong to it")]
    Followed,
}

impl Encoding {
    /// The word in an envelope's `compression` member.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }

    /// The encoding with this word. A list of encodings, one upon the other, is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Encoding::Gzip, Encoding::Zstd].into_iter().find(|encoding| encoding.as_str() == text)
    }

    /// Writes `bytes` shorter.
    #[must_use]
    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        let written = match self {
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
            Encoding::Zstd => zstd::stream::encode_all(bytes, ZSTD_LEVEL),
        };
        written.expect("writing to memory cannot fail")
    }

    /// Restores what was compressed, if it is no more than `limit` bytes.
    ///
    /// # Errors
    /// [`ExpandError`]; nothing is returned then, not even what could be read.
    pub fn expand(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, ExpandError> {
        let limit = limit.min(bytes.len().saturating_mul(MAX_RATIO).max(FREE));
        match self {
            Encoding::Gzip => {
                let mut decoder = flate2::bufread::GzDecoder::new(bytes);
                let expanded = read_to_limit(&mut decoder, limit)?;
                ended(decoder.into_inner())?;
                Ok(expanded)
            }
            Encoding::Zstd => {
                let damaged = |_: io::Error| ExpandError::Damaged;
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(damaged)?.single_frame();
                decoder.window_log_max(MAX_WINDOW_LOG).map_err(damaged)?;
                let expanded = read_to_limit(&mut decoder, limit)?;
                ended(decoder.finish())?;
                Ok(expanded)
            }
        }
    }
}

fn read_to_limit(reader: &mut impl Read, limit: usize) -> Result<Vec<u8>, ExpandError> {
    let mut expanded = Vec::new();
    let mut piece = [0; PIECE];
    loop {
        let read = reader.read(&mut piece).map_err(|_| ExpandError::Damaged)?;
        if read == 0 {
            return Ok(expanded);
        }
        if expanded.len() + read > limit {
            return Err(ExpandError::TooLarge { limit });
        }
        expanded.extend_from_slice(&piece[..read]);
    }
}

fn ended(mut rest: impl BufRead) -> Result<(), ExpandError> {
    let is_empty = rest.fill_buf().map_err(|_| ExpandError::Damaged)?.is_empty();
    if is_empty { Ok(()) } else { Err(ExpandError::Followed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];
    const LIMIT: usize = 1 << 20;

    /// What compresses as well as the encoding can, made without ever holding it.
    fn bomb(encoding: Encoding, size: u64) -> Vec<u8> {
        let mut zeros = io::repeat(0).take(size);
        match encoding {
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                io::copy(&mut zeros, &mut encoder).expect("memory");
                encoder.finish().expect("memory")
            }
            Encoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("a level");
                io::copy(&mut zeros, &mut encoder).expect("memory");
                encoder.finish().expect("memory")
            }
        }
    }

    #[test]
    fn what_was_compressed_is_restored() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        for encoding in BOTH {
            assert_eq!(encoding.expand(&encoding.compress(&text), LIMIT), Ok(text.clone()), "{encoding:?}");
            assert_eq!(encoding.expand(&encoding.compress(b""), LIMIT), Ok(Vec::new()), "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_ratio_long_before_the_limit() {
        for encoding in BOTH {
            let bomb = bomb(encoding, 64 << 20);
            assert!(bomb.len() * MAX_RATIO < 64 << 20, "{encoding:?} makes a bomb of {} bytes", bomb.len());

            let allowed = (bomb.len() * MAX_RATIO).max(FREE);
            assert_eq!(encoding.expand(&bomb, usize::MAX), Err(ExpandError::TooLarge { limit: allowed }), "{encoding:?}");
        }
    }

    #[test]
    fn the_limit_is_exact() {
        let text: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        for encoding in BOTH {
            let short = encoding.compress(&text);

            assert_eq!(encoding.expand(&short, text.len()).map(|all| all.len()), Ok(text.len()));
            assert_eq!(encoding.expand(&short, text.len() - 1), Err(ExpandError::TooLarge { limit: text.len() - 1 }));
        }
    }

    #[test]
    fn a_few_words_may_repeat_as_they_like_up_to_the_free_size() {
        for encoding in BOTH {
            let short = encoding.compress(&vec![b'a'; FREE]);
            assert!(short.len() * MAX_RATIO < FREE);

            assert_eq!(encoding.expand(&short, LIMIT).map(|all| all.len()), Ok(FREE), "{encoding:?}");
        }
    }

    #[test]
    fn a_window_beyond_eight_mebibytes_is_refused_by_the_header() {
        // Magic; a descriptor without single segment; windows of 8 MiB and of 16 MiB; an empty last block.
        let frame = |window: u8| vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 0x01, 0x00, 0x00];

        assert_eq!(Encoding::Zstd.expand(&frame(13 << 3), LIMIT), Ok(Vec::new()));
        assert_eq!(Encoding::Zstd.expand(&frame(14 << 3), LIMIT), Err(ExpandError::Damaged));
        assert_eq!(Encoding::Zstd.expand(&frame(0xff), LIMIT), Err(ExpandError::Damaged));
    }

    #[test]
    fn what_is_cut_short_or_followed_by_something_is_refused() {
        for encoding in BOTH {
            let whole = encoding.compress(b"toq toq toq toq toq toq toq toq");
            for cut in 0..whole.len() {
                assert_eq!(encoding.expand(&whole[..cut], LIMIT), Err(ExpandError::Damaged), "{encoding:?} cut at {cut}");
            }
            let twice = [whole.clone(), whole].concat();
            assert_eq!(encoding.expand(&twice, LIMIT), Err(ExpandError::Followed), "{encoding:?}");
        }
    }

    #[test]
    fn encodings_are_not_nested() {
        assert_eq!(Encoding::parse("gzip"), Some(Encoding::Gzip));
        for text in ["gzip, gzip", "gzip,zstd", "br", "GZIP", ""] {
            assert_eq!(Encoding::parse(text), None, "{text}");
        }
    }
}
