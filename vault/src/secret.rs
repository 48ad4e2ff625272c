//! Secrets that somebody else issued: the keys of model providers.
//!
//! They come from the environment or from a private file, never from a setting's own text, and have no
//! printable form.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::private_file::read_private;

/// The longest secret, in bytes: every provider's key is far shorter, and one that is longer is a mistake.
const MAX_LENGTH: usize = 4096;

/// A secret text. It is wiped when it is dropped, and shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([REDACTED])")
    }
}

/// Where a secret is kept: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The environment variable of this name.
    Environment(String),
    /// The private file at this path, relative to the workspace's directory.
    File(String),
}

/// Why a reference leads to no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// It is neither of the two forms. The text itself is not repeated, because it may be the secret.
    #[error("a secret is named as env:NAME or file:PATH, never written down itself")]
    Form,
    /// There is no such variable.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// There is no such file.
    #[error("the file {0} does not exist")]
    Missing(String),
    /// The file cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What was found cannot be sent in a header.
    #[error("{0} does not hold a secret: it is empty, too long or not one line of text")]
    Content(String),
}

impl Reference {
    /// Parses a reference.
    ///
    /// # Errors
    /// [`ReferenceError::Form`] for anything but `env:NAME` and `file:PATH`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            _ => Err(ReferenceError::Form),
        }
    }

    /// Reads the secret: from `variable`, which looks into the environment, or from a file below `dir`.
    ///
    /// # Errors
    /// [`ReferenceError`] says which variable or file has no usable secret.
    pub fn read(&self, dir: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Secret, ReferenceError> {
        let (text, name) = match self {
            Self::Environment(name) => (variable(name).ok_or_else(|| ReferenceError::Unset(name.clone()))?, name),
            Self::File(path) => {
                let bytes = read_private(&dir.join(path))?.ok_or_else(|| ReferenceError::Missing(path.clone()))?;
                (String::from_utf8(bytes).map_err(|_| ReferenceError::Content(path.clone()))?, path)
            }
        };
        let text = Zeroizing::new(text);
        let line = text.trim();
        let is_line = !line.is_empty() && line.len() <= MAX_LENGTH && line.bytes().all(|byte| byte.is_ascii_graphic());
        if is_line { Ok(Secret::new(line)) } else { Err(ReferenceError::Content(name.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_file::write_private;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let secret = Secret::new("canary-3f1c");

        assert!(!format!("{secret:?} {:?}", Some(&secret)).contains("canary"));
    }

    #[test]
    fn a_secret_written_down_in_a_setting_is_refused_without_repeating_it() {
        let error = Reference::parse("canary-3f1c").expect_err("no reference");

        assert!(!error.to_string().contains("canary"));
    }

    #[test]
    fn references_lead_to_the_environment_and_to_private_files() {
        let dir = tempfile::tempdir().expect("a directory");
        write_private(&dir.path().join("key"), b"from-file\n").expect("written");

        let of_file = Reference::parse("file:key").and_then(|found| found.read(dir.path(), &nothing));
        let of_variable = Reference::parse("env:KEY").and_then(|found| found.read(dir.path(), &|name| Some(format!("value-of-{name}"))));

        assert_eq!(of_file.expect("read").expose(), "from-file");
        assert_eq!(of_variable.expect("read").expose(), "value-of-KEY");
    }

    #[test]
    fn what_is_unset_missing_open_to_others_or_no_line_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = dir.path().join("open");
        std::fs::write(&open, "x").expect("written");
        std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("changed");
        let read = |text: &str, value: Option<&str>| {
            let found = Reference::parse(text).expect("a reference");
            found.read(dir.path(), &|_| value.map(str::to_owned)).expect_err("no secret").to_string()
        };

        assert!(read("env:KEY", None).contains("KEY is not set"));
        assert!(read("env:KEY", Some("two\nlines")).contains("KEY does not hold"));
        assert!(read("file:none", None).contains("none does not exist"));
        assert!(read("file:open", None).contains("chmod 600"));
    }
}
