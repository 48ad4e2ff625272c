//! A socket in the file system, which only its owner can open.
//!
//! The mode is right from the first moment: the socket is made under a mask, not changed after others could have
//! connected. A file that a crash left behind is replaced; one that somebody listens at, or that is no socket, is not.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::umask;

/// Listens at a path, for this user alone. To be called before other threads make files.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] where somebody listens there or the path is no socket; otherwise what the system says.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() && UnixStream::connect(path).is_err() => fs::remove_file(path)?,
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_socket_is_its_owners_and_replaces_only_a_dead_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("toq.sock");

        let alive = bind(&path).expect("binds");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(bind(&path).expect_err("somebody listens").kind(), io::ErrorKind::AddrInUse);
        drop(alive);
        drop(bind(&path).expect("nobody listens any more"));

        fs::write(dir.path().join("precious"), "kept").expect("ours");
        assert!(bind(&dir.path().join("precious")).is_err());
    }
}
