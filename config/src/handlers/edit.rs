//! Changes `handlers.toml` without losing what a person wrote into it.
//!
//! A change is made in memory, the whole result is read as a start would read it, and only then the file is replaced.

use std::path::Path;

use serde_json::{Map, Value as Json};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};
use toq_protocol::policy::{PATTERN_FORM, Pattern};

use super::effect::has_effect;
use super::file::{parse, text};
use super::schema::{check, is_key, is_nothing, keys, meant};
use super::{FILE, HandlerConfig};
use crate::disk::replace;
use crate::error::{ConfigError, Fault, Place};

/// Why the handlers cannot be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlersError {
    /// The file or the change is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A handler has this name already.
    #[error("handler '{0}' already exists")]
    Exists(String),
    /// No handler has this name.
    #[error("handler '{0}' not found")]
    Unknown(String),
}

impl From<Fault> for HandlersError {
    fn from(fault: Fault) -> Self {
        Self::Config(fault.into())
    }
}

/// Adds a handler.
///
/// # Errors
/// [`HandlersError::Exists`] where its name is taken; otherwise what is wrong with it.
pub fn add(dir: &Path, values: &Map<String, Json>) -> Result<HandlerConfig, HandlersError> {
    let mut file = Open::new(dir)?;
    let name = checked_name(values)?;
    if file.find(&name).is_some() {
        return Err(HandlersError::Exists(name));
    }
    let mut table = Table::new();
    put(&mut table, values)?;
    file.tables()?.push(table);
    file.save(&name, values)
}

/// Changes some keys of a handler. A key that becomes null, an empty text or an empty list is removed.
///
/// # Errors
/// [`HandlersError::Unknown`] where no handler has this name; otherwise what is wrong with the change.
pub fn update(dir: &Path, name: &str, values: &Map<String, Json>) -> Result<HandlerConfig, HandlersError> {
    let mut file = Open::new(dir)?;
    let at = file.find(name).ok_or_else(|| HandlersError::Unknown(name.to_owned()))?;
    if values.get("name").is_some_and(|other| other != name) {
        return Err(wrong("name", "cannot be changed; remove the handler and add another").into());
    }
    if let Some(table) = file.tables()?.get_mut(at) {
        put(table, values)?;
    }
    file.save(name, values)
}

/// Removes a handler.
///
/// # Errors
/// [`HandlersError::Unknown`] where no handler has this name.
pub fn remove(dir: &Path, name: &str) -> Result<(), HandlersError> {
    let mut file = Open::new(dir)?;
    let at = file.find(name).ok_or_else(|| HandlersError::Unknown(name.to_owned()))?;
    file.tables()?.remove(at);
    file.write()
}

fn checked_name(values: &Map<String, Json>) -> Result<String, Fault> {
    let missing = || Fault { message: "missing name".to_owned(), ..wrong("name", "") };
    let name = values.get("name").filter(|name| !is_nothing(name)).ok_or_else(missing)?;
    check("name", name).map_err(|complaint| wrong("name", &complaint))?;
    Ok(name.as_str().unwrap_or_default().to_owned())
}

fn wrong(key: &str, complaint: &str) -> Fault {
    Fault { place: Place::Argument, key: key.to_owned(), message: format!("`{key}` {complaint}"), nearest: None }
}

/// Puts values into a table in the order of the schema. A handler runs code, so a key that is not known is refused
/// instead of ignored: a misspelled filter would make it answer everybody.
fn put(table: &mut Table, values: &Map<String, Json>) -> Result<(), Fault> {
    if let Some(unknown) = values.keys().find(|name| !is_key(name)) {
        let nearest = meant(unknown).map(str::to_owned);
        return Err(Fault { message: format!("unknown key `{unknown}` of a handler"), nearest, ..wrong(unknown, "") });
    }
    // Those of an existing file are read as they are.
    let patterns = values.get("filter_from").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    if let Some(error) = patterns.iter().filter_map(Json::as_str).find_map(|text| Pattern::parse(text).err()) {
        return Err(wrong("filter_from", &format!("would match no sender: {error}; {PATTERN_FORM}")));
    }
    for name in keys() {
        let Some(value) = values.get(name) else { continue };
        if is_nothing(value) {
            table.remove(name);
            continue;
        }
        check(name, value).map_err(|complaint| wrong(name, &complaint))?;
        let Some(mut value) = toml(value) else { continue };
        if let Some(old) = table.get(name).and_then(Item::as_value) {
            *value.decor_mut() = old.decor().clone();
        }
        table.insert(name, Item::Value(value));
    }
    Ok(())
}

fn toml(json: &Json) -> Option<Value> {
    match json {
        Json::String(text) => Some(Value::from(text.as_str())),
        Json::Bool(flag) => Some(Value::from(*flag)),
        Json::Number(number) => number.as_i64().map(Value::from),
        Json::Array(list) => list.iter().map(toml).collect::<Option<Array>>().map(Value::Array),
        Json::Null | Json::Object(_) => None,
    }
}

/// The file while it is changed.
struct Open<'a> {
    dir: &'a Path,
    document: DocumentMut,
    names: Vec<String>,
}

impl<'a> Open<'a> {
    fn new(dir: &'a Path) -> Result<Self, HandlersError> {
        let path = dir.join(FILE);
        let text = text(dir)?.unwrap_or_default();
        let names = parse(&text, &path)?.into_iter().map(|handler| handler.name).collect();
        let document = text.parse().map_err(|_| wrong(FILE, "is not valid TOML"))?;
        Ok(Self { dir, document, names })
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The tables, as `[[handlers]]` whatever they were written as.
    fn tables(&mut self) -> Result<&mut ArrayOfTables, Fault> {
        let item = self.document.entry("handlers").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        if item.is_value() {
            let taken = std::mem::take(item);
            *item = taken.into_array_of_tables().map_or_else(|item| item, Item::ArrayOfTables);
        }
        item.as_array_of_tables_mut().ok_or_else(|| wrong("handlers", "must be written as [[handlers]]"))
    }

    /// Replaces the file, if all of it is right and `values`, which are new, have an effect.
    fn save(self, name: &str, values: &Map<String, Json>) -> Result<HandlerConfig, HandlersError> {
        let text = self.document.to_string();
        // The values are in the request, so a line of a file that does not exist yet would only confuse.
        let handlers = parse(&text, &self.dir.join(FILE)).map_err(|fault| Fault { place: Place::Argument, ..fault })?;
        let handler = handlers.into_iter().find(|handler| handler.name == name);
        let handler = handler.ok_or_else(|| HandlersError::Unknown(name.to_owned()))?;
        has_effect(&handler, values, self.dir).map_err(|(key, message)| Fault { message, ..wrong(key, "") })?;
        self.write()?;
        Ok(handler)
    }

    fn write(self) -> Result<(), HandlersError> {
        let path = self.dir.join(FILE);
        replace(&path, &self.document.to_string()).map_err(|source| ConfigError::write(&path, source).into())
    }
}
