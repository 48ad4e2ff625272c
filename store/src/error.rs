//! What can go wrong with the store.

use std::path::PathBuf;

/// Why something was not stored or not read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the file open.
    #[error("{0} is open in another process")]
    AlreadyOpen(PathBuf),
    /// The journal has been closed.
    #[error("the journal is closed")]
    Closed,
    /// The file's content is damaged.
    #[error("{path} is damaged: {detail}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Reading or writing failed.
    #[error("storage failed: {0}")]
    Io(String),
    /// The file was written by a later version.
    #[error("{path} has schema {found}, this version knows up to {known}: use a newer toq")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// What the file may take up is used up, so far as new messages may have it.
    #[error("new messages are refused, because nine tenths of `store.max_mib` ({mib} MiB) are used")]
    OverQuota {
        /// What it may take up, in MiB.
        mib: u64,
    },
    /// The file or its file system cannot be written.
    #[error("the disk is read-only")]
    ReadOnly,
    /// The file is sealed with another key.
    #[error("{path} was sealed with another key: bring back its workspace.key, or give the passphrase that it was made with")]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// A record cannot be read.
    #[error("damaged record in table {table}")]
    Record {
        /// Where it was.
        table: &'static str,
    },
}

impl StoreError {
    /// Whether it is the content of a file that is wrong, so that trying again will not help.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Record { .. })
    }

    pub(crate) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreError::Full,
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => StoreError::ReadOnly,
            _ => StoreError::Io(error.to_string()),
        }
    }
}

impl From<redb::StorageError> for StoreError {
    fn from(error: redb::StorageError) -> Self {
        match error {
            redb::StorageError::Io(error) => StoreError::from_io(&error),
            redb::StorageError::Corrupted(detail) => StoreError::Corrupt { path: PathBuf::from("the database"), detail },
            other => StoreError::Io(other.to_string()),
        }
    }
}

macro_rules! through_storage {
    ($($source:ident),*) => {$(
        impl From<redb::$source> for StoreError {
            fn from(error: redb::$source) -> Self {
                match error {
                    redb::$source::Storage(error) => error.into(),
                    other => StoreError::Io(other.to_string()),
                }
            }
        }
    )*};
}

through_storage!(TransactionError, TableError, CommitError, DatabaseError);

impl From<redb::SetDurabilityError> for StoreError {
    fn from(error: redb::SetDurabilityError) -> Self {
        StoreError::Io(error.to_string())
    }
}
