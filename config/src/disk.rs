//! Reads a file only if nobody else could have written it; writes one so that a reader sees the old text or the new
//! one, and a crash leaves one of them.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt};
use std::path::Path;

use crate::error::{ConfigError, Fault, Place};

/// Reads the text of a file of a workspace directory, if there is one.
pub fn trusted(dir: &Path, name: &str) -> Result<Option<String>, ConfigError> {
    let path = dir.join(name);
    let read = |source| ConfigError::Read { path: path.clone(), source };
    let found = match fs::metadata(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    let owner = fs::metadata(dir).map_err(read)?;
    if let Some(complaint) = distrust(&found, &owner) {
        return Err(Fault {
            place: Place::Argument,
            key: String::new(),
            message: format!("{} {complaint}", path.display()),
            nearest: None,
        }
        .into());
    }
    fs::read_to_string(&path).map(Some).map_err(read)
}

fn distrust(file: &Metadata, dir: &Metadata) -> Option<&'static str> {
    if file.uid() != dir.uid() {
        return Some("belongs to another user than its directory and is not used; see `chown`");
    }
    (file.mode() & 0o022 != 0).then_some("can be written by other users and is not used; run `chmod go-w` on it")
}

/// Replaces a file, readable by its owner only.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.{}.tmp", std::process::id()));
    // Left over by a process that had this id and crashed; `create_new` would refuse it for ever.
    drop(fs::remove_file(&temporary));
    let written = create(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        drop(fs::remove_file(&temporary));
        return written;
    }
    fs::File::open(dir)?.sync_all()
}

/// Creates a file that must not exist, readable by its owner only.
pub fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
