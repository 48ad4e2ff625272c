//! The identity key file: padded base64 of the 32-byte seed, as the published daemon writes it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toq_protocol::key::Identity;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::private_file::{read_private, write_private};

/// A private key's 32 bytes, wiped when they are dropped.
pub type Seed = Zeroizing<[u8; 32]>;

pub(crate) fn open(path: &Path) -> Result<Identity, VaultError> {
    if let Some(seed) = read(path)? {
        return Ok(Identity::from_seed(&seed));
    }
    let seed = Zeroizing::new(crate::random::<32>()?);
    write_private(path, text(&seed).as_bytes())?;
    Ok(Identity::from_seed(&seed))
}

/// Reads the seed of an identity; `None` where there is no file.
///
/// # Errors
/// [`VaultError`] where the file is open to others or holds no key.
pub fn read(path: &Path) -> Result<Option<Seed>, VaultError> {
    let malformed = || VaultError::Malformed { path: path.to_owned(), expected: "an identity key" };
    let Some(content) = read_private(path)?.map(Zeroizing::new) else { return Ok(None) };
    let bytes = Zeroizing::new(STANDARD.decode(content.trim_ascii()).map_err(|_| malformed())?);
    let mut seed = Seed::default();
    if bytes.len() != seed.len() {
        return Err(malformed());
    }
    seed.copy_from_slice(&bytes);
    Ok(Some(seed))
}

/// A seed as it stands in its file.
#[must_use]
pub fn text(seed: &Seed) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(seed.as_slice()))
}
