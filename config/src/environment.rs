//! The `TOQ_…` variables as a layer.

use toml_edit::Value;

use crate::error::{Fault, Place};
use crate::nearest::nearest;
use crate::schema::{KEYS, find, meant};
use crate::value::from_text;

/// What comes before every variable.
const PREFIX: &str = "TOQ_";

/// Variables that begin with the prefix and are no settings: some for the process itself, and those that a
/// shell handler gets, which may call `toq` in its turn.
const OTHERS: [&str; 20] = [
    "TOQ_API_TOKEN",
    "TOQ_ATTEMPT",
    "TOQ_BIN",
    "TOQ_CONFIG_DIR",
    "TOQ_CRASH_POINT",
    "TOQ_FAULT",
    "TOQ_FROM",
    "TOQ_HANDLER",
    "TOQ_ID",
    "TOQ_LOG",
    "TOQ_PASSPHRASE",
    "TOQ_RUN",
    "TOQ_RUN_ID",
    "TOQ_TEXT",
    "TOQ_TEXT_TRUNCATED",
    "TOQ_THREAD_ID",
    "TOQ_TOKEN",
    "TOQ_TYPE",
    "TOQ_URL",
    "TOQ_VERIFIED",
];

/// Returns the settings among some variables.
pub fn settings(variables: impl Iterator<Item = (String, String)>) -> Result<Vec<(&'static str, Value, Place)>, Fault> {
    let mut settings = Vec::new();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if OTHERS.contains(&name.as_str()) {
            continue;
        }
        let path = rest.to_ascii_lowercase().replace("__", ".");
        let place = Place::Environment(name.clone());
        let Some(key) = find(&path) else {
            let message = "there is no such setting".to_owned();
            return Err(Fault { place, key: path.clone(), message, nearest: meant_variable(&name, &path) });
        };
        let value = from_text(key.kind, &text).map_err(|complaint| Fault {
            place: place.clone(),
            key: key.path.to_owned(),
            message: format!("`{}` {complaint}", key.path),
            nearest: None,
        })?;
        settings.push((key.path, value, place));
    }
    Ok(settings)
}

fn meant_variable(name: &str, path: &str) -> Option<String> {
    if let Some(path) = meant(path) {
        return Some(variable(path));
    }
    let names: Vec<String> = KEYS.iter().map(|key| variable(key.path)).collect();
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

/// Returns the variable that sets a key.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}
