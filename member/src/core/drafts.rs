//! What waits to be encrypted: numbers and sizes, for the texts are on the disk.

use std::collections::VecDeque;

/// Drafts in the order in which they were said.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    queue: VecDeque<(u64, usize)>,
    octets: usize,
}

impl Drafts {
    /// The last of them, with so many bytes.
    pub(super) fn push(&mut self, n: u64, octets: usize) {
        self.queue.push_back((n, octets));
        self.octets = self.octets.saturating_add(octets);
    }

    /// Takes the first away.
    pub(super) fn pop(&mut self) {
        let octets = self.queue.pop_front().map_or(0, |(_, octets)| octets);
        self.octets = self.octets.saturating_sub(octets);
    }

    /// The number of the first.
    pub(super) fn first(&self) -> Option<u64> {
        self.queue.front().map(|(n, _)| *n)
    }

    /// Whether this number is among them.
    pub(super) fn has(&self, n: u64) -> bool {
        self.queue.binary_search_by_key(&n, |(n, _)| *n).is_ok()
    }

    /// How many bytes they have.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
