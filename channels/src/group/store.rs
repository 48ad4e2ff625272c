//! Where the library reads and writes: memory, from which rows are taken.
//!
//! The library wants to write when it likes and to read past epochs when a late message comes. Here it gets one group's state, its
//! last [`PAST_EPOCHS`] epochs and the key packages of a Welcome, all loaded beforehand. What it writes is marked, and
//! [`Store::take_changes`] makes rows of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mls_rs::mls_rs_codec::{MlsDecode as _, MlsEncode as _};
use mls_rs::{GroupStateStorage, KeyPackageStorage};
use mls_rs_core::group::{EpochRecord, GroupState};
use mls_rs_core::key_package::KeyPackageData;
use zeroize::Zeroizing;

use super::error::GroupError;
use super::rows::{Rows, Shelf, Shelves};

/// How many epochs before the present one still decrypt (threat H10).
pub const PAST_EPOCHS: u64 = 5;

/// Cheap to clone: all clones are the same store.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<Cells>>);

#[derive(Default)]
struct Cells {
    state: Option<Zeroizing<Vec<u8>>>,
    epochs: BTreeMap<u64, Zeroizing<Vec<u8>>>,
    written: BTreeSet<u64>,
    packages: HashMap<Vec<u8>, KeyPackageData>,
    deleted: Vec<Vec<u8>>,
    inserted: Vec<Vec<u8>>,
}

/// A past epoch's key: the group and a place in a ring, so that an epoch that is too old is overwritten.
fn epoch_key(group: &[u8; 32], slot: u64) -> Vec<u8> {
    // A slot is below PAST_EPOCHS.
    group.iter().copied().chain([slot.to_le_bytes()[0]]).collect()
}

impl Store {
    fn cells(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the past epochs of a group.
    pub(crate) fn load_epochs(&self, group: &[u8; 32], shelves: &dyn Shelves) -> Result<(), GroupError> {
        for slot in 0..PAST_EPOCHS {
            let Some(row) = shelves.get(Shelf::Epoch, &epoch_key(group, slot))? else { continue };
            let Some((number, record)) = row.split_first_chunk::<8>() else {
                return Err(GroupError::Storage("a past epoch's row is cut short".into()));
            };
            self.cells().epochs.insert(u64::from_be_bytes(*number), Zeroizing::new(record.to_vec()));
        }
        Ok(())
    }

    /// Loads a key package by its reference; `false` where it is not kept.
    pub(crate) fn load_package(&self, reference: &[u8], shelves: &dyn Shelves) -> Result<bool, GroupError> {
        let Some(row) = shelves.get(Shelf::KeyPackage, reference)? else { return Ok(false) };
        let package = KeyPackageData::mls_decode(&mut row.as_slice()).map_err(|error| GroupError::Storage(error.to_string()))?;
        self.cells().packages.insert(reference.to_vec(), package);
        Ok(true)
    }

    /// Puts the group's state where the library reads it.
    pub(crate) fn set_state(&self, state: Zeroizing<Vec<u8>>) {
        self.cells().state = Some(state);
    }

    /// Takes the state that the library wrote last.
    pub(crate) fn take_state(&self) -> Zeroizing<Vec<u8>> {
        self.cells().state.take().unwrap_or_default()
    }

    /// What is kept of a past epoch.
    pub(crate) fn epoch_of(&self, number: u64) -> Option<Zeroizing<Vec<u8>>> {
        self.cells().epochs.get(&number).cloned()
    }

    /// What the library wrote of a past epoch is not kept: it is as before.
    pub(crate) fn put_back(&self, number: u64, record: Option<Zeroizing<Vec<u8>>>) {
        let mut cells = self.cells();
        cells.written.remove(&number);
        if let Some(record) = record {
            cells.epochs.insert(number, record);
        }
    }

    /// Adds to `rows` what else the library wrote since the last time.
    pub(crate) fn take_changes(&self, group: &[u8; 32], rows: &mut Rows) -> Result<(), GroupError> {
        let mut cells = self.cells();
        for number in std::mem::take(&mut cells.written) {
            if let Some(record) = cells.epochs.get(&number) {
                let value = number.to_be_bytes().iter().chain(record.iter()).copied().collect();
                rows.put(Shelf::Epoch, epoch_key(group, number % PAST_EPOCHS), Zeroizing::new(value));
            }
        }
        for reference in std::mem::take(&mut cells.inserted) {
            if let Some(package) = cells.packages.get(&reference) {
                rows.put(Shelf::KeyPackage, reference, Zeroizing::new(package.mls_encode_to_vec()?));
            }
        }
        for reference in std::mem::take(&mut cells.deleted) {
            rows.delete(Shelf::KeyPackage, reference);
        }
        Ok(())
    }

    /// Adds to `rows` the deletion of all past epochs of a group of the same name that was here before.
    pub(crate) fn forget_epochs(group: &[u8; 32], rows: &mut Rows) {
        for slot in 0..PAST_EPOCHS {
            rows.delete(Shelf::Epoch, epoch_key(group, slot));
        }
    }
}

impl GroupStateStorage for Store {
    type Error = Infallible;

    fn state(&self, _: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Infallible> {
        Ok(self.cells().state.clone())
    }

    fn epoch(&self, _: &[u8], number: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Infallible> {
        Ok(self.cells().epochs.get(&number).cloned())
    }

    fn write(&mut self, state: GroupState, inserts: Vec<EpochRecord>, updates: Vec<EpochRecord>) -> Result<(), Infallible> {
        let mut cells = self.cells();
        cells.state = Some(state.data);
        for record in inserts.into_iter().chain(updates) {
            cells.written.insert(record.id);
            cells.epochs.insert(record.id, record.data);
        }
        while cells.epochs.len() > usize::try_from(PAST_EPOCHS).unwrap_or(usize::MAX) {
            if let Some((number, _)) = cells.epochs.pop_first() {
                cells.written.remove(&number);
            }
        }
        Ok(())
    }

    fn max_epoch_id(&self, _: &[u8]) -> Result<Option<u64>, Infallible> {
        Ok(self.cells().epochs.keys().next_back().copied())
    }
}

impl KeyPackageStorage for Store {
    type Error = Infallible;

    fn delete(&mut self, reference: &[u8]) -> Result<(), Infallible> {
        let mut cells = self.cells();
        // The library says so again at each write.
        if cells.packages.remove(reference).is_some() {
            cells.deleted.push(reference.to_vec());
        }
        Ok(())
    }

    fn insert(&mut self, reference: Vec<u8>, package: KeyPackageData) -> Result<(), Infallible> {
        let mut cells = self.cells();
        cells.inserted.push(reference.clone());
        cells.packages.insert(reference, package);
        Ok(())
    }

    fn get(&self, reference: &[u8]) -> Result<Option<KeyPackageData>, Infallible> {
        Ok(self.cells().packages.get(reference).cloned())
    }
}
