//! Makes a new workspace directory.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use toml_edit::Value;

use crate::FILE;
use crate::disk::create;
use crate::error::ConfigError;
use crate::load::{argument, stack};
use crate::schema::find;
use crate::value::check;

/// What must not end up in somebody's repository: secrets, messages and what only this machine knows.
const IGNORED: &str = "keys/\npeers.json\nmessages.jsonl\nstate.redb\nreplaced/\nrestore*/\nstate.json\ntoq.pid\ntoq.sock\nlogs/\n";

/// Makes a workspace: the directory (open to its owner only), `config.toml` and `.gitignore`.
///
/// No port means any free one. The directory may exist, a configuration in it may not. Keys are made by the first
/// start.
///
/// # Errors
/// [`ConfigError::Exists`] when there is a configuration already; otherwise what is wrong with name, host or port,
/// or why nothing can be written.
pub fn init(dir: &Path, name: &str, host: &str, port: Option<u16>) -> Result<(), ConfigError> {
    let settings = [("agent_name", Value::from(name)), ("host", Value::from(host)), ("port", Value::from(i64::from(port.unwrap_or(0))))];
    let mut text = String::new();
    for (path, value) in settings {
        let key = find(path).ok_or_else(|| argument(path, "is not a key"))?;
        check(key.kind, &value).map_err(|complaint| argument(path, &complaint))?;
        text.push_str(&format!("{path} = {value}\n"));
    }
    stack(dir, &text, std::iter::empty(), &[])?;

    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| ConfigError::write(dir, source))?;
    let path = dir.join(FILE);
    create(&path, &text).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => ConfigError::Exists(path.clone()),
        _ => ConfigError::write(&path, source),
    })?;
    let ignore = dir.join(".gitignore");
    match create(&ignore, IGNORED) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(ConfigError::write(&ignore, source)),
        _ => Ok(()),
    }
}
