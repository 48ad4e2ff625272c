//! What a relay keeps: one file, `relay.redb`, for each data directory.
//!
//! [`RelayLog`] is the log of everything that members published. The [`accounts`] of the API server are in the same file, so that
//! one lock says whose directory it is and one flush serves both.

pub mod accounts;
mod log;
mod rows;
pub mod tables;
mod trim;

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

pub use accounts::Accounts;
pub use log::{Append, Appended, Cut, Ends, RelayLog, Stretch, Trimmed, Use};
pub use rows::{Mark, Row};

use crate::desk::{Desk, Repair};
use crate::error::StoreError;
use crate::open::{Options, Source};
use crate::room::Room;

/// The name of the file in a relay's data directory.
pub const FILE: &str = "relay.redb";

/// An open database of a relay.
#[derive(Clone, Debug)]
pub struct RelayStore {
    desk: Desk,
    log: RelayLog,
    accounts: Accounts,
}

impl RelayStore {
    /// Opens or makes `relay.redb` in `dir`, which exists.
    ///
    /// # Errors
    /// [`StoreError`] names the file where another process has it, or where it is damaged or of a later version.
    pub async fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        make_private(&path).map_err(|error| StoreError::from_io(&error))?;
        let desk = Desk::open("relay-writer", Source::File { path: path.clone(), options }, Repair::Quick)?;
        let opened = Self::begin(&desk, &path, options.quota).await;
        match opened {
            Ok((log, accounts)) => Ok(Self { desk, log, accounts }),
            Err(error) => {
                desk.close();
                Err(error)
            }
        }
    }

    async fn begin(desk: &Desk, path: &Path, quota: u64) -> Result<(RelayLog, Accounts), StoreError> {
        let log = RelayLog::open(desk.clone(), path).await?;
        let accounts = Accounts::with(desk.clone(), path).await?;
        let room = Arc::new(Room::new(path, quota, || Ok(log.used_bytes()? + accounts.used_bytes()?))?);
        Ok((log.within(room.clone()), accounts.within(room)))
    }

    /// Makes a database that is gone with the process.
    ///
    /// # Errors
    /// [`StoreError`] where memory cannot be had.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let desk = Desk::open("relay-writer", Source::Memory, Repair::Quick)?;
        let log = RelayLog::open(desk.clone(), Path::new("memory")).await?;
        let accounts = Accounts::with(desk.clone(), Path::new("memory")).await?;
        Ok(Self { desk, log, accounts })
    }

    /// The log of all channels.
    #[must_use]
    pub const fn log(&self) -> &RelayLog {
        &self.log
    }

    /// Accounts, keys, channels, invites and the mailbox between joiners and owners.
    #[must_use]
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Closes the database. Where this was the last handle to it, the file can be opened again when this returns.
    pub fn close(self) {
        drop((self.log, self.accounts));
        self.desk.close();
    }
}

/// Lets only its owner read the file, whatever was its mode: it says who speaks where.
fn make_private(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}
