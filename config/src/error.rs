//! What can be wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is a configuration already where one is to be made.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// A key or value is wrong.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// There is no configuration.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl ConfigError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::NotFound {
            return Self::Missing(path.to_owned());
        }
        Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
}

/// One wrong key or value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}{message}{}", suggestion(nearest.as_deref()))]
pub struct Fault {
    /// Where it is written.
    pub place: Place,
    /// The key; empty if the text is not TOML at all.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
    /// The known key that was probably meant.
    pub nearest: Option<String>,
}

/// Where a key is written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Place {
    /// In a request or an argument, which the reader has before his eyes.
    Argument,
    /// In an environment variable.
    Environment(String),
    /// In a file; lines and columns count from one, columns in characters.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: usize,
        /// Where in the line.
        column: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => Ok(()),
            Self::Environment(name) => write!(f, "environment variable {name}: "),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}: ", path.display()),
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|key| format!(", did you mean `{key}`?")).unwrap_or_default()
}
