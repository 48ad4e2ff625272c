//! Rows that are kept for as long as the process runs: for tests, measurements, and a look at what a commit would do.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::rows::{Row, Rows, Shelf, ShelfError, Shelves};

/// Committed rows. A clone is a copy of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory(pub BTreeMap<(Shelf, Vec<u8>), Zeroizing<Vec<u8>>>);

impl Memory {
    /// Writes and deletes.
    pub fn commit(&mut self, rows: Rows) {
        for row in rows {
            match row {
                Row::Put { shelf, key, value } => drop(self.0.insert((shelf, key), value)),
                Row::Delete { shelf, key } => drop(self.0.remove(&(shelf, key))),
            }
        }
    }

    /// What the rows of a shelf hold, in bytes.
    #[must_use]
    pub fn size(&self, shelf: Shelf) -> usize {
        self.0.iter().filter(|((of, _), _)| *of == shelf).map(|(_, value)| value.len()).sum()
    }
}

impl Shelves for Memory {
    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ShelfError> {
        Ok(self.0.get(&(shelf, key.to_vec())).cloned())
    }
}
