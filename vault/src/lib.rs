//! Secrets at rest.
//!
//! A workspace's `keys/` directory holds its Ed25519 identity and the throw-away TLS certificate that
//! carries its connections. [`Keys::open`] makes them at first start and refuses to use files that somebody
//! else can read. Files are made with mode 0600 in a directory of mode 0700, never through a link, and
//! replaced by rename, so that a crash leaves the old one or the new one whole.
//!
//! [`backup`] seals an agent into one file and opens such files, its own and published ones.
//!
//! What this room is not: it neither decides who may see a key nor speaks TLS.

pub mod backup;
mod error;
mod identity;
mod private_file;
mod rotation;
mod secret;
mod tls;

use std::path::Path;

use toq_protocol::key::Identity;

pub use error::VaultError;
pub use identity::{Seed, read as read_seed, text as seed_text};
pub use private_file::{close_dir, make_private_dir, read_private, write_private};
pub use rotation::{ROTATIONS, Rotated, Rotation, adopt_rotations, forget_previous, has_replaced, rotations};
pub use secret::{Reference, ReferenceError, Secret};
pub use tls::Certificate;

/// The secrets of one workspace.
#[derive(Debug)]
pub struct Keys {
    /// Who the agent is.
    pub identity: Identity,
    /// What its listener shows in TLS.
    pub certificate: Certificate,
}

impl Keys {
    /// Opens the keys in `dir`, making what is missing.
    ///
    /// # Errors
    /// [`VaultError`] names the file and what is wrong with it: another owner, too open a mode, content that
    /// is no key. A damaged identity is never replaced.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        make_private_dir(dir)?;
        let identity = identity::open(&dir.join("identity.key"))?;
        let certificate = Certificate::open(&dir.join("tls_cert.pem"), &dir.join("tls_key.pem"))?;
        Ok(Self { identity, certificate })
    }
}

/// Fills an array with random bytes from the operating system.
///
/// # Errors
/// [`VaultError::Random`] where the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Random)?;
    Ok(bytes)
}
