//! Opening a workspace's database, and what its owner keeps of it.
//!
//! The `Store` outlives the actors that use it: a workspace that panics and is reopened gets the same
//! `Store` and never meets its own lock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use redb::{Builder, Database, DatabaseError, StorageError, backends::InMemoryBackend};

use crate::contained::contained;
use crate::depot::{Depot, DepotError};
use crate::error::StoreError;
use crate::journal::Journal;
use crate::reader::Reader;
use crate::room::Room;
use crate::writer::Writer;
use crate::{Seq, tables};

/// How a database is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The page cache, in bytes.
    pub cache: usize,
    /// What the file may take up, in bytes; 0 is whatever the disk has. At nine tenths new messages are refused.
    pub quota: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache: 32 << 20, quota: 0 }
    }
}

/// An open workspace database: its journal and its readers.
#[derive(Clone, Debug)]
pub struct Store {
    journal: Journal,
    reader: Reader,
    room: Arc<Room>,
    depot: Option<Arc<Depot>>,
}

impl Store {
    /// Opens or makes the database at `path` and starts its journal thread.
    ///
    /// # Errors
    /// [`StoreError`] names the file where it is locked, damaged or of a later version.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let source = Source::File { path: path.to_owned(), options };
        let (shared, writer) = Shared::open(source)?;
        let reader = Reader::new(shared.clone(), writer.last());
        let journal = Journal::threaded(shared, writer, reader.tail())?;
        let room = Arc::new(Room::new(path, options.quota, || reader.used_bytes())?);
        Ok(Self { journal, reader, room, depot: None })
    }

    /// Makes a database in memory whose journal commits on the caller. For tests under a paused clock,
    /// which would jump while another thread works.
    ///
    /// # Errors
    /// [`StoreError`] where memory cannot be had.
    pub fn in_memory() -> Result<Self, StoreError> {
        let (shared, writer) = Shared::open(Source::Memory)?;
        let reader = Reader::new(shared.clone(), writer.last());
        let journal = Journal::inline(shared, writer, reader.tail());
        Ok(Self { journal, reader, room: Arc::new(Room::unlimited()), depot: None })
    }

    /// Keeps files in `dir`; `now` is the time in seconds since 1970.
    ///
    /// # Errors
    /// Where the directory cannot be used.
    pub fn with_files(mut self, dir: &Path, now: i64) -> Result<Self, DepotError> {
        let depot = Depot::open(dir, self.room.clone(), now)?;
        if depot.has_outgoing()? {
            match self.reader.files_on_lanes() {
                Ok(sent) => depot.keep_outgoing(&sent)?,
                // What cannot be read may name any of them.
                Err(error) => tracing::warn!(%error, "it cannot be seen which files are on their way; all of them stay"),
            }
        }
        self.depot = Some(Arc::new(depot));
        Ok(self)
    }

    /// Where files are kept; `None` in memory.
    #[must_use]
    pub const fn depot(&self) -> Option<&Arc<Depot>> {
        self.depot.as_ref()
    }

    /// Closes the database. Where this was the last handle to it, the file can be opened again when this returns.
    pub fn close(self) {
        drop(self.reader);
        self.journal.close();
    }

    /// The writer.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Whether there is room for more messages.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// A reader.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// Where a database lives.
#[derive(Debug)]
pub(crate) enum Source {
    File { path: PathBuf, options: Options },
    Memory,
}

impl Source {
    pub(crate) fn open(&self) -> Result<Database, StoreError> {
        match self {
            Source::Memory => Builder::new().create_with_backend(InMemoryBackend::new()).map_err(StoreError::from),
            Source::File { path, options } => {
                let open = || Builder::new().set_cache_size(options.cache).create(path).map_err(|error| name_the_file(path, error));
                contained(open).map_err(|error| match error {
                    StoreError::Corrupt { detail, .. } => StoreError::Corrupt { path: path.clone(), detail },
                    other => other,
                })
            }
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Source::File { path, .. } => path.clone(),
            Source::Memory => PathBuf::from("memory"),
        }
    }
}

fn name_the_file(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::AlreadyOpen(path),
        DatabaseError::UpgradeRequired(version) => StoreError::Corrupt { path, detail: format!("file format {version} is not known") },
        DatabaseError::Storage(StorageError::Corrupted(detail)) => StoreError::Corrupt { path, detail },
        DatabaseError::Storage(StorageError::Io(io)) if io.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::Corrupt { path, detail: io.to_string() }
        }
        other => other.into(),
    }
}

/// The database, which is closed and opened again after the disk failed.
#[derive(Debug)]
pub(crate) struct Shared {
    source: Source,
    database: RwLock<Option<Arc<Database>>>,
}

impl Shared {
    fn open(source: Source) -> Result<(Arc<Self>, Writer), StoreError> {
        let database = Arc::new(source.open()?);
        let path = source.path();
        if let Some(found) = Writer::schema(&database)?
            && found > tables::SCHEMA
        {
            return Err(StoreError::Newer { path, found, known: tables::SCHEMA });
        }
        let writer = Writer::new(database.clone())?;
        Ok((Arc::new(Self { source, database: RwLock::new(Some(database)) }), writer))
    }

    /// The open database.
    pub(crate) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let guard = self.database.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        guard.clone().ok_or_else(|| StoreError::Io("the database is being reopened".to_owned()))
    }

    /// Closes the database and opens it again; redb refuses every access after a failed one until then.
    pub(crate) fn reopen(&self, failed: Writer) -> Result<Writer, StoreError> {
        drop(failed);
        self.reopen_closed()
    }

    /// Opens the database again after [`Shared::reopen`] could not.
    pub(crate) fn reopen_closed(&self) -> Result<Writer, StoreError> {
        let mut guard = self.database.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(database) = guard.take() {
            // Readers hold the database for the length of one snapshot; the file stays locked until the
            // last of them is done.
            while Arc::strong_count(&database) > 1 {
                std::thread::yield_now();
            }
        }
        let database = Arc::new(self.source.open()?);
        let writer = Writer::new(database.clone())?;
        *guard = Some(database);
        Ok(writer)
    }

    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.source, Source::Memory)
    }
}

/// The newest place in the log, for those who wait for more.
pub(crate) type Tail = Arc<tokio::sync::watch::Sender<Seq>>;
