//! Handlers that come from elsewhere are switched off before anybody runs them.

use toml_edit::{DocumentMut, Item, TableLike, value};

use crate::error::ConfigError;
use crate::load::argument;

/// Switches off every handler in the text of a `handlers.toml`; returns the text and the handlers' names.
///
/// # Errors
/// [`ConfigError::Fault`] where the text is not TOML, or has handlers of another shape than `[[handlers]]`.
pub fn disarm(text: &str) -> Result<(String, Vec<String>), ConfigError> {
    let wrong = |what: &str| ConfigError::from(argument("handlers.toml", what));
    let mut document: DocumentMut = text.parse().map_err(|_| wrong("is not valid TOML"))?;
    let mut names = Vec::new();
    let mut switch_off = |handler: &mut dyn TableLike| {
        handler.insert("enabled", value(false));
        names.push(handler.get("name").and_then(Item::as_str).unwrap_or_default().to_owned());
    };
    match document.get_mut("handlers") {
        None => {}
        Some(Item::ArrayOfTables(handlers)) => handlers.iter_mut().for_each(|handler| switch_off(handler)),
        Some(item) => {
            let handlers = item.as_array_mut().ok_or_else(|| wrong("has `handlers` that are not a list"))?;
            for handler in handlers.iter_mut() {
                switch_off(handler.as_inline_table_mut().ok_or_else(|| wrong("has a handler that is not a table"))?);
            }
        }
    }
    Ok((document.to_string(), names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handler_is_switched_off_however_it_is_written() {
        let tables = "# mine\n[[handlers]]\nname = \"a\"\ncommand = \"x\"\n\n[[handlers]]\nname = \"b\"\nenabled = true\n";
        let (text, names) = disarm(tables).expect("TOML");
        assert_eq!(names, ["a", "b"]);
        assert_eq!(text.matches("enabled = false").count(), 2);
        assert!(!text.contains("enabled = true") && text.starts_with("# mine\n") && text.contains("command = \"x\""));

        let (text, names) = disarm("handlers = [{ name = \"c\", enabled = true }]\n").expect("TOML");
        assert_eq!((names, text.contains("true"), text.contains("enabled = false")), (vec!["c".to_owned()], false, true));

        assert_eq!(disarm("").expect("TOML"), (String::new(), Vec::new()));
    }

    #[test]
    fn what_is_no_list_of_handlers_is_refused() {
        for text in ["not toml", "handlers = 1", "handlers = [1]", "[handlers]\nname = \"a\"\n"] {
            assert!(disarm(text).is_err(), "{text}");
        }
    }
}
