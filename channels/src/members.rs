//! A JSON object as it was written.
//!
//! Envelopes and translations pass on values that belong to somebody else. Reading such a value into a tree would reorder its
//! members and round its numbers, so values stay text here, and members keep their order. A repeated member keeps its first place
//! and its last value, as in Python. An attacker would nest deeply to exhaust the stack of whoever reads the value in the end: text
//! that nests deeper than [`MAX_DEPTH`] is not read.

use indexmap::IndexMap;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How deep objects and lists may nest.
pub const MAX_DEPTH: usize = 128;

/// A JSON object whose members keep their order and whose values keep their spelling.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Members(IndexMap<String, Box<RawValue>>);

impl Members {
    /// No members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an object.
    ///
    /// # Errors
    /// The parser's, for text that is not JSON, not an object, or too deep.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        check_depth(text)?;
        serde_json::from_str(text).map(Self)
    }

    /// The member's value as JSON text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }

    /// The member's value where it is an object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.get(name)?).ok()
    }

    /// The member's value where it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// Sets a member; a new one comes last.
    pub fn set(&mut self, name: &str, value: &impl Serialize) {
        let value = serde_json::value::to_raw_value(value).expect("what is written here has text for names and no failing parts");
        self.0.insert(name.to_owned(), value);
    }

    /// The same with this member set; for building objects.
    #[must_use]
    pub fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        self.set(name, value);
        self
    }

    /// Names and values (as JSON text) in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("values that were read can be written")
    }
}

impl PartialEq for Members {
    /// Whether both have the same members with the same spelling, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Eq for Members {}

/// JSON text of any kind, checked and otherwise as it was written.
///
/// # Errors
/// The parser's, for text that is not JSON or too deep.
pub(crate) fn parse_any(text: &str) -> Result<&RawValue, serde_json::Error> {
    check_depth(text)?;
    serde_json::from_str(text)
}

/// The items of a list as JSON text, where `text` is one.
pub(crate) fn items(text: &str) -> Option<Vec<&RawValue>> {
    Deserialize::deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
}

fn check_depth(text: &str) -> Result<(), serde_json::Error> {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(serde_json::Error::custom("it nests too deep"));
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_and_spelling_survive() {
        let text = r#"{"z":1.10,"a":12345678901234567890123,"m":[1E5,"\u00fc"]}"#;

        assert_eq!(Members::parse(text).expect("an object").to_json(), text);
    }

    #[test]
    fn a_repeated_member_keeps_its_place_and_its_last_value() {
        let members = Members::parse(r#"{"a":1,"b":2,"a":3}"#).expect("an object");

        assert_eq!(members.to_json(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn nesting_has_an_end_and_brackets_in_strings_do_not_count() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));

        assert!(Members::parse(&nested(MAX_DEPTH)).is_ok());
        assert!(Members::parse(&nested(MAX_DEPTH + 1)).is_err());
        assert!(Members::parse(&format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1000))).is_ok());
    }
}
