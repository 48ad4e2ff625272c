//! What members say to each other about the log (threat H7).
//!
//! A relay that shows different histories to different members cannot be caught by one of them. So every application message
//! carries where its sender stood: the number of the last blob it had read and a hash over all blobs up to there. Whoever has read
//! as far compares. A relay that drops, swaps, repeats or forges a blob for one member makes the hashes differ from there on, and
//! it cannot mend them without the key of every sender.

use std::collections::VecDeque;

use sha2::{Digest as _, Sha256};

/// How many hashes are kept: senders lag behind by less, and older claims are [`Verdict::Unknown`].
pub const KEPT: usize = 1024;

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Number of the last blob that counts.
    pub seq: u64,
    /// `h_n = SHA-256(h_{n-1} || seq as u64, big-endian || SHA-256(blob))`, beginning with 32 zero bytes.
    pub hash: [u8; 32],
}

/// How somebody's head compares with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both have read the same.
    Agrees,
    /// The relay showed us something else than it showed the sender.
    Diverged,
    /// The place is ahead of what we have read, older than what we keep, or before our beginning.
    Unknown,
}

/// Why a blob cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the relay shows blob {shown} after blob {last}")]
pub struct OutOfOrder {
    /// The number that came.
    pub shown: u64,
    /// The last one before it.
    pub last: u64,
}

/// A running hash over a log.
///
/// A member that joins late cannot know the hash at its beginning. It starts with [`Chain::begin_at`] from the head that the
/// inviter's first message carries, or has nothing to compare until both have kept a common beginning; see [`Chain::new`].
#[derive(Clone, Debug)]
pub struct Chain {
    last: Head,
    kept: VecDeque<Head>,
}

impl Chain {
    /// The chain of somebody who reads from the first blob.
    #[must_use]
    pub fn new() -> Self {
        Self::begin_at(Head { seq: 0, hash: [0; 32] })
    }

    /// The chain of somebody who takes `head` for given.
    #[must_use]
    pub fn begin_at(head: Head) -> Self {
        Self { last: head, kept: VecDeque::from([head]) }
    }

    /// Where we stand.
    #[must_use]
    pub fn head(&self) -> Head {
        self.last
    }

    /// Adds the blob with the number `seq`. Numbers rise, and holes are part of the hash.
    ///
    /// # Errors
    /// [`OutOfOrder`] where the number is not above the last; nothing changes then.
    pub fn push(&mut self, seq: u64, blob: &[u8]) -> Result<Head, OutOfOrder> {
        if seq <= self.last.seq {
            return Err(OutOfOrder { shown: seq, last: self.last.seq });
        }
        let hash =
            Sha256::new().chain_update(self.last.hash).chain_update(seq.to_be_bytes()).chain_update(Sha256::digest(blob)).finalize().into();
        self.last = Head { seq, hash };
        self.kept.push_back(self.last);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        Ok(self.last)
    }

    /// Compares somebody's head with what we read.
    #[must_use]
    pub fn check(&self, claimed: &Head) -> Verdict {
        let after = self.kept.partition_point(|head| head.seq <= claimed.seq);
        let Some(at) = after.checked_sub(1).and_then(|index| self.kept.get(index)) else {
            return Verdict::Unknown;
        };
        match (at.seq == claimed.seq, after < self.kept.len()) {
            (true, _) if at.hash == claimed.hash => Verdict::Agrees,
            // We have read further and there is no such blob, or another one.
            (true, _) | (false, true) => Verdict::Diverged,
            (false, false) => Verdict::Unknown,
        }
    }

    /// The chain as it was at `seq`; `None` where that place is not kept.
    #[must_use]
    pub fn back_to(&self, seq: u64) -> Option<Self> {
        let after = self.kept.partition_point(|head| head.seq <= seq);
        let kept: VecDeque<Head> = self.kept.iter().take(after).copied().collect();
        let last = kept.back().copied().filter(|head| head.seq == seq)?;
        Some(Self { last, kept })
    }

