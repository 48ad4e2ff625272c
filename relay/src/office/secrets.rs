//! Keys that the server makes, and those it keeps.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::{fs, io};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use toq_api::relay::RelayCode;
use toq_store::relay::accounts::KeySpec;
use uuid::Uuid;

use super::error::ApiError;

/// The socket in a data directory at which the operator's commands arrive.
pub const SOCKET: &str = "operator.sock";

/// What every API key begins with.
pub(super) const KEY_PREFIX: &str = "sk_live_";

/// How many characters of a key its owner is shown later.
const SHOWN: usize = 12;

/// Binds the socket in a data directory at which the operator's commands arrive. Only this user can open it. One that an earlier
/// process left behind is replaced: whoever has the directory's database open is its only relay.
///
/// # Errors
/// Where the directory cannot be written, or its path is too long for a socket (about 90 bytes).
pub fn bind_socket(dir: &Path) -> io::Result<UnixListener> {
    let path = dir.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixListener::bind(&path)?;
    // Until here the directory's own mode has kept others out.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// Fills an array with random bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no secret can be made");
        ApiError::new(RelayCode::InternalError, "the relay could not make a secret").hint("its operator finds the reason in the log")
    })?;
    Ok(bytes)
}

/// A new API key, and what is kept of it.
pub(super) fn new_key(name: String) -> Result<(String, KeySpec), ApiError> {
    let key = format!("{KEY_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?));
    let prefix = key.chars().take(SHOWN).collect();
    let spec = KeySpec { id: *Uuid::new_v4().as_bytes(), hash: sha256(key.as_bytes()), prefix, name };
    Ok((key, spec))
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    hash
}

/// Reads base64 (RFC 4648 section 4, with padding) of at most `most` bytes; `None` where it is none, or of nothing.
pub(super) fn from_base64(text: &str, most: usize) -> Option<Vec<u8>> {
    let is_fit = text.len() <= most.div_ceil(3) * 4;
    is_fit.then(|| BASE64_STANDARD.decode(text).ok()).flatten().filter(|bytes| !bytes.is_empty() && bytes.len() <= most)
}

/// Writes the same.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_operators_socket_is_this_users_alone_and_replaces_one_left_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        for _ in 0..2 {
            let socket = bind_socket(dir.path()).expect("free");
            assert_eq!(fs::metadata(dir.path().join(SOCKET)).expect("there").mode() & 0o777, 0o600);
            drop(socket);
        }
    }

    #[test]
    fn a_key_is_long_random_and_not_kept() {
        let (key, spec) = new_key("x".to_owned()).expect("random");

        assert!(key.starts_with("sk_live_") && key.len() == 8 + 43);
        assert_eq!((spec.prefix.as_str(), spec.hash), (&key[..12], sha256(key.as_bytes())));
        assert_ne!(new_key("x".to_owned()).expect("random").0, key);
    }

    #[test]
    fn base64_beyond_a_limit_is_refused() {
        assert_eq!(from_base64("YWJj", 3), Some(b"abc".to_vec()));
        for (text, most) in [("YWJj", 2), ("YWJjZA==", 3), ("", 3), ("YWJ", 3), ("YW-_", 3)] {
            assert_eq!(from_base64(text, most), None, "{text}");
        }
    }
}
