//! Finds the workspace directory.
//!
//! The first hit wins: the directory that was asked for or the `.toq` in it, `.toq` in the current directory, `.toq` in the home directory.
//! Parents of the current directory are not searched, so that a program started somewhere below a workspace
//! does not speak in that agent's name by accident.

use std::path::{Path, PathBuf};

use crate::FILE;

/// The name of a workspace directory.
const NAME: &str = ".toq";

/// A workspace directory and how it was found. It need not exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Located {
    /// The directory, absolute if the current directory is.
    pub dir: PathBuf,
    /// How it was found.
    pub mode: Mode,
}

/// How a workspace directory was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// It was asked for.
    Explicit,
    /// It is in the home directory.
    Home,
    /// It is in the current directory.
    Workspace,
}

/// Finds the workspace directory; nothing only if there is no home either.
pub fn locate(cwd: &Path, home: Option<&Path>, explicit: Option<&Path>) -> Option<Located> {
    if let Some(dir) = explicit {
        let dir = cwd.join(dir);
        // The directory that holds the workspace will do, unless it looks like one itself.
        let inner = dir.join(NAME);
        let dir = if inner.is_dir() && !dir.join(FILE).is_file() { inner } else { dir };
        return Some(Located { dir, mode: Mode::Explicit });
    }
    let here = cwd.join(NAME);
    if here.is_dir() {
        return Some(Located { dir: here, mode: Mode::Workspace });
    }
    home.map(|home| Located { dir: home.join(NAME), mode: Mode::Home })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hit_wins() {
        let cwd = tempfile::tempdir().expect("a temporary directory");
        let home = tempfile::tempdir().expect("a temporary directory");
        let find = |explicit: Option<&str>| locate(cwd.path(), Some(home.path()), explicit.map(Path::new)).expect("there is a home");

        assert_eq!(find(None), Located { dir: home.path().join(".toq"), mode: Mode::Home });

        std::fs::create_dir(cwd.path().join(".toq")).expect("the directory is ours");
        assert_eq!(find(None), Located { dir: cwd.path().join(".toq"), mode: Mode::Workspace });
        assert_eq!(find(Some("x")), Located { dir: cwd.path().join("x"), mode: Mode::Explicit });
        assert_eq!(find(Some("/x")).dir, Path::new("/x"));
        assert_eq!(find(Some(".")).dir, cwd.path().join(".").join(".toq"), "the directory that holds it will do");
        assert_eq!(find(Some(".toq")).dir, cwd.path().join(".toq"));
    }

    #[test]
    fn parents_are_not_searched() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(parent.path().join(".toq")).expect("the directory is ours");
        let child = parent.path().join("child");
        std::fs::create_dir(&child).expect("the directory is ours");

        assert_eq!(locate(&child, None, None), None);
    }
}
