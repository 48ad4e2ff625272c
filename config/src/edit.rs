//! Changes `config.toml` without losing what a person wrote into it.
//!
//! A change is made in memory, the whole result is loaded as a start would load it, and only then the file is
//! replaced. So a refused change leaves the file as it was, and an accepted one never stops the next start.

use std::path::Path;

use serde_json::{Map, Value as Json};
use toml_edit::{DocumentMut, Item, Table, Value};

use crate::FILE;
use crate::disk::replace;
use crate::error::{ConfigError, Fault, Place};
use crate::load::{REDACTED, argument, stack};
use crate::schema::{ADAPTER_TABLES, Effect, KEYS, find, is_table, needs_restart, unknown};
use crate::value::{from_json, from_text};

/// What a change amounts to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The keys whose value is another now.
    pub keys: Vec<String>,
    /// Those of them that take effect only with the next start.
    pub needs_restart: Vec<String>,
}

/// Sets one key, given as text.
///
/// # Errors
/// When the key or the value is wrong, or the file cannot be read or replaced.
pub fn set(dir: &Path, key: &str, value: &str) -> Result<Change, ConfigError> {
    let known = find(key).ok_or_else(|| unknown(key, Place::Argument))?;
    let value = from_text(known.kind, value).map_err(|complaint| argument(key, &complaint))?;
    write(dir, vec![(key.to_owned(), Some(value))])
}

/// Takes a key out, so that its default holds again.
///
/// Also one that does not exist, and one out of a file that cannot be used: that is how a person mends it, whatever else is
/// wrong with it.
///
/// # Errors
/// When there is no such key, neither here nor in the file, or the file cannot be read or replaced.
pub fn unset(dir: &Path, key: &str) -> Result<Change, ConfigError> {
    let path = dir.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::read(&path, source))?;
    let known = find(key);
    if let Some(known) = known
        && stack(dir, &text, std::iter::empty(), &[]).is_ok()
    {
        return write(dir, vec![(known.path.to_owned(), None)]);
    }
    let mut document: DocumentMut = text.parse().map_err(|_| argument(FILE, "is not valid TOML"))?;
    if is_whole_table(&document, key) || !take_out(&mut document, key) {
        return if known.is_some() { Ok(Change::default()) } else { Err(unknown(key, Place::Argument).into()) };
    }
    replace(&path, &document.to_string()).map_err(|source| ConfigError::write(&path, source))?;
    let keys = vec![key.to_owned()];
    Ok(Change { needs_restart: keys.iter().filter(|key| needs_restart(key)).cloned().collect(), keys })
}

/// Says whether a name is that of a table that there is, which holds more than what is wrong.
fn is_whole_table(document: &DocumentMut, name: &str) -> bool {
    let is_known = is_table(name) || ADAPTER_TABLES.contains(&name);
    is_known && document.get(name).is_some_and(Item::is_table_like)
}

/// Sets the keys of a JSON object; all of them or none.
///
/// The object has the shape of [`crate::Loaded::to_json`]. A key that becomes null is taken out, and its default holds again. A
/// secret that comes back redacted stays as it is.
///
/// # Errors
/// When a key or a value is wrong, or the file cannot be read or replaced.
pub fn patch(dir: &Path, changes: &Map<String, Json>) -> Result<Change, ConfigError> {
    let mut settings = Vec::new();
    for (name, json) in changes {
        match json {
            Json::Object(table) if is_table(name) => {
                for (leaf, json) in table {
                    settings.extend(setting(&format!("{name}.{leaf}"), json)?);
                }
            }
            json => settings.extend(setting(name, json)?),
        }
    }
    write(dir, settings)
}

fn setting(path: &str, json: &Json) -> Result<Option<(String, Option<Value>)>, Fault> {
    let key = find(path).ok_or_else(|| unknown(path, Place::Argument))?;
    if json == REDACTED {
        return Ok(None);
    }
    let value = match json {
        Json::Null => None,
        json => Some(from_json(key.kind, json).map_err(|complaint| argument(path, &complaint))?),
    };
    Ok(Some((path.to_owned(), value)))
}

