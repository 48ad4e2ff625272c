//! Reads `config.toml` and remembers where everything stands.
//!
//! Everything that is wrong with the file is collected, so that one look at the output is enough to mend it.

use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item, Table, Value};

use crate::error::{Fault, Place};
use crate::schema::{ADAPTER_TABLES, find, is_table, unknown};
use crate::value::{check, meant};

/// One checked setting of a file.
#[derive(Debug)]
pub struct Setting {
    /// Its key.
    pub path: String,
    /// Its value.
    pub value: Value,
    /// Where the value stands.
    pub place: Place,
}

/// Reads all settings of a text, or everything that is wrong with it.
pub fn scan(text: &str, path: &Path) -> Result<Vec<Setting>, Vec<Fault>> {
    let mut scan = Scan { text, path, settings: Vec::new(), faults: Vec::new() };
    match Document::parse(text) {
        Ok(document) => scan.root(document.as_table()),
        Err(error) => {
            let place = scan.place(error.span());
            let message = format!("not valid TOML: {}", first_line(error.message()));
            scan.faults.push(Fault { place, key: String::new(), message, nearest: None });
        }
    }
    if scan.faults.is_empty() { Ok(scan.settings) } else { Err(scan.faults) }
}

struct Scan<'a> {
    text: &'a str,
    path: &'a Path,
    settings: Vec<Setting>,
    faults: Vec<Fault>,
}

impl Scan<'_> {
    fn root(&mut self, table: &Table) {
        for (name, item) in table {
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            if ADAPTER_TABLES.contains(&name) {
                self.adapter(name, item);
            } else if is_table(name) {
                self.table(name, item, span);
            } else {
                self.setting(name, item, span);
            }
        }
    }

    fn table(&mut self, name: &str, item: &Item, span: Option<Range<usize>>) {
        let Some(table) = item.as_table_like() else {
            let place = self.place(span);
            let message = format!("`{name}` is a table, write its keys below [{name}]");
            self.faults.push(Fault { place, key: name.to_owned(), message, nearest: None });
            return;
        };
        for (leaf, item) in table.iter() {
            let span = table.key(leaf).and_then(toml_edit::Key::span).or_else(|| item.span());
            self.setting(&format!("{name}.{leaf}"), item, span);
        }
    }

    fn setting(&mut self, path: &str, item: &Item, span: Option<Range<usize>>) {
        let Some(key) = find(path) else {
            let place = self.place(span);
            self.faults.push(unknown(path, place));
            return;
        };
        let place = self.place(item.span().or(span));
        let complaint = match item.as_value() {
            Some(value) => {
                let value = meant(key.kind, value);
                match check(key.kind, &value) {
                    Ok(()) => {
                        self.settings.push(Setting { path: path.to_owned(), value, place });
                        return;
                    }
                    Err(complaint) => complaint,
                }
            }
            None => "must be a value, not a table".to_owned(),
        };
        let message = format!("`{path}` {complaint}");
        self.faults.push(Fault { place, key: path.to_owned(), message, nearest: None });
    }

    fn adapter(&mut self, name: &str, item: &Item) {
        let Some(table) = item.as_table_like() else {
            let place = self.place(item.span());
            self.faults.push(unknown(name, place));
            return;
        };
        for (leaf, item) in table.iter() {
            let span = table.key(leaf).and_then(toml_edit::Key::span).or_else(|| item.span());
            if find(&format!("{name}.{leaf}")).is_some() {
                self.setting(&format!("{name}.{leaf}"), item, span);
                continue;
            }
            let place = self.place(span);
            let message = format!("`{leaf}` of \"{name}\" is not implemented in this release");
            self.faults.push(Fault { place, key: format!("{name}.{leaf}"), message, nearest: None });
        }
    }

    fn place(&self, span: Option<Range<usize>>) -> Place {
        place(self.text, self.path, span)
    }
}

/// Says where in a file a span begins.
pub fn place(text: &str, path: &Path, span: Option<Range<usize>>) -> Place {
    let end = span.map_or(0, |span| span.start).min(text.len());
    let before = text.get(..end).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Place::File { path: path.to_owned(), line, column }
}

pub fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or("unreadable")
}
