//! The data directory: its mode, its lock and the key that tokens are minted with.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use toq_protocol::Identity;
use toq_vault::{VaultError, read_private, write_private};

use crate::token::Mint;

/// Where the seed of the key is.
const KEY: &str = "token.key";
/// What to do where the database is damaged.
pub const MEND: &str = "nothing was thrown away; stop the relay and bring back a copy of the whole data directory, or move relay.redb out of it and begin \
    anew: accounts, keys and what was published are gone then, and members join again";
/// What is in a relay's directory.
const OURS: [&str; 7] = [KEY, "token.key.new", "relay.redb", "relay.toml", "relay.json", "operator.sock", "logs"];

/// Makes the directory where there is none, and lets only its owner in.
///
/// # Errors
/// Where that cannot be done, where it is another user's, and where others may look into a directory that holds something else than a relay: it is not ours to
/// close.
pub fn prepare(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let metadata = fs::metadata(dir)?;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        let text =
            format!("it belongs to user {}, not to user {user} who runs the relay; run: chown -R {user} {}", metadata.uid(), dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !OURS.iter().any(|ours| name == *ours) {
            let text = format!("it holds {name:?} and others can look into it; use another directory, or run: chmod 700 {}", dir.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// Where the key of this directory is.
#[must_use]
pub fn key_path(dir: &Path) -> PathBuf {
    dir.join(KEY)
}

/// The key that tokens are minted with; made where there is none.
///
/// # Errors
/// Where it cannot be read or written, where others can read it or it is another user's, or it is not 32 bytes long. It is not replaced
/// then: that would end every token.
pub fn mint(dir: &Path) -> io::Result<Mint> {
    let path = key_path(dir);
    let seed = match read_private(&path).map_err(denied)? {
        Some(seed) => seed,
        None => make(&path)?,
    };
    let seed: [u8; 32] = seed.try_into().map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: restore it, or remove it to end all tokens", path.display()))
    })?;
    Ok(Mint::EdDsa(Box::new(Identity::from_seed(&seed))))
}

fn make(path: &Path) -> io::Result<Vec<u8>> {
    let mut seed = vec![0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    write_private(path, &seed).map_err(denied)?;
    Ok(seed)
}

fn denied(error: VaultError) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Claims, ISSUER};

    #[test]
    fn the_key_of_a_directory_stays_the_same_and_is_its_owners() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("relay");
        prepare(&data).expect("it is made");
        let claims = Claims { sub: "a".into(), iss: ISSUER.into(), plan: String::new(), iat: 0, exp: 10, key: None };

        let token = mint(&data).expect("it is made").token(&claims);

        assert_eq!(mint(&data).expect("it is there").check().claims(&token, 1), Ok(claims));
        assert_eq!(fs::metadata(key_path(&data)).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&data).expect("it is there").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_of_others_things_is_not_closed() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        fs::write(dir.path().join("thesis.txt"), b"").expect("ours");

        let error = prepare(dir.path()).expect_err("it is somebody's home");

        assert!(error.to_string().contains("chmod 700"), "{error}");
        fs::remove_file(dir.path().join("thesis.txt")).expect("ours");
        prepare(dir.path()).expect("an empty one is");
        assert_eq!(fs::metadata(dir.path()).expect("it is there").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        write_private(&key_path(dir.path()), b"short").expect("ours");

        let error = mint(dir.path()).expect_err("it is damaged");

        assert!(error.to_string().contains("token.key"), "{error}");
        assert_eq!(fs::read(key_path(dir.path())).expect("ours"), b"short");
    }

    #[test]
    fn a_key_that_others_can_read_or_that_leads_elsewhere_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        mint(dir.path()).expect("it is made");
        let path = key_path(dir.path());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");

        let open = mint(dir.path()).expect_err("others can read it").to_string();
        fs::rename(&path, dir.path().join("elsewhere")).expect("ours");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).expect("ours");
        let linked = mint(dir.path()).expect_err("it is a link").to_string();

        assert!(open.contains(&format!("chmod 600 {}", path.display())), "{open}");
        assert!(linked.contains("token.key"), "{linked}");
        assert!(fs::symlink_metadata(&path).expect("it is there").is_symlink(), "nothing was replaced");
    }
}
