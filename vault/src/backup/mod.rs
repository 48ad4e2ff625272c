//! Backups: what makes an agent, in one file that a passphrase closes.
//!
//! [`open`] reads three forms and refuses everything else before it costs anything:
//!
//! - **ours**, version 1: `{"toq_backup": HEADER, "data": BASE64}`. The header is JSON text with the version, the
//!   parameters of Argon2id, the salt and the nonce; its bytes as they stand are the associated data of
//!   AES-256-GCM, so nobody can lower a parameter or a version.
//! - **published**: `{"encrypted": true, "kdf": "argon2id", "salt", "nonce", "data"}` with fixed parameters and
//!   no associated data, and, where the caller says so, its predecessor without `kdf`, whose key is one
//!   SHA-256 of the passphrase.
//! - **unencrypted**, where the caller says so: the entries themselves.
//!
//! Whoever hands somebody a backup wants to have it opened and chooses every byte of it. So the size of the
//! file, the parameters of the key derivation and the lengths of salt and nonce are looked at before
//! anything is allocated; a wrong passphrase and a changed byte have one answer; and an entry is a member with a
//! known name, never a path.
//!
//! What this is not: it neither reads nor writes a workspace. [`Bundle`] is what goes in and comes out.

mod bundle;
mod derive;
mod error;
mod form;
mod trust;

use zeroize::Zeroizing;

pub use bundle::{Bundle, Entry, KnownPeer, LogRecord};
pub use error::BackupError;
pub use form::Form;
pub use trust::{Pin, Proven, Trust};

/// The largest backup that is read or written, in bytes.
pub const MAX_FILE: usize = 256 << 20;

/// What closes a backup. It has no printable form and is wiped when it is dropped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a text for a passphrase.
    ///
    /// # Errors
    /// [`BackupError::NoPassphrase`] where it is empty.
    pub fn new(text: String) -> Result<Self, BackupError> {
        let text = Zeroizing::new(text);
        if text.is_empty() { Err(BackupError::NoPassphrase) } else { Ok(Self(text)) }
    }

    /// The text itself, for handing it to this user's own daemon.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Which backups the caller wants to have opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Only those whose passphrase costs something to guess.
    Strong,
    /// Also those that are not encrypted, or whose key is a bare hash. Their owner has been warned and said
    /// so in so many words.
    Any,
}

/// A backup that was opened.
#[derive(Debug)]
pub struct Opened {
    /// What was in it.
    pub bundle: Bundle,
    /// How it was written.
    pub form: Form,
}

/// Opens a backup.
///
/// # Errors
/// [`BackupError`]; whether the passphrase is wrong or the file is damaged cannot be told apart.
pub fn open(file: &[u8], passphrase: &Passphrase, strength: Strength) -> Result<Opened, BackupError> {
    form::open(file, passphrase, strength)
}

/// Whether a backup can be read by everybody, so that no passphrase opens it.
#[must_use]
pub fn is_open(file: &[u8]) -> bool {
    form::is_open(file)
}

/// Closes a backup in our form, with fresh salt and nonce.
///
/// # Errors
/// [`BackupError::TooLarge`] where it would not be read again; [`BackupError::Random`] where the system has no random bytes.
pub fn seal(bundle: &Bundle, passphrase: &Passphrase) -> Result<String, BackupError> {
    form::seal(bundle, passphrase)
}
