//! Files that only their owner can read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::VaultError;

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// The largest secret that is read, in bytes.
const MAX_SECRET: u64 = 1 << 20;

/// Makes a directory that only its owner can enter, or checks that an existing one is.
///
/// # Errors
/// [`VaultError`] where it cannot be made, belongs to somebody else or is open to others.
pub fn make_private_dir(path: &Path) -> Result<(), VaultError> {
    match DirBuilder::new().mode(DIR_MODE).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(|error| VaultError::file("look at", path, error))?;
            check(path, &metadata, DIR_MODE)
        }
        Err(error) => Err(VaultError::file("make", path, error)),
    }
}

/// Takes a directory's rights away from everybody but its owner, who must be the user of this process. Where there is
/// none, nothing is done.
///
/// # Errors
/// [`VaultError`] where it is a link or a file, belongs to somebody else, or cannot be changed.
pub fn close_dir(path: &Path) -> Result<(), VaultError> {
    let opened = OpenOptions::new().read(true).custom_flags((OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed()).open(path);
    let dir = match opened {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(VaultError::file("open", path, error)),
    };
    let metadata = dir.metadata().map_err(|error| VaultError::file("look at", path, error))?;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(VaultError::Owner { path: path.to_owned(), owner: metadata.uid(), user });
    }
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    dir.set_permissions(fs::Permissions::from_mode(DIR_MODE)).map_err(|error| VaultError::file("protect", path, error))
}

/// Reads a private file; `None` where there is none.
///
/// # Errors
/// [`VaultError`] where it is a link, belongs to somebody else or is open to others.
pub fn read_private(path: &Path) -> Result<Option<Vec<u8>>, VaultError> {
    let opened = OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(VaultError::file("open", path, error)),
    };
    let metadata = file.metadata().map_err(|error| VaultError::file("look at", path, error))?;
    check(path, &metadata, FILE_MODE)?;
    let mut content = Vec::new();
    file.take(MAX_SECRET).read_to_end(&mut content).map_err(|error| VaultError::file("read", path, error))?;
    Ok(Some(content))
}

/// Writes a private file: a new file beside it, flushed, renamed over it, the directory flushed.
///
/// # Errors
/// [`VaultError::File`] where a step fails; the old file is whole then.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), VaultError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = dir.join(name);
    let step = |action, error| VaultError::file(action, path, error);
    // A file left behind by a crash is ours to replace; a link is not followed either way.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(step("clear the way for", error)),
        Ok(()) | Err(_) => {}
    }
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .custom_flags(flags)
        .open(&temporary)
        .map_err(|error| step("make", error))?;
    file.write_all(content).map_err(|error| step("write", error))?;
    file.sync_all().map_err(|error| step("flush", error))?;
    fs::rename(&temporary, path).map_err(|error| step("replace", error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| step("flush the directory of", error))
}

fn check(path: &Path, metadata: &fs::Metadata, wanted: u32) -> Result<(), VaultError> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(VaultError::Owner { path: path.to_owned(), owner: metadata.uid(), user });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::Mode { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}
