//! What a member of channels keeps: group state, what goes out, what came in.
//!
//! One file, `member.redb`, for each member. The promise of this store is one transaction for what must be true together: the
//! ratchet that moved and the ciphertext that it made; the ratchet that moved, the message that it opened, and the place in
//! the relay's log up to which was read. It decides nothing and knows no MLS: to it a group's state is bytes on a [shelf](Change::Keep).
//!
//! Every value is sealed under the workspace key (see [`seal`]). Writing goes through one thread; [`MemberStore::slot`] gives a
//! place in its queue, so that a caller can fix the order of transactions under its own lock without waiting there.

mod change;
mod read;
mod record;
mod seal;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use redb::{ReadableDatabase as _, ReadableTable as _};

pub use change::Change;
pub use record::{ChannelRow, HappeningRow, InRow, InviteRow, OutKind, OutRow, RequestRow, Standing, WelcomeRow};
pub use seal::WorkspaceKey;

use crate::desk::{Desk, Repair, Slot};
use crate::error::StoreError;
use crate::open::{Options, Source};
use seal::Seal;

/// The text under [`tables::PROBE`].
const PROBE: &[u8] = b"toq member store";

/// An open `member.redb`.
#[derive(Clone, Debug)]
pub struct MemberStore {
    desk: Desk,
    seal: Arc<Seal>,
    opened: u64,
}

impl MemberStore {
    /// Opens or makes the file at `path`, readable for its owner only.
    ///
    /// # Errors
    /// [`StoreError`] names the file where it is open in another process, damaged, of a later version or sealed with another
    /// key.
    pub async fn open(path: &Path, key: &WorkspaceKey) -> Result<Self, StoreError> {
        make_private(path)?;
        let source = Source::File { path: path.to_owned(), options: Options::default() };
        Self::begin(Desk::open("member", source, Repair::Whole)?, key, path).await
    }

    /// Makes a store in memory.
    ///
    /// # Errors
    /// [`StoreError`] where memory cannot be had.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let key = WorkspaceKey::new(zeroize::Zeroizing::new([0; 32]));
        Self::begin(Desk::open("member", Source::Memory, Repair::Whole)?, &key, Path::new("memory")).await
    }

    async fn begin(desk: Desk, key: &WorkspaceKey, path: &Path) -> Result<Self, StoreError> {
        let seal = Arc::new(Seal::new(key)?);
        if let Err(error) = check(&desk, &seal, path) {
            desk.close();
            return Err(error);
        }
        let sealing = seal.clone();
        let opened = desk
            .run(move |transaction| {
                let mut probe = transaction.open_table(tables::PROBE)?;
                if probe.get("key")?.is_none() {
                    probe.insert("key", sealing.seal(b"probe", PROBE).as_slice())?;
                }
                change::make_tables(transaction)?;
                let mut meta = transaction.open_table(tables::META)?;
                let opened = meta.get("opened")?.map_or(0, |row| row.value()) + 1;
                meta.insert("schema", tables::SCHEMA)?;
                meta.insert("opened", opened)?;
                Ok(opened)
            })
            .await?;
        Ok(Self { desk, seal, opened })
    }

    /// How often the file was opened, this time included.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// A place in the writer's queue; waits while it is full.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn slot(&self) -> Result<WriteSlot, StoreError> {
        Ok(WriteSlot { slot: self.desk.slot().await?, seal: self.seal.clone() })
    }

    /// Makes these changes in one transaction; answers once they are on disk, or certainly are not.
    ///
    /// # Errors
    /// [`StoreError`] where the disk failed.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.slot().await?.commit(changes, Arc::default()).await
    }

    /// Closes the file. Where this was the last handle to it, it can be opened again when this returns.
    pub fn close(self) {
        self.desk.close();
    }
}

/// A place in the writer's queue.
pub struct WriteSlot {
    slot: Slot,
    seal: Arc<Seal>,
}

impl WriteSlot {
    /// Queues these changes, at once, as one transaction; the future tells its end. Transactions take effect in the order of
    /// these calls. Those that share a `fuse` build on each other: where one of them is not written the fuse is blown, and none after
    /// it is written.
    pub fn commit(self, changes: Vec<Change>, fuse: Arc<AtomicBool>) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        let Self { slot, seal } = self;
        slot.run_fused(fuse, move |transaction| change::apply(transaction, &seal, &changes))
    }
}

/// Refuses a file of a later version or of another key, before anything is written to it.
fn check(desk: &Desk, seal: &Seal, path: &Path) -> Result<(), StoreError> {
    let reading = desk.database()?.begin_read()?;
    let meta = match reading.open_table(tables::META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if let Some(found) = meta.get("schema")?.map(|row| row.value())
        && found > tables::SCHEMA
    {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: tables::SCHEMA });
    }
    let probe = reading.open_table(tables::PROBE)?;
    let opened = probe.get("key")?.and_then(|row| seal.open(b"probe", row.value()));
    if opened.as_deref().map(Vec::as_slice) == Some(PROBE) { Ok(()) } else { Err(StoreError::WrongKey { path: path.to_owned() }) }
}

/// redb makes files with the mode that the umask leaves; a file that is there already is opened as it is.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|error| StoreError::from_io(&error))
        }
        Err(error) => Err(StoreError::from_io(&error)),
    }
}
