//! The identity key file: padded base64 of the 32-byte seed, as the published daemon writes it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toq_protocol::key::Identity;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::private_file::{read_private, write_private};

pub(crate) fn open(path: &Path) -> Result<Identity, VaultError> {
    let malformed = || VaultError::Malformed { path: path.to_owned(), expected: "an identity key" };
    if let Some(content) = read_private(path)? {
        let content = Zeroizing::new(content);
        let seed = Zeroizing::new(STANDARD.decode(content.trim_ascii()).map_err(|_| malformed())?);
        let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| malformed())?;
        return Ok(Identity::from_seed(seed));
    }
    let seed = Zeroizing::new(crate::random::<32>()?);
    let text = Zeroizing::new(STANDARD.encode(seed.as_slice()));
    write_private(path, text.as_bytes())?;
    Ok(Identity::from_seed(&seed))
}
