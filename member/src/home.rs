//! A member's directory: its store, and the key that opens it.
//!
//! The directory has mode 0700 and holds `member.redb` and either `workspace.key` (32 random bytes, mode 0600) or
//! `workspace.salt`, with which a passphrase becomes the key (PBKDF2-HMAC-SHA256, 600,000 rounds). It can be moved as a whole.
//!
//! The key gets its name when the store has been made; until then it is called `workspace.key.first`. So a key without a store is a
//! loss, and not a first opening that was cut off.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use ring::pbkdf2;
use toq_channels::group::{Row, Rows, Shelf, ShelfError, Shelves};
use toq_store::StoreError;
use toq_store::member::{Change, MemberStore, WorkspaceKey};
use toq_vault::{VaultError, make_private_dir, read_private, write_private};
use zeroize::Zeroizing;

use crate::chance::random;
use crate::error::{Error, Kind};
use crate::settings::Settings;

/// What OWASP advises for HMAC-SHA256.
const ROUNDS: u32 = 600_000;

/// The file of the store.
const DATABASE: &str = "member.redb";

/// What is behind the name of a file of which a first opening has not come to its end.
const FIRST: &str = ".first";

/// What opens a directory.
struct Opener {
    key: WorkspaceKey,
    /// At the first opening: where what makes the key has to be, once the store is there. A key that stands there says that there is a state.
    fresh: Option<(PathBuf, Zeroizing<Vec<u8>>)>,
}

/// Opens the store of these settings.
pub(crate) async fn open(settings: &Settings) -> Result<MemberStore, Error> {
    let Some(dir) = &settings.data_dir else { return Ok(MemberStore::in_memory().await?) };
    let opener = {
        let (dir, passphrase) = (dir.clone(), settings.passphrase.clone());
        let made = tokio::task::spawn_blocking(move || opener(&dir, passphrase.as_ref().map(|text| text.as_str())));
        made.await.map_err(|_| Error::closed())??
    };
    let file = dir.join(DATABASE);
    let store = match MemberStore::open(&file, &opener.key).await {
        Err(StoreError::AlreadyOpen(_)) if is_open_here(&file) => {
            let text = format!(
                "{} is open in this process already: one data directory is for one client at a time; close() the other one, or share it between threads",
                file.display()
            );
            return Err(Error::new(Kind::Storage, text));
        }
        opened => opened?,
    };
    if let Some((path, bytes)) = opener.fresh {
        // Nobody else has the store now, so this key is the one that it was made with.
        let kept = tokio::task::spawn_blocking(move || {
            write_private(&path, &bytes)?;
            drop(std::fs::remove_file(first(&path)));
            Ok(())
        });
        if let Err(error) = kept.await.map_err(|_| Error::closed())?.map_err(unusable) {
            store.close();
            return Err(error);
        }
    }
    Ok(store)
}

fn unusable(error: VaultError) -> Error {
    Error::new(Kind::Storage, error.to_string())
}

/// Whether this process has a file open. Where the system does not tell, it has not.
fn is_open_here(file: &Path) -> bool {
    let (Ok(file), Ok(open)) = (file.canonicalize(), std::fs::read_dir("/proc/self/fd")) else { return false };
    open.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| link == file))
}

fn first(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(FIRST);
    name.into()
}

fn opener(dir: &Path, passphrase: Option<&str>) -> Result<Opener, Error> {
    let storage = |text: String| Err(Error::new(Kind::Storage, text));
    if dir.is_file() {
        return storage(format!(
            "{} is a file, and the state is kept in a directory; name another one, or move the file away",
            dir.display()
        ));
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| Error::new(Kind::Storage, format!("cannot make {}: {error}", parent.display())))?;
    }
    make_private_dir(dir).map_err(unusable)?;
    let has_state = std::fs::metadata(dir.join(DATABASE)).is_ok_and(|file| file.len() > 0);
    let (file, salt) = (dir.join("workspace.key"), dir.join("workspace.salt"));
    let (path, other, length) = if passphrase.is_some() { (salt, file, 16) } else { (file, salt, 32) };
    let is_others = other.exists() || has_state && first(&other).exists();
    let begun = read_private(&first(&path)).map_err(unusable)?.filter(|bytes| bytes.len() == length);
    let (bytes, is_fresh) = match (read_private(&path).map_err(unusable)?, begun) {
        (Some(bytes), _) if bytes.len() != length => return storage(format!("{} is damaged; bring it back from a copy", path.display())),
        (Some(_), _) if !has_state => return Err(lost(dir, &path)),
        (Some(bytes), _) => (Zeroizing::new(bytes), false),
        (None, _) if is_others && passphrase.is_some() => {
            return storage(format!("{} was not made with a passphrase; open it without one", dir.display()));
        }
        (None, _) if is_others => return storage(format!("{} is kept with a passphrase; give it", dir.display())),
        // An opening that was the first has not come to its end.
        (None, Some(bytes)) => (Zeroizing::new(bytes), true),
        (None, None) if !has_state => {
            let bytes = Zeroizing::new(random::<32>()[..length].to_vec());
            write_private(&first(&path), &bytes).map_err(unusable)?;
            (bytes, true)
        }
        (None, None) if passphrase.is_some() => {
            return storage(format!("{} was not made with a passphrase; open it without one", dir.display()));
        }
        (None, None) => return storage(format!("{} is missing; bring it back from a copy", path.display())),
    };
    let mut key = Zeroizing::new([0; 32]);
    match passphrase {
        Some(passphrase) => {
            let rounds = NonZeroU32::new(ROUNDS).expect("more than none");
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &bytes, passphrase.as_bytes(), key.as_mut_slice());
        }
        None => key.copy_from_slice(&bytes),
    }
    Ok(Opener { key: WorkspaceKey::new(key), fresh: is_fresh.then_some((path, bytes)) })
}

/// There is a key and nothing that it opens: whoever goes on is somebody else, and the channels know only who was here before.
fn lost(dir: &Path, path: &Path) -> Error {
    let text = format!(
        "{} is missing or empty, and {} says that there was a state; bring it back from a copy, or, to begin as a new agent that members have to add again, delete {}",
        dir.join(DATABASE).display(),
        path.display(),
        path.display()
    );
    Error::new(Kind::Storage, text).with_code("state_lost")
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
