//! Carries over what was changed in one version of a file into another file that takes its place.
//!
//! Three texts come together: how the file was when somebody decided on another, how it is now, and the other one. Where the first
//! two differ, somebody has changed their mind since, and the other file gets that change and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value};

use crate::document::scan;
use crate::edit::{place, take_out};
use crate::error::{ConfigError, Fault};
use crate::handlers::{FILE as HANDLERS, parse};
use crate::load::{argument, stack};
use crate::{FILE, handlers};

/// Puts into the text `onto` of a `config.toml` each key that is another in `now` than in `before`.
///
/// # Errors
/// [`ConfigError::Fault`] where one of the texts, or what comes of them, cannot be used.
pub fn carry_settings(dir: &Path, before: &str, now: &str, onto: &str) -> Result<String, ConfigError> {
    let (before, now) = (settings(dir, before)?, settings(dir, now)?);
    let mut document: DocumentMut = onto.parse().map_err(|_| argument(FILE, "is not valid TOML"))?;
    for key in before.keys().filter(|key| !now.contains_key(*key)) {
        take_out(&mut document, key);
    }
    for (key, value) in now {
        if before.get(&key).is_none_or(|before| written(before) != written(&value)) {
            place(&mut document, &key, value);
        }
    }
    let text = document.to_string();
    stack(dir, &text, std::iter::empty(), &[])?;
    Ok(text)
}

fn settings(dir: &Path, text: &str) -> Result<BTreeMap<String, Value>, Fault> {
    let settings = scan(text, &dir.join(FILE)).map_err(|mut faults| faults.swap_remove(0))?;
    Ok(settings.into_iter().map(|setting| (setting.path, setting.value)).collect())
}

fn written(value: &Value) -> String {
    value.clone().decorated("", "").to_string()
}

/// Puts into the text `onto` of a `handlers.toml` each handler that is another in the file of the directory than in `before`, and takes
/// out those that are gone from it.
///
/// # Errors
/// [`ConfigError`] where one of the texts, or what comes of them, cannot be used, or others could have written the file.
pub fn carry_handlers(dir: &Path, before: &str, onto: &str) -> Result<String, ConfigError> {
    // Whoever else can write it must not get it into the place of one that is trusted.
    let now = handlers::text(dir)?.unwrap_or_default();
    let (before, now) = (tables(before)?, tables(&now)?);
    let is_gone = |name: &String| before.contains_key(name) && !now.contains_key(name);
    let is_new = |name: &String, table: &Table| before.get(name).is_none_or(|before| before.to_string() != table.to_string());
    let mut merged = tables(onto)?;
    merged.retain(|name, _| !is_gone(name));
    merged.extend(now.into_iter().filter(|(name, table)| is_new(name, table)));
    let mut list = ArrayOfTables::new();
    for (place, (_, mut table)) in (0..).zip(merged) {
        table.set_position(place);
        list.push(table);
    }
    let mut document = DocumentMut::new();
    document.insert("handlers", Item::ArrayOfTables(list));
    let text = document.to_string();
    parse(&text, &dir.join(HANDLERS))?;
    Ok(text)
}

/// The handlers of a text by their names, however they are written.
fn tables(text: &str) -> Result<BTreeMap<String, Table>, Fault> {
    let document: DocumentMut = text.parse().map_err(|_| argument(HANDLERS, "is not valid TOML"))?;
    let list: Vec<Table> = match document.get("handlers") {
        None => Vec::new(),
        Some(Item::ArrayOfTables(list)) => list.iter().cloned().collect(),
        Some(item) => {
            let list = item.as_array().ok_or_else(|| argument(HANDLERS, "has `handlers` that are not a list"))?;
            list.iter().filter_map(|value| value.as_inline_table().cloned().map(toml_edit::InlineTable::into_table)).collect()
        }
    };
    let name = |table: &Table| table.get("name").and_then(Item::as_str).unwrap_or_default().to_owned();
    Ok(list.into_iter().map(|table| (name(&table), table)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: &str = "agent_name = \"a\"\n";

    #[test]
    fn a_setting_that_was_changed_set_or_taken_out_since_is_so_in_the_other_file_and_nothing_else_is() {
        let before = format!("{NAMED}port = 9010\nlog_level = \"debug\"\n\n[store]\nmax_mib = 100\n");
        let now = format!("{NAMED}port = 9010\nconnection_mode = \"allowlist\"\n\n[store]\nmax_mib = 200\n");
        let onto = "# the other one\nagent_name = \"b\"\nport = 9020\nlog_level = \"info\"\nconnection_mode = \"open\"\n";

        let text = carry_settings(Path::new("/w"), &before, &now, onto).expect("all of it is right");

        assert!(text.starts_with("# the other one\nagent_name = \"b\"\nport = 9020\nconnection_mode = \"allowlist\"\n"), "{text}");
        assert!(text.contains("[store]\nmax_mib = 200") && !text.contains("log_level"), "{text}");
        assert_eq!(carry_settings(Path::new("/w"), &before, &now, &text).expect("again"), text, "a second time changes nothing");
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert!(carry_settings(Path::new("/w"), NAMED, &format!("{NAMED}port = 0\nno_such = 1\n"), NAMED).is_err());
    }

    #[test]
    fn a_handler_that_was_changed_made_or_deleted_since_is_so_in_the_other_file_and_nothing_else_is() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let handler = |name: &str, command: &str| format!("[[handlers]]\nname = \"{name}\"\ncommand = \"{command}\"\n");
        let before = handler("same", "s") + &handler("changed", "1") + &handler("gone", "g");
        std::fs::write(dir.path().join(HANDLERS), handler("same", "s") + &handler("changed", "2") + &handler("new", "n")).expect("ours");
        let onto = handler("gone", "of the backup") + &handler("changed", "of the backup") + &handler("kept", "k") + &handler("same", "k");

        let text = carry_handlers(dir.path(), &before, &onto).expect("all of it is right");

        let found = parse(&text, Path::new(HANDLERS)).expect("it can be read");
        let found: Vec<_> = found.iter().map(|handler| (handler.name.as_str(), handler.command.as_str())).collect();
        assert_eq!(found, [("changed", "2"), ("kept", "k"), ("new", "n"), ("same", "k")]);
    }
}
