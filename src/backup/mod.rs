//! Backups of a whole workspace: taken out in one piece, put back in one piece or not at all.
//!
//! - [`export`]: reads what makes an agent and seals it.
//! - [`plan`]: opens a backup, checks every entry, and says what it would change. Nothing is written.
//! - [`trust`]: joins what is known of peers' keys with what is known here.
//! - [`since`]: keeps what the owner changes while an import waits.
//! - [`stage`]: writes the checked entries into a directory of their own and commits to them by one rename.
//! - [`apply`]: carries out what was committed to, before anything else is opened. A crash at any point is
//!   made good by the next start; a failure puts everything back.
//!
//! ```text
//! restore.new/   being written; means nothing
//! restore/       committed; is carried out by the next start, whatever happens
//! restore.undo/  given up; the next start finishes putting the old state back
//! replaced/      what was there before, for an owner who regrets
//! ```
//!
//! The content of a backup chooses no name and no path here: its entries go to the places of [`PLACES`].

pub mod apply;
pub mod custody;
pub mod export;
pub mod plan;
mod since;
pub mod stage;
mod trust;

use std::io;
use std::path::{Path, PathBuf};

use toq_config::ConfigError;
use toq_store::StoreError;
use toq_vault::VaultError;
use toq_vault::backup::BackupError;

/// Each file of a backup by its name in the staging directory, and its place in the workspace.
const PLACES: [(&str, &str); 6] = [
    ("identity.key", "keys/identity.key"),
    ("tls_cert.pem", "keys/tls_cert.pem"),
    ("tls_key.pem", "keys/tls_key.pem"),
    ("rotations.json", "keys/rotations.json"),
    ("config.toml", "config.toml"),
    ("handlers.toml", "handlers.toml"),
];

/// The log's part of a backup, in the staging directory.
const LOG: &str = "log.json";

/// Why a backup was not made, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupFailure {
    /// The backup itself is wrong.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Its configuration cannot be used.
    #[error("the backup's config cannot be used: {0}")]
    Config(ConfigError),
    /// The caller wants to become somebody else.
    #[error("the backup is of {found}, not of {wanted}")]
    Other {
        /// Whose it is.
        found: String,
        /// Who was meant.
        wanted: String,
    },
    /// The key was replaced while the import waited.
    #[error("the identity key was replaced while this import waited (from {old} to {new}), and peers follow the new one")]
    KeyReplaced {
        /// The key of then.
        old: String,
        /// The key of now.
        new: String,
    },
    /// What was changed in a file while the import waited does not go with the file that comes.
    #[error("what was changed in {name} while this import waited does not go with the one of the backup: {source}")]
    CarryOver {
        /// Which file.
        name: &'static str,
        /// Why not.
        source: Box<ConfigError>,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The log cannot be read or written.
    #[error("the log cannot be used: {0}")]
    Store(#[from] StoreError),
    /// A key file cannot be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// It could not be carried out, and could not be taken back either.
    #[error("the import failed ({first}) and so did putting the old files back ({second}); the next start goes on with that, from the old files in {}", kept.display())]
    Stuck {
        /// Why it failed.
        first: String,
        /// Why it could not be undone.
        second: String,
        /// Where the old files are.
        kept: PathBuf,
    },
}

impl BackupFailure {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }
}
