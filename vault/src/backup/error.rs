//! What can be wrong with a backup.

/// Why a backup cannot be opened or made. No text here tells anything of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A member that must be there is not.
    #[error("Missing {0} in backup")]
    Missing(&'static str),
    /// A passphrase is needed.
    #[error("the passphrase is empty")]
    NoPassphrase,
    /// It is not a backup at all.
    #[error("Invalid backup data: {0}")]
    Malformed(String),
    /// An entry is not what it should be.
    #[error("the backup's {entry} cannot be used: {why}")]
    Entry {
        /// Which entry.
        entry: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Its header asks for more, or for less, than a key derivation may cost.
    #[error("the backup asks for {name} = {found}; only {least} to {most} is computed")]
    Cost {
        /// The parameter.
        name: &'static str,
        /// What the header says.
        found: u64,
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// The system has no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
    /// It is over [`super::MAX_FILE`].
    #[error("a backup has at most {} MiB; this one has {size} bytes", super::MAX_FILE >> 20)]
    TooLarge {
        /// Its size, in bytes.
        size: usize,
    },
    /// It was written by a later release.
    #[error("the backup has format version {found}; this release knows version {known}")]
    Version {
        /// The version it says.
        found: u32,
        /// The version we know.
        known: u32,
    },
    /// The passphrase is wrong, or a byte was changed: nobody can tell which.
    #[error("Wrong passphrase, or the backup is damaged")]
    Unopened,
    /// It protects too little to be opened without the owner's word.
    #[error("the backup is {0}")]
    Weak(super::Form),
}
