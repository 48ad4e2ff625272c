//! What the vault promises about key files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tempfile::TempDir;
use toq_vault::{Keys, VaultError, write_private};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o777
}

fn home() -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().expect("a directory");
    let keys = dir.path().join("keys");
    (dir, keys)
}

#[test]
fn keys_are_made_once_and_only_their_owner_can_read_them() {
    let (_dir, keys) = home();

    let first = Keys::open(&keys).expect("makes");
    let again = Keys::open(&keys).expect("reads");

    assert_eq!(first.identity.public(), again.identity.public());
    assert_eq!(mode(&keys), 0o700);
    for name in ["identity.key", "tls_key.pem"] {
        assert_eq!(mode(&keys.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let (_dir, keys) = home();
    Keys::open(&keys).expect("makes");
    let path = keys.join("identity.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");

    let error = Keys::open(&keys).expect_err("too open");

    assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
}

#[test]
fn a_damaged_identity_is_named_and_never_replaced() {
    let (_dir, keys) = home();
    Keys::open(&keys).expect("makes");
    let path = keys.join("identity.key");
    write_private(&path, b"not a key").expect("writes");

    assert!(matches!(Keys::open(&keys), Err(VaultError::Malformed { .. })));
    assert_eq!(fs::read(&path).expect("reads"), b"not a key");
}

#[test]
fn a_planted_link_is_not_followed() {
    let (dir, keys) = home();
    Keys::open(&keys).expect("makes");
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").expect("writes");

    symlink(&victim, keys.join("identity.key.new")).expect("links");
    write_private(&keys.join("identity.key"), b"x").expect("writes");
    assert_eq!(fs::read(&victim).expect("reads"), b"precious");

    fs::remove_file(keys.join("identity.key")).expect("removes");
    symlink(&victim, keys.join("identity.key")).expect("links");
    assert!(Keys::open(&keys).is_err());
}
