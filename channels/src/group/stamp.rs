//! What our application messages carry beside their plaintext: where we stood in the log, and that they are ours.
//!
//! It stands in the authenticated data of MLS, which the relay can read and nobody can change. The count is for ourselves (threat
//! H6): a member whose database was restored from a copy would encrypt again with keys that it has used. It reads its own messages
//! in the log; one with a count that the kept state has not reached was sent from a later state, and this one must not be used. The
//! tag is made with a key that only this member has, so neither relay nor members can make it believe so.
//!
//! Form: `01`, then flags; bit 0 says that a head follows (8 bytes number, 32 bytes hash); then 8 bytes count and 16 bytes tag.

use sha2::{Digest as _, Sha256};

use super::chain::Head;
use super::saved::Counter;

const VERSION: u8 = 1;
const HAS_HEAD: u8 = 1;
const LABEL: &[u8] = b"toq channel stamp v1";

/// The authenticated data of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) head: Option<Head>,
    count: u64,
    tag: [u8; 16],
}

impl Stamp {
    /// Stamps the next message and counts it.
    pub(crate) fn make(counter: &mut Counter, group: &[u8; 32], epoch: u64, head: Option<Head>) -> Self {
        let count = counter.next;
        counter.next = counter.next.saturating_add(1);
        Self { head, count, tag: tag(counter, group, epoch, count) }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION, if self.head.is_some() { HAS_HEAD } else { 0 }];
        if let Some(head) = self.head {
            bytes.extend(head.seq.to_be_bytes());
            bytes.extend(head.hash);
        }
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(self.tag);
        bytes
    }

    /// Reads a stamp; `None` for the authenticated data of others, whatever it is.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[version, flags], rest) = bytes.split_first_chunk::<2>()?;
        let (head, rest) = match flags {
            0 => (None, rest),
            HAS_HEAD => {
                let (seq, rest) = rest.split_first_chunk::<8>()?;
                let (hash, rest) = rest.split_first_chunk::<32>()?;
                (Some(Head { seq: u64::from_be_bytes(*seq), hash: *hash }), rest)
            }
            _ => return None,
        };
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let tag = rest.try_into().ok().filter(|_| version == VERSION)?;
        Some(Self { head, count: u64::from_be_bytes(*count), tag })
    }

    /// Whether it was made from a later state of this member than `counter`'s.
    pub(crate) fn is_from_our_future(&self, counter: &Counter, group: &[u8; 32], epoch: u64) -> bool {
        self.count >= counter.next && self.tag == tag(counter, group, epoch, self.count)
    }
}

/// Its input has one length, so a hash of key and input is a fair code.
fn tag(counter: &Counter, group: &[u8; 32], epoch: u64, count: u64) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(LABEL)
        .chain_update(counter.key.as_slice())
        .chain_update(group)
        .chain_update(epoch.to_be_bytes())
        .chain_update(count.to_be_bytes())
        .finalize()
        .into();
    std::array::from_fn(|index| hash[index])
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn counter(next: u64) -> Counter {
        Counter { key: Zeroizing::new([7; 32]), next }
    }

    #[test]
    fn a_stamp_is_read_as_it_was_written_with_and_without_a_head() {
        for head in [None, Some(Head { seq: 9, hash: [3; 32] })] {
            let stamp = Stamp::make(&mut counter(5), &[1; 32], 2, head);

            assert_eq!(Stamp::from_bytes(&stamp.to_bytes()), Some(stamp));
            assert_eq!(Stamp::from_bytes(&stamp.to_bytes()[1..]), None);
        }
        assert_eq!(Stamp::from_bytes(&[]), None);
    }

    #[test]
    fn only_a_later_state_with_the_same_key_stamps_from_our_future() {
        let stamp = Stamp::make(&mut counter(5), &[1; 32], 2, None);

        assert!(stamp.is_from_our_future(&counter(5), &[1; 32], 2));
        assert!(!stamp.is_from_our_future(&counter(6), &[1; 32], 2), "it has been counted");
        assert!(!stamp.is_from_our_future(&counter(5), &[1; 32], 3), "it was moved to another epoch");
        let stranger = Counter { key: Zeroizing::new([8; 32]), next: 0 };
        assert!(!stamp.is_from_our_future(&stranger, &[1; 32], 2), "somebody else wrote it");
    }
}
