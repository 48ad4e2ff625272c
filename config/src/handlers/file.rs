//! Reads `handlers.toml`, and says where it is wrong.

use std::path::Path;

use serde_json::{Map, Value as Json};
use toml_edit::{Document, Item, TableLike, Value};

use super::schema::{agree, assemble, check, is_key, meant};
use super::{FILE, HandlerConfig};
use crate::disk::trusted;
use crate::document::{first_line, place};
use crate::error::{ConfigError, Fault};

/// Reads the handlers of a workspace directory; none where there is no file.
///
/// # Errors
/// [`ConfigError`] where the file cannot be read, could have been written by somebody else, or is wrong.
pub fn load(dir: &Path) -> Result<Vec<HandlerConfig>, ConfigError> {
    let path = dir.join(FILE);
    match text(dir)? {
        Some(text) => Ok(parse(&text, &path)?),
        None => Ok(Vec::new()),
    }
}

/// Reads the text of the file, if there is one and it can be trusted: whoever can write it runs commands as us.
pub fn text(dir: &Path) -> Result<Option<String>, ConfigError> {
    trusted(dir, FILE)
}

/// Reads the handlers of a text; the first thing that is wrong is the error.
pub fn parse(text: &str, path: &Path) -> Result<Vec<HandlerConfig>, Fault> {
    let document = Document::parse(text).map_err(|error| Fault {
        place: place(text, path, error.span()),
        key: String::new(),
        message: format!("not valid TOML: {}", first_line(error.message())),
        nearest: None,
    })?;
    let mut handlers: Vec<HandlerConfig> = Vec::new();
    for (name, item) in document.as_table() {
        let here = || place(text, path, document.as_table().key(name).and_then(toml_edit::Key::span).or_else(|| item.span()));
        let Some(tables) = tables(item).filter(|_| name == "handlers") else {
            let message = format!("unknown key `{name}`: this file holds [[handlers]] and nothing else");
            return Err(Fault { place: here(), key: name.to_owned(), message, nearest: None });
        };
        for (table, span) in tables {
            let handler = handler(text, path, table, span.clone())?;
            if handlers.iter().any(|known| known.name == handler.name) {
                let message = format!("there are two handlers with the name `{}`", handler.name);
                return Err(Fault { place: place(text, path, span), key: "name".to_owned(), message, nearest: None });
            }
            handlers.push(handler);
        }
    }
    Ok(handlers)
}

type Spanned<'a> = (&'a dyn TableLike, Option<std::ops::Range<usize>>);

/// The tables of `[[handlers]]`, or of a list of inline tables.
fn tables(item: &Item) -> Option<Vec<Spanned<'_>>> {
    match item {
        Item::ArrayOfTables(tables) => Some(tables.iter().map(|table| (table as &dyn TableLike, table.span())).collect()),
        Item::Value(Value::Array(list)) => {
            list.iter().map(|value| value.as_inline_table().map(|table| (table as &dyn TableLike, value.span()))).collect()
        }
        _ => None,
    }
}

fn handler(text: &str, path: &Path, table: &dyn TableLike, span: Option<std::ops::Range<usize>>) -> Result<HandlerConfig, Fault> {
    let mut values = Map::new();
    for (name, item) in table.iter() {
        let key_span = || table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
        if !is_key(name) {
            let message = format!("unknown key `{name}` of a handler");
            let nearest = meant(name).map(str::to_owned);
            return Err(Fault { place: place(text, path, key_span()), key: name.to_owned(), message, nearest });
        }
        let value = item.as_value().and_then(json).unwrap_or(Json::Object(Map::new()));
        if let Err(complaint) = check(name, &value) {
            let message = format!("`{name}` {complaint}");
            return Err(Fault { place: place(text, path, item.span().or_else(key_span)), key: name.to_owned(), message, nearest: None });
        }
        values.insert(name.to_owned(), value);
    }
    let whole = |message: String| Fault { place: place(text, path, span.clone()), key: "handlers".to_owned(), message, nearest: None };
    let handler = assemble(values).map_err(whole)?;
    agree(&handler).map_err(|complaint| whole(complaint.to_owned()))?;
    Ok(handler)
}

/// A value as JSON; `None` for kinds that no key holds.
fn json(value: &Value) -> Option<Json> {
    match value {
        Value::String(text) => Some(Json::from(text.value().as_str())),
        Value::Integer(number) => Some(Json::from(*number.value())),
        Value::Boolean(flag) => Some(Json::from(*flag.value())),
        Value::Array(list) => list.iter().map(json).collect::<Option<Vec<_>>>().map(Json::Array),
        _ => None,
    }
}
