//! Entries that came before one that is missing.

use std::collections::BTreeMap;

use super::deliver::Item;

/// How many entries may wait.
const MOST: usize = 4096;

/// Entries by their place, and how many bytes they have.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    items: BTreeMap<u64, Item>,
    octets: usize,
}

impl Ahead {
    /// Keeps an entry, where so many bytes have room; tells whether it is here.
    pub(super) fn keep(&mut self, seq: u64, item: Item, most: usize) -> bool {
        if self.items.contains_key(&seq) {
            return true;
        }
        let octets = self.octets.saturating_add(item.octets());
        if self.items.len() >= MOST || octets > most {
            return false;
        }
        self.octets = octets;
        self.items.insert(seq, item);
        true
    }

    /// The entry of this place, which is missing no more.
    pub(super) fn take(&mut self, seq: u64) -> Option<Item> {
        let item = self.items.remove(&seq)?;
        self.octets = self.octets.saturating_sub(item.octets());
        Some(item)
    }

    /// Forgets everything up to this place.
    pub(super) fn forget_to(&mut self, seq: u64) {
        while let Some((first, _)) = self.items.first_key_value()
            && *first <= seq
        {
            let first = *first;
            self.take(first);
        }
    }

    /// The first place.
    pub(super) fn first(&self) -> Option<u64> {
        self.items.first_key_value().map(|(seq, _)| *seq)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(octets: usize) -> Item {
        Item::Frame(vec![0; octets])
    }

    #[test]
    fn what_waits_has_no_more_bytes_than_there_is_room_for() {
        let mut ahead = Ahead::default();

        assert!(ahead.keep(5, frame(60), 100) && ahead.keep(7, frame(40), 100));
        assert!(!ahead.keep(6, frame(1), 100) && ahead.keep(8, Item::Ours(1), 100));
        assert!(ahead.keep(5, frame(60), 100), "it is here");

        assert!(ahead.take(5).is_some() && ahead.first() == Some(7));
        assert!(ahead.keep(6, frame(60), 100));
        ahead.forget_to(6);
        assert!(ahead.first() == Some(7) && ahead.keep(9, frame(60), 100) && !ahead.keep(10, frame(1), 100));
        ahead.clear();
        assert!(ahead.is_empty() && ahead.keep(1, frame(100), 100));
    }

    #[test]
    fn no_more_entries_wait_than_may() {
        let mut ahead = Ahead::default();
        let kept = (0..).map_while(|seq| ahead.keep(seq, Item::Ours(1), 0).then_some(seq)).count();

        assert_eq!(kept, MOST);
    }
}
