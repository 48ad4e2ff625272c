//! A group's state as it is kept, so that a message does not write the whole tree again.
//!
//! The library writes all of its state at once: first the tree with every member's public keys, then the secrets, of which one
//! message changes a few hundred bytes. Here the public part is the *base* and is written when it changes, which is at a commit or a
//! proposal; the secret part is the *rest* and is written every time. The base must hold no secret: it stays while keys are used
//! and deleted from the rest, and would keep them.

use zeroize::Zeroizing;

use super::error::GroupError;
use super::rows::{Rows, Shelf, Shelves};

/// The version of both rows.
const VERSION: u8 = 1;

/// Which row of a group.
#[derive(Clone, Copy)]
enum Part {
    Base = 0,
    Rest = 1,
}

fn key(group: &[u8; 32], part: Part) -> Vec<u8> {
    group.iter().copied().chain([part as u8]).collect()
}

/// What counts sends and proves that a message is our own; see the stamp.
#[derive(Clone)]
pub(crate) struct Counter {
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) next: u64,
}

/// The state as it was written last.
#[derive(Clone)]
pub(crate) struct Saved {
    base: Vec<u8>,
    rest: Zeroizing<Vec<u8>>,
}

impl Saved {
    /// The state of a new group, with the rows that replace whatever was there under its name. `tree` is the encoded tree.
    pub(crate) fn begin(group: &[u8; 32], state: &[u8], tree: &[u8], counter: &Counter, rows: &mut Rows) -> Self {
        let mut saved = Self { base: Vec::new(), rest: Zeroizing::default() };
        saved.split(group, state, tree, counter, rows);
        saved.put_rest(group, counter, rows);
        saved
    }

    /// Reads the rows of a group; `None` where there is none.
    pub(crate) fn load(group: &[u8; 32], shelves: &dyn Shelves) -> Result<Option<(Self, Counter)>, GroupError> {
        let damaged = || GroupError::Storage("a group's rows are damaged".into());
        let Some(base) = shelves.get(Shelf::Group, &key(group, Part::Base))? else { return Ok(None) };
        let rest = shelves.get(Shelf::Group, &key(group, Part::Rest))?.ok_or_else(damaged)?;
        let (stamp, base) = versioned::<32>(&base).ok_or_else(damaged)?;
        let (next, rest) = versioned::<8>(&rest).ok_or_else(damaged)?;
        let counter = Counter { key: Zeroizing::new(*stamp), next: u64::from_be_bytes(*next) };
        Ok(Some((Self { base: base.to_vec(), rest: Zeroizing::new(rest.to_vec()) }, counter)))
    }

    /// How many bytes the whole state has.
    pub(crate) fn size(&self) -> usize {
        self.base.len().saturating_add(self.rest.len())
    }

    /// The whole state.
    pub(crate) fn state(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.base.as_slice(), self.rest.as_slice()].concat())
    }

    /// Replaces the state and adds the rows that have to be written for it. `tree` encodes the tree, and is asked only where the
    /// public part is another than before.
    pub(crate) fn update(
        &mut self,
        group: &[u8; 32],
        state: &[u8],
        tree: impl FnOnce() -> Result<Vec<u8>, GroupError>,
        counter: &Counter,
        rows: &mut Rows,
    ) -> Result<(), GroupError> {
        match state.strip_prefix(self.base.as_slice()) {
            Some(rest) if !self.base.is_empty() => self.rest = Zeroizing::new(rest.to_vec()),
            _ => self.split(group, state, &tree()?, counter, rows),
        }
        self.put_rest(group, counter, rows);
        Ok(())
    }

    /// Adds the deletion of a group's rows.
    pub(crate) fn forget(group: &[u8; 32], rows: &mut Rows) {
        rows.delete(Shelf::Group, key(group, Part::Base));
        rows.delete(Shelf::Group, key(group, Part::Rest));
    }

    fn split(&mut self, group: &[u8; 32], state: &[u8], tree: &[u8], counter: &Counter, rows: &mut Rows) {
        let (base, rest) = state.split_at(public_part(state, tree));
        self.base = base.to_vec();
        self.rest = Zeroizing::new(rest.to_vec());
        let value = [[VERSION].as_slice(), counter.key.as_slice(), &self.base].concat();
        rows.put(Shelf::Group, key(group, Part::Base), Zeroizing::new(value));
    }

    fn put_rest(&self, group: &[u8; 32], counter: &Counter, rows: &mut Rows) {
        let value = [[VERSION].as_slice(), &counter.next.to_be_bytes(), &self.rest].concat();
        rows.put(Shelf::Group, key(group, Part::Rest), Zeroizing::new(value));
    }
}

fn versioned<const N: usize>(row: &[u8]) -> Option<(&[u8; N], &[u8])> {
    let (version, row) = row.split_first()?;
    row.split_first_chunk::<N>().filter(|_| *version == VERSION)
}

/// How many leading bytes of a state hold no secret: up to the end of the tree and, where they follow it, of its hashes. A tree that is not
/// found makes the base empty, which costs time and loses nothing.
fn public_part(state: &[u8], tree: &[u8]) -> usize {
    let Some(at) = state.windows(tree.len().max(1)).position(|window| window == tree) else { return 0 };
    let end = at + tree.len();
    // The hashes are a vector with a length before it (RFC 9420, section 2.1.2).
    let hashes = state.get(end..).unwrap_or_default();
    let (length, prefix) = match hashes {
        [one, ..] if one >> 6 == 0 => (usize::from(*one), 1),
        [one, two, ..] if one >> 6 == 1 => (usize::from(u16::from_be_bytes([one & 0x3f, *two])), 2),
        [one, two, three, four, ..] if one >> 6 == 2 => {
            (usize::try_from(u32::from_be_bytes([one & 0x3f, *two, *three, *four])).unwrap_or(usize::MAX), 4)
        }
        _ => (0, 0),
    };
    let after = end.saturating_add(prefix).saturating_add(length);
    // 32 bytes for each node; anything else is not what this expects.
    if length > tree.len() || after > state.len() { end } else { after }
}
