//! A member's directory: its store, and the key that opens it.
//!
//! The directory has mode 0700 and holds `member.redb` and either `workspace.key` (32 random bytes, mode 0600) or
//! `workspace.salt`, with which a passphrase becomes the key (PBKDF2-HMAC-SHA256, 600,000 rounds). It can be moved as a whole.

use std::num::NonZeroU32;
use std::path::Path;

use ring::pbkdf2;
use toq_channels::group::{Row, Rows, Shelf, ShelfError, Shelves};
use toq_store::member::{Change, MemberStore, WorkspaceKey};
use toq_vault::{VaultError, make_private_dir, read_private, write_private};
use zeroize::Zeroizing;

use crate::chance::random;
use crate::error::{Error, Kind};
use crate::settings::Settings;

/// What OWASP advises for HMAC-SHA256.
const ROUNDS: u32 = 600_000;

/// Opens the store of these settings.
pub(crate) async fn open(settings: &Settings) -> Result<MemberStore, Error> {
    let Some(dir) = &settings.data_dir else { return Ok(MemberStore::in_memory().await?) };
    let key = {
        let (dir, passphrase) = (dir.clone(), settings.passphrase.clone());
        let made = tokio::task::spawn_blocking(move || key(&dir, passphrase.as_ref().map(|text| text.as_str())));
        made.await.map_err(|_| Error::closed())??
    };
    Ok(MemberStore::open(&dir.join("member.redb"), &key).await?)
}

fn key(dir: &Path, passphrase: Option<&str>) -> Result<WorkspaceKey, Error> {
    let unusable = |error: VaultError| Error::new(Kind::Storage, error.to_string());
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| Error::new(Kind::Storage, format!("cannot make {}: {error}", parent.display())))?;
    }
    make_private_dir(dir).map_err(unusable)?;
    let is_new = !dir.join("member.redb").exists();
    let (file, salt) = (dir.join("workspace.key"), dir.join("workspace.salt"));
    let (path, length) = if passphrase.is_some() { (&salt, 16) } else { (&file, 32) };
    let bytes = match read_private(path).map_err(unusable)? {
        Some(bytes) if bytes.len() == length => Zeroizing::new(bytes),
        Some(_) => return Err(Error::new(Kind::Storage, format!("{} is damaged; bring it back from a copy", path.display()))),
        None if is_new => {
            let bytes = Zeroizing::new(random::<32>()[..length].to_vec());
            write_private(path, &bytes).map_err(unusable)?;
            bytes
        }
        None if passphrase.is_some() => {
            return Err(Error::new(Kind::Storage, format!("{} was not made with a passphrase; open it without one", dir.display())));
        }
        None if salt.exists() => {
            return Err(Error::new(Kind::Storage, format!("{} is kept with a passphrase; give it", dir.display())));
        }
        None => return Err(Error::new(Kind::Storage, format!("{} is missing; bring it back from a copy", path.display()))),
    };
    let mut key = Zeroizing::new([0; 32]);
    match passphrase {
        Some(passphrase) => {
            let rounds = NonZeroU32::new(ROUNDS).expect("more than none");
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &bytes, passphrase.as_bytes(), key.as_mut_slice());
        }
        None => key.copy_from_slice(&bytes),
    }
    Ok(WorkspaceKey::new(key))
}

/// The store as groups read it.
pub(crate) struct Kept<'a>(pub(crate) &'a MemberStore);

impl Shelves for Kept<'_> {
    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ShelfError> {
        self.0.kept(shelf as u8, key).map_err(|error| ShelfError(error.to_string()))
    }
}

/// What a group wants written, as the store writes it.
pub(crate) fn changes(rows: Rows) -> impl Iterator<Item = Change> {
    rows.into_iter().map(|row| match row {
        Row::Put { shelf, key, value } => Change::Keep { shelf: shelf as u8, key, value },
        Row::Delete { shelf, key } => Change::Discard { shelf: shelf as u8, key },
    })
}
