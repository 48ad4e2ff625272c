//! What can be wrong with a secret.

use std::io;
use std::path::{Path, PathBuf};

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Reading or writing a file failed.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file does not hold what it should.
    #[error("{path} is not {expected}; restore it from a backup, or move it away to start with a new one")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Others can read the file.
    #[error("{path} has mode {mode:04o}, so others can read it; run: chmod {wanted:03o} {path}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// The file belongs to somebody else.
    #[error("{path} belongs to user {owner}, not to user {user} who runs toq")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// The system has no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
    /// A certificate could not be made.
    #[error("cannot make a TLS certificate: {0}")]
    Certificate(String),
}

impl VaultError {
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        VaultError::File { action, path: path.to_owned(), source }
    }
}
