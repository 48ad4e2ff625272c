//! A list that shows when something in it was changed, moved or taken out.
//!
//! Each record has a place, from 1 on, and a hash over the hash before it, its place and its content. Whoever changes a
//! byte has to make every later hash anew; whoever cuts the end off has to change the note of where the end is. Somebody who may
//! write everything can do both: against him helps only a head that was noted elsewhere.

use sha2::{Digest as _, Sha256};

/// What every hash begins with, so that none of something else is taken for one.
const DOMAIN: &[u8] = b"toq audit chain v1\0";

/// A SHA-256.
pub type Hash = [u8; 32];

/// What the first hash follows.
pub const GENESIS: Hash = [0; 32];

/// The digest of how something is, by which a later change is noticed.
#[must_use]
pub fn digest(state: &[u8]) -> Hash {
    Sha256::digest(state).into()
}

/// The end of a chain, or of the part of it that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The place of the last record; 0 where there is none.
    pub place: u64,
    /// Its hash.
    pub hash: Hash,
}

/// What is wrong with a chain, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The record is not what it was, or one before it is not.
    #[error("record {0} was changed")]
    Altered(u64),
    /// There is another record in its place, or none.
    #[error("record {0} is missing")]
    Missing(u64),
    /// The older ones are gone and no record says so.
    #[error("the records up to {0} are gone, and nothing says that they were deleted for their age")]
    Unexplained(u64),
    /// It goes on after its noted end.
    #[error("record {0} comes after the end that was noted")]
    Surplus(u64),
}

impl Fault {
    /// The place of the first record that is wrong.
    #[must_use]
    pub const fn place(self) -> u64 {
        match self {
            Self::Altered(place) | Self::Missing(place) | Self::Unexplained(place) | Self::Surplus(place) => place,
        }
    }
}

impl Head {
    /// The head of an empty chain.
    pub const EMPTY: Self = Self { place: 0, hash: GENESIS };

    /// The head after a record with this content.
    #[must_use]
    pub fn then(self, content: &[u8]) -> Self {
        let place = self.place.saturating_add(1);
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(self.hash);
        hash.update(place.to_be_bytes());
        hash.update(content);
        Self { place, hash: hash.finalize().into() }
    }

    /// The head after a record that is said to be at this place and to have this hash.
    ///
    /// # Errors
    /// [`Fault`] where it does not follow.
    pub fn follow(self, place: u64, content: &[u8], hash: &Hash) -> Result<Self, Fault> {
        let next = self.then(content);
        if place != next.place {
            return Err(Fault::Missing(next.place));
        }
        if *hash != next.hash {
            return Err(Fault::Altered(place));
        }
        Ok(next)
    }

    /// Checks that a chain that was read up to here has ended where it should.
    ///
    /// # Errors
    /// [`Fault`] where it is shorter or longer than noted.
    pub fn ends_at(self, noted: Self) -> Result<(), Fault> {
        if self.place < noted.place {
            return Err(Fault::Missing(self.place + 1));
        }
        if self.place > noted.place {
            return Err(Fault::Surplus(noted.place + 1));
        }
        if self.hash == noted.hash { Ok(()) } else { Err(Fault::Altered(self.place)) }
    }

    /// Place and hash as 40 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&self.place.to_be_bytes());
        bytes[8..].copy_from_slice(&self.hash);
        bytes
    }

    /// Reads [`Head::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (place, hash) = bytes.split_first_chunk::<8>()?;
        Some(Self { place: u64::from_be_bytes(*place), hash: hash.try_into().ok()? })
    }
}

/// `PLACE:HASH`, the hash in hexadecimal: the form in which a head is noted elsewhere.
impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.place)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a head is PLACE:HASH, with 64 hexadecimal digits";
        let (place, digits) = text.split_once(':').ok_or(wrong)?;
        let mut hash = GENESIS;
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(wrong);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong)?;
        }
        Ok(Self { place: place.parse().map_err(|_| wrong)?, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four records with their places and hashes.
    fn chain() -> (Vec<(u64, Vec<u8>, Hash)>, Head) {
        let mut head = Head::EMPTY;
        let mut add = |content: &[u8]| {
            head = head.then(content);
            (head.place, content.to_vec(), head.hash)
        };
        let records = vec![add(b"one"), add(b"two"), add(b""), add(b"four")];
        (records, head)
    }

    fn check(records: &[(u64, Vec<u8>, Hash)], noted: Head) -> Result<(), Fault> {
        let end = records.iter().try_fold(Head::EMPTY, |head, (place, content, hash)| head.follow(*place, content, hash))?;
        end.ends_at(noted)
    }

    #[test]
    fn a_chain_that_nobody_touched_is_whole_and_its_hashes_stay_what_they_are() {
        let (records, head) = chain();

        assert_eq!(check(&records, head), Ok(()));
        // Computed once from the definition: a release that hashes otherwise could not read what this one wrote.
        let expected: Hash = Sha256::digest([DOMAIN, &GENESIS, &1_u64.to_be_bytes(), b"one"].concat()).into();
        assert_eq!(records[0].2, expected);
        assert_eq!((head.to_string().parse(), Head::from_bytes(&head.to_bytes())), (Ok(head), Some(head)));
        for wrong in ["", "1", "1:00", "x:".to_owned().as_str(), &format!("1:{}", "é".repeat(32))] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_changed_byte_a_missing_record_and_a_cut_are_found_with_their_place() {
        let (records, head) = chain();
        for (at, _) in records.iter().enumerate() {
            let place = at as u64 + 1;
            let mut changed = records.clone();
            changed[at].1.push(b'!');
            assert_eq!(check(&changed, head), Err(Fault::Altered(place)));
            let mut changed = records.clone();
            changed[at].2[31] ^= 1;
            assert_eq!(check(&changed, head), Err(Fault::Altered(place)));
            let mut shorter = records.clone();
            shorter.remove(at);
            assert_eq!(check(&shorter, head), Err(Fault::Missing(place)));
            assert_eq!(check(&records[..at], head), Err(Fault::Missing(place)));
        }
        let mut swapped = records.clone();
        swapped.swap(1, 2);
        assert_eq!(check(&swapped, head), Err(Fault::Missing(2)));
        let mut longer = records;
        let next = head.then(b"five");
        longer.push((next.place, b"five".to_vec(), next.hash));
        assert_eq!(check(&longer, head), Err(Fault::Surplus(5)));
    }

    #[test]
    fn whoever_renumbers_what_is_left_is_found_too() {
        let (mut records, head) = chain();
        records.remove(1);
        for (at, record) in records.iter_mut().enumerate() {
            record.0 = at as u64 + 1;
        }

        assert_eq!(check(&records, head), Err(Fault::Altered(2)));
    }
}
