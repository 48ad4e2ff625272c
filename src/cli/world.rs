//! The surroundings of the process, read once by `main`.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the process was given.
#[derive(Clone, Debug)]
pub struct World {
    /// The command line, beginning with the program's name.
    pub arguments: Vec<OsString>,
    /// Whether complaints may be coloured.
    pub colour: bool,
    /// The current directory.
    pub cwd: PathBuf,
    /// This program's own file.
    pub exe: PathBuf,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Whether there is somebody who can answer a question.
    pub interactive: bool,
    /// The environment.
    pub variables: Vec<(String, String)>,
}

impl World {
    /// Returns an environment variable that is not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}