fn write(dir: &Path, settings: Vec<(String, Option<Value>)>) -> Result<Change, ConfigError> {
    let path = dir.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::read(&path, source))?;
    let before = stack(dir, &text, std::iter::empty(), &[])?;
    let mut document: DocumentMut = text.parse().map_err(|_| argument(FILE, "is not valid TOML"))?;

    for (key, value) in &settings {
        match value {
            Some(value) => place(&mut document, key, value.clone()),
            None => {
                take_out(&mut document, key);
            }
        }
    }
    let text = document.to_string();
    // The key and the value are in the request, so a line of a file that does not exist yet would only confuse.
    let after = stack(dir, &text, std::iter::empty(), &[]).map_err(|fault| Fault { place: Place::Argument, ..fault })?;

    let (before, after) = (before.values(), after.values());
    let keys: Vec<String> =
        settings.into_iter().map(|(key, _)| key).filter(|key| lookup(before, key) != lookup(after, key) || key == "a2a_api_key").collect();
    if !keys.is_empty() {
        replace(&path, &text).map_err(|source| ConfigError::write(&path, source))?;
    }
    let needs_restart = keys.iter().filter(|key| needs_restart(key)).cloned().collect();
    Ok(Change { keys, needs_restart })
}

/// Puts a value in the document, where the key stands already or at the end of its table.
pub fn place(document: &mut DocumentMut, path: &str, value: Value) {
    let root = document.as_table_mut();
    let (table, leaf) = match path.rsplit_once('.') {
        None => (root as &mut dyn toml_edit::TableLike, path),
        Some((name, leaf)) => {
            let item = root.entry(name).or_insert_with(|| Item::Table(Table::new()));
            match item.as_table_like_mut() {
                Some(table) => (table, leaf),
                None => return,
            }
        }
    };
    match table.get_mut(leaf).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(leaf, Item::Value(value));
        }
    }
}

/// Takes a key out of the document, with what is written beside it; false where it is not there.
pub fn take_out(document: &mut DocumentMut, path: &str) -> bool {
    let root = document.as_table_mut();
    if root.remove(path).is_some() {
        return true;
    }
    let Some((name, leaf)) = path.rsplit_once('.') else { return false };
    let Some(table) = root.get_mut(name).and_then(Item::as_table_like_mut) else { return false };
    let was_there = table.remove(leaf).is_some();
    let is_left_over = table.is_empty() && !is_table(name) && !ADAPTER_TABLES.contains(&name);
    if is_left_over {
        root.remove(name);
    }
    was_there
}

/// Returns the keys that have another value in one configuration than in the other, as [`crate::Loaded::to_json`] shows them.
/// Secrets are shown in neither. Those that no daemon holds are left out.
pub fn differing(one: &Json, other: &Json) -> Vec<&'static str> {
    let held = KEYS.iter().filter(|key| matches!(key.effect, Effect::Live | Effect::Restart)).map(|key| key.path);
    held.filter(|path| lookup(one, path) != lookup(other, path)).collect()
}

/// Returns a key's value in a configuration as [`crate::Loaded::to_json`] shows it.
pub fn lookup<'a>(values: &'a Json, path: &str) -> Option<&'a Json> {
    match path.rsplit_once('.') {
        Some((table, leaf)) => values.get(table)?.get(leaf),
        None => values.get(path),
    }
}

/// Reads a value that is given as text and returns it as the JSON that [`patch`] takes.
///
/// # Errors
/// When the key or the value is wrong.
pub fn typed(key: &str, text: &str) -> Result<Json, ConfigError> {
    let known = find(key).ok_or_else(|| unknown(key, Place::Argument))?;
    let value = from_text(known.kind, text).map_err(|complaint| argument(key, &complaint))?;
    Ok(match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::Boolean(flag) => Json::from(flag.into_value()),
        Value::Integer(number) => Json::from(number.into_value()),
        other => Json::from(other.as_str().unwrap_or_default()),
    })
}
