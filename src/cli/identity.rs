//! The agent's public key, read from its keys.

use std::path::Path;

use toq_vault::Keys;

use super::failure::{Failure, chain};
use super::sanitize;

/// Returns the public key of a workspace; nothing if its keys have not been made.
pub fn public_key(dir: &Path) -> Result<Option<String>, Failure> {
    // Opening the keys would make them, and looking at an agent must not change it.
    if !dir.join("keys").join("identity.key").exists() {
        return Ok(None);
    }
    make(dir).map(Some)
}

/// Returns the public key of a workspace and makes its keys if there are none.
pub fn make(dir: &Path) -> Result<String, Failure> {
    let keys = Keys::open(&dir.join("keys")).map_err(|error| Failure::error(sanitize::text(&chain(&error))))?;
    Ok(keys.identity.public().to_string())
}
