//! Values as Python's `str` writes them.
//!
//! Published bridges are Python programs, and the text of a result that is no object is what `str` makes of it: `[1, 'a', None]`.
//! Members whose agents read such text must not see another one from our bridge.

use crate::members::{Members, items};

/// What `str` would say of this JSON value. A string is itself.
pub(super) fn text(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| repr(json))
}

/// What `repr` would say of it. Nesting is limited by whoever read the value.
fn repr(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'n') => "None".to_owned(),
        Some(b't') => "True".to_owned(),
        Some(b'f') => "False".to_owned(),
        Some(b'"') => serde_json::from_str(json).map_or_else(|_| json.to_owned(), |text: String| quoted(&text)),
        Some(b'[') => {
            let inner: Vec<String> = items(json).unwrap_or_default().into_iter().map(|item| repr(item.get())).collect();
            format!("[{}]", inner.join(", "))
        }
        Some(b'{') => {
            let members = Members::parse(json).unwrap_or_default();
            let inner: Vec<String> = members.iter().map(|(name, value)| format!("{}: {}", quoted(name), repr(value))).collect();
            format!("{{{}}}", inner.join(", "))
        }
        _ if json.contains(['.', 'e', 'E']) => json.parse().map_or_else(|_| json.to_owned(), float),
        // An integer of any size; only `-0` is spelled otherwise.
        _ => {
            if json == "-0" {
                "0".to_owned()
            } else {
                json.to_owned()
            }
        }
    }
}

/// A text in quotes: single ones, unless only the single ones stand in it.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if c == quote => out.extend(['\\', c]),
            _ if c < ' ' || ('\x7f'..='\u{a0}').contains(&c) || c == '\u{ad}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// The shortest digits that read back the same; with an exponent from 1e16 on and below 1e-4.
fn float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("this form has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    let plain = format!("{value}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_python_writes_them() {
        for (json, said) in [
            ("\"s'\"", "s'"),
            ("null", "None"),
            ("true", "True"),
            ("[1, 2]", "[1, 2]"),
            ("[]", "[]"),
            ("12345678901234567890123", "12345678901234567890123"),
            (
                "[-0, -0.0, 1.50, 1e2, 1e16, 123456789012345680.0, 0.0001, 1e-5, 1e999, -1e999]",
                "[0, -0.0, 1.5, 100.0, 1e+16, 1.2345678901234568e+17, 0.0001, 1e-05, inf, -inf]",
            ),
            (r#"["a'b","a\"b","a'\"b","\\\n\u0001\u00ad","ü🚀"]"#, r#"["a'b", 'a"b', 'a\'"b', '\\\n\x01\xad', 'ü🚀']"#),
            (r#"[{"k":null,"a":[false]}]"#, "[{'k': None, 'a': [False]}]"),
        ] {
            assert_eq!(text(json), said, "{json}");
        }
    }
}
