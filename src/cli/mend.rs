//! What is wrong with the files of a workspace and can be put right without asking anybody.
//!
//! Nothing is mended that somebody else may have written: a state file or a handler file that is open to writing may say what its
//! owner never said, and closing it now would make it believed. Links are never followed, files of others never touched.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::state::{self, is_alive};
use super::{export, sanitize};

/// What only the owner may read, in `keys/` beside everything else that lies there.
const SECRETS: [&str; 1] = ["state.redb"];

/// What a daemon leaves behind when it is killed.
const TRACES: [&str; 3] = ["state.json", "toq.pid", "toq.sock"];

/// The directories of a workspace.
const FOLDERS: [&str; 2] = ["keys", "logs"];

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flaw {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// A directory is not there.
    Missing,
    /// Others may look into it; the mode that it has and the one it should have.
    Open(u32, u32),
    /// It says that a daemon runs which does not.
    Stale,
}

impl Flaw {
    /// Says whether the workspace does not work with it. What is only missing or left behind is made or replaced by the next start.
    pub const fn is_serious(&self) -> bool {
        matches!(self.kind, Kind::Open(..))
    }

    /// Returns what is wrong, in words.
    pub fn words(&self) -> String {
        let path = sanitize::name(&self.path.to_string_lossy());
        match self.kind {
            Kind::Missing => format!("{path} is not there"),
            Kind::Open(mode, _) => format!("{path} can be read by others (mode {mode:03o})"),
            Kind::Stale => format!("{path} was left behind by a daemon that is gone"),
        }
    }

    /// Puts it right and returns what was done, in words.
    pub fn mend(&self) -> io::Result<String> {
        let path = sanitize::name(&self.path.to_string_lossy());
        match self.kind {
            Kind::Missing => {
                DirBuilder::new().mode(0o700).create(&self.path)?;
                Ok(format!("made {path}"))
            }
            Kind::Open(_, mode) => {
                let file = OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&self.path)?;
                file.set_permissions(Permissions::from_mode(mode))?;
                let is_identity = self.path.ends_with("identity.key");
                let advice = if is_identity { "; if others use this machine, make a new key with `toq rotate-keys`" } else { "" };
                Ok(format!("closed {path} to others (mode {mode:03o}){advice}"))
            }
            Kind::Stale => {
                fs::remove_file(&self.path)?;
                Ok(format!("removed {path}"))
            }
        }
    }
}

/// Returns what is wrong with the files of a workspace.
pub fn flaws(dir: &Path) -> Vec<Flaw> {
    let missing = FOLDERS.iter().map(|name| dir.join(name)).filter(|path| fs::symlink_metadata(path).is_err());
    let mut flaws: Vec<Flaw> = missing.map(|path| Flaw { path, kind: Kind::Missing }).collect();
    let keys = dir.join("keys");
    flaws.extend(open(&keys, 0o700));
    let secrets = fs::read_dir(&keys).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let secrets = secrets.chain(SECRETS.iter().map(|name| dir.join(name)));
    flaws.extend(secrets.filter_map(|path| open(&path, 0o600)));
    flaws.extend(stale(dir));
    flaws
}

/// Holds the workspace while its files are mended, so that no daemon starts and writes new ones meanwhile.
pub fn mend(dir: &Path, flaws: &[Flaw]) -> Vec<io::Result<String>> {
    let mended = |flaw: &Flaw| flaw.mend().map_err(|error| io::Error::other(format!("{}: {error}", flaw.words())));
    let is_stale = |flaw: &&Flaw| flaw.kind == Kind::Stale;
    let (traces, others): (Vec<_>, Vec<_>) = flaws.iter().partition(is_stale);
    let mut done: Vec<_> = others.into_iter().map(mended).collect();
    if !traces.is_empty() {
        match export::log(dir) {
            Ok(_lock) => done.extend(traces.into_iter().map(mended)),
            Err(failure) => done.push(Err(io::Error::other(failure.message))),
        }
    }
    done
}

/// A file or directory of ours that others may look into.
fn open(path: &Path, wanted: u32) -> Option<Flaw> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let is_ours = metadata.uid() == geteuid().as_raw() && !metadata.is_symlink();
    let mode = metadata.mode() & 0o777;
    (is_ours && mode & 0o077 != 0).then(|| Flaw { path: path.to_owned(), kind: Kind::Open(mode, wanted) })
}

/// What a daemon left behind: there is a trace of one, and its process is gone.
fn stale(dir: &Path) -> Vec<Flaw> {
    let said = state::read(dir).ok().flatten().map(|state| state.pid);
    let pid = said.or_else(|| fs::read_to_string(dir.join("toq.pid")).ok()?.trim().parse().ok());
    if pid.is_none_or(is_alive) {
        return Vec::new();
    }
    let there = TRACES.iter().map(|name| dir.join(name)).filter(|path| fs::symlink_metadata(path).is_ok());
    there.map(|path| Flaw { path, kind: Kind::Stale }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for folder in FOLDERS {
            DirBuilder::new().mode(0o700).create(dir.path().join(folder)).expect("ours");
        }
        dir
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).expect("ours");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn a_workspace_in_order_has_no_flaws() {
        let dir = workspace();
        write(&dir.path().join("keys/identity.key"), "x", 0o600);
        write(&dir.path().join("state.json"), &format!("{{\"port\":1,\"pid\":{}}}", std::process::id()), 0o600);

        assert_eq!(flaws(dir.path()), []);
    }

    #[test]
    fn what_is_open_missing_or_left_behind_is_mended() {
        let dir = workspace();
        fs::remove_dir(dir.path().join("logs")).expect("ours");
        write(&dir.path().join("keys/identity.key"), "x", 0o644);
        write(&dir.path().join("state.json"), "{\"port\":1,\"pid\":2147483646}", 0o600);
        write(&dir.path().join("toq.pid"), "2147483646", 0o600);

        let done = mend(dir.path(), &flaws(dir.path()));

        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 4, "{done:?}");
        assert_eq!(flaws(dir.path()), []);
        let mode = fs::metadata(dir.path().join("keys/identity.key")).expect("there").mode() & 0o777;
        assert_eq!((mode, dir.path().join("state.json").exists(), dir.path().join("logs").is_dir()), (0o600, false, true));
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = workspace();
        let elsewhere = dir.path().join("elsewhere");
        write(&elsewhere, "x", 0o644);
        std::os::unix::fs::symlink(&elsewhere, dir.path().join("keys/identity.key")).expect("ours");

        let flaw = Flaw { path: dir.path().join("keys/identity.key"), kind: Kind::Open(0o644, 0o600) };

        assert_eq!(flaws(dir.path()), []);
        assert!(flaw.mend().is_err());
        assert_eq!(fs::metadata(elsewhere).expect("there").mode() & 0o777, 0o644);
    }
}