    /// The hashes as bytes, to be kept with the cursor: 40 for each, the newest `count` of them.
    #[must_use]
    pub fn to_bytes(&self, count: usize) -> Vec<u8> {
        let newest = self.kept.iter().skip(self.kept.len().saturating_sub(count.max(1)));
        newest.flat_map(|head| head.seq.to_be_bytes().into_iter().chain(head.hash)).collect()
    }

    /// What [`Chain::to_bytes`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (heads, rest) = bytes.as_chunks::<40>();
        if !rest.is_empty() || heads.len() > KEPT {
            return None;
        }
        let kept: VecDeque<Head> = heads
            .iter()
            .filter_map(|bytes| Some(Head { seq: u64::from_be_bytes(*bytes.first_chunk()?), hash: *bytes.last_chunk()? }))
            .collect();
        let is_rising = kept.iter().zip(kept.iter().skip(1)).all(|(before, after)| before.seq < after.seq);
        let last = kept.back().copied().filter(|_| is_rising)?;
        Some(Self { last, kept })
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(blobs: &[(u64, &[u8])]) -> Chain {
        let mut chain = Chain::new();
        for (seq, blob) in blobs {
            chain.push(*seq, blob).expect("in order");
        }
        chain
    }

    #[test]
    fn a_member_that_read_the_same_agrees_wherever_the_other_stands() {
        let ours = read(&[(1, b"a"), (2, b"b"), (5, b"c")]);

        for count in 0..=3 {
            let theirs = read(&[(1, b"a".as_slice()), (2, b"b"), (5, b"c")][..count]);
            assert_eq!(ours.check(&theirs.head()), Verdict::Agrees);
        }
    }

    #[test]
    fn dropping_swapping_changing_and_inventing_a_blob_diverges() {
        let ours = read(&[(1, b"a"), (2, b"b"), (5, b"c")]);

        for other in
            [read(&[(1, b"a"), (5, b"c")]), read(&[(1, b"b"), (2, b"a")]), read(&[(1, b"a"), (2, b"x")]), read(&[(1, b"a"), (3, b"y")])]
        {
            assert_eq!(ours.check(&other.head()), Verdict::Diverged);
        }
    }

    #[test]
    fn what_is_ahead_or_forgotten_is_unknown() {
        let mut ours = read(&[(1, b"a")]);
        let first = ours.head();

        assert_eq!(ours.check(&read(&[(1, b"a"), (2, b"b")]).head()), Verdict::Unknown);
        for seq in 2..=KEPT as u64 + 1 {
            ours.push(seq, b"more").expect("in order");
        }

        assert_eq!(ours.check(&first), Verdict::Unknown);
    }

    #[test]
    fn a_number_that_does_not_rise_is_refused() {
        let mut ours = read(&[(4, b"a")]);

        assert_eq!(ours.push(4, b"b"), Err(OutOfOrder { shown: 4, last: 4 }));
        assert_eq!(ours.head(), read(&[(4, b"a")]).head());
    }

    #[test]
    fn a_chain_goes_back_to_a_place_that_it_keeps_and_to_no_other() {
        let ours = read(&[(1, b"a"), (2, b"b"), (5, b"c")]);

        let mut back = ours.back_to(2).expect("kept");

        assert_eq!(back.head(), read(&[(1, b"a"), (2, b"b")]).head());
        assert_eq!(back.push(5, b"c").map(|head| head.hash), Ok(ours.head().hash));
        assert!(ours.back_to(3).is_none() && ours.back_to(6).is_none());
        assert_eq!(Chain::begin_at(ours.head()).back_to(2).map(|chain| chain.head()), None);
    }

    #[test]
    fn a_chain_goes_on_from_its_bytes() {
        let ours = read(&[(1, b"a"), (2, b"b"), (5, b"c")]);

        let mut again = Chain::from_bytes(&ours.to_bytes(2)).expect("whole");

        assert_eq!(again.check(&read(&[(1, b"a"), (2, b"b")]).head()), Verdict::Agrees);
        assert_eq!(again.push(6, b"d"), ours.clone().push(6, b"d"));
        assert!(Chain::from_bytes(&[0; 39]).is_none() && Chain::from_bytes(&[]).is_none() && Chain::from_bytes(&[0; 80]).is_none());
    }
}
