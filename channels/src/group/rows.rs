//! What has to be kept, and how it is found again.
//!
//! Nothing in this room writes. Whatever changes a secret returns [`Rows`], and the caller commits them in one transaction
//! *before* it lets out what the same call returned, or together with what it keeps of a message. Keys of rows are made here and
//! mean nothing to the store; values hold secrets and are to be sealed before they touch a disk.

use std::fmt;

use zeroize::Zeroizing;

/// Which kind of row. The numbers are stable: they stand in databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Shelf {
    /// The agent's signature key, identity and proof. One row.
    Identity = 1,
    /// The present state of groups.
    Group = 2,
    /// Past epochs of groups, for messages that come late.
    Epoch = 3,
    /// Private halves of key packages.
    KeyPackage = 4,
    /// Commits of our own that the log has not shown yet.
    Pending = 5,
}

/// One change of what is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Row {
    /// Write, in place of what was there.
    Put {
        /// The kind.
        shelf: Shelf,
        /// At most 64 bytes.
        key: Vec<u8>,
        /// Secret.
        value: Zeroizing<Vec<u8>>,
    },
    /// Delete, if it is there.
    Delete {
        /// The kind.
        shelf: Shelf,
        /// At most 64 bytes.
        key: Vec<u8>,
    },
}

impl Row {
    /// Kind and key.
    #[must_use]
    pub fn place(&self) -> (Shelf, &[u8]) {
        match self {
            Self::Put { shelf, key, .. } | Self::Delete { shelf, key } => (*shelf, key),
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { shelf, value, .. } => write!(f, "Put({shelf:?}, {} bytes)", value.len()),
            Self::Delete { shelf, .. } => write!(f, "Delete({shelf:?})"),
        }
    }
}

/// Changes that belong together: all of them are committed, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what is not kept is lost with the process, and keys are used twice"]
pub struct Rows(Vec<Row>);

impl Rows {
    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.0.iter()
    }

    /// Adds the changes of a later call, so that both can be committed at once. A later change of a row replaces an earlier one.
    pub fn append(&mut self, later: Self) {
        for row in later.0 {
            self.push(row);
        }
    }

    /// All values' bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.iter().map(|row| if let Row::Put { value, .. } = row { value.len() } else { 0 }).sum()
    }

    pub(crate) fn put(&mut self, shelf: Shelf, key: Vec<u8>, value: Zeroizing<Vec<u8>>) {
        self.push(Row::Put { shelf, key, value });
    }

    pub(crate) fn delete(&mut self, shelf: Shelf, key: Vec<u8>) {
        self.push(Row::Delete { shelf, key });
    }

    fn push(&mut self, row: Row) {
        self.0.retain(|earlier| earlier.place() != row.place());
        self.0.push(row);
    }
}

impl IntoIterator for Rows {
    type Item = Row;
    type IntoIter = std::vec::IntoIter<Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Why a row could not be read; the text is the store's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShelfError(pub String);

/// Reads rows that were committed.
pub trait Shelves {
    /// The value of a row, unsealed.
    ///
    /// # Errors
    /// [`ShelfError`] where the store cannot read or cannot unseal it. A row that is not there is no error.
    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ShelfError>;
}
