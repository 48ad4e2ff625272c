//! Canonical JSON: the one text of a JSON value that both ends sign and verify.
//!
//! Whitespace is gone, members are sorted by the bytes of their names, numbers have one spelling:
//! integers as they are, everything else as a double with the shortest digits that read back the same,
//! scientific outside 1e-5 ..= 1e16, the exponent signed (`1e+16`). A duplicate member keeps its last
//! value. Older peers print `1e16`; [`Json::with_plain_exponents`] makes that spelling, so that a verifier
//! can try both.

use std::fmt;
use std::io;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON value as its canonical text.
///
/// It is kept as text because that is what is stored, signed and shown; nobody between the socket and
/// the application needs the tree.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Box<str>);

impl Json {
    /// Parses JSON text and brings it into canonical form.
    ///
    /// # Errors
    /// The parser's, for text that is not JSON or nests deeper than 128.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Value>(text).map(|value| Self::from_value(&value))
    }

    /// The same value, spelled so that reading and printing it again changes nothing.
    ///
    /// Published peers read doubles without care for the last bit, and we must read as they do. A double
    /// whose text they would read as another is therefore moved to the nearest one that stays where it is;
    /// what we sign is always settled.
    #[must_use]
    pub fn settled(self) -> Self {
        let mut value = self.to_value();
        settle(&mut value);
        Self::from_value(&value)
    }

    /// The canonical text of `value`.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        // `Value` keeps object members sorted by their bytes and prints numbers as the module page says.
        Self(value.to_string().into_boxed_str())
    }

    /// The body of a plain text: `{"text": …}`.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self::from_value(&serde_json::json!({ "text": text }))
    }

    /// Takes text that is already canonical, such as a row of our own store.
    #[must_use]
    pub fn from_canonical(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value as a tree. Text that is not JSON (a damaged row) reads as null.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }

    /// The `text` member, where this is an object that has one of type string.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Text {
            text: Option<String>,
        }
        serde_json::from_str::<Text>(&self.0).ok()?.text
    }

    /// SHA-256 of the canonical text: equal for requests that mean the same.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(self.0.as_bytes()).into()
    }

    /// The same value with exponents spelled without a plus sign, as older peers sign it.
    #[must_use]
    pub fn with_plain_exponents(&self) -> Self {
        struct Plain;
        impl serde_json::ser::Formatter for Plain {
            fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
                let text = Value::from(value).to_string();
                writer.write_all(text.replace("e+", "e").as_bytes())
            }
        }
        let mut out = Vec::with_capacity(self.0.len());
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, Plain);
        match self.to_value().serialize(&mut serializer) {
            Ok(()) => Self(String::from_utf8_lossy(&out).into_owned().into_boxed_str()),
            Err(_) => self.clone(),
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::from_value(&value)).map_err(D::Error::custom)
    }
}

/// How many neighbours of a double are tried on either side. The reader is off by a few units at most.
const NEIGHBOURS: usize = 256;

fn settle(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(settle),
        Value::Object(members) => members.values_mut().for_each(settle),
        Value::Number(number) if number.is_f64() => {
            if let Some(settled) = number.as_f64().and_then(nearest_settled) {
                *value = Value::from(settled);
            }
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

/// The nearest double whose text reads as itself.
fn nearest_settled(double: f64) -> Option<f64> {
    let (mut above, mut below) = (double, double);
    for _ in 0..NEIGHBOURS {
        if let Some(settled) = [above, below].into_iter().find(|candidate| reads_as_itself(*candidate)) {
            return Some(settled);
        }
        (above, below) = (above.next_up(), below.next_down());
    }
    None
}

fn reads_as_itself(double: f64) -> bool {
    let text = Value::from(double).to_string();
    serde_json::from_str::<Value>(&text).is_ok_and(|read| read.as_f64().is_some_and(|read| read.to_bits() == double.to_bits()))
}

/// Appends `text` as a JSON string, with the escapes that the canonical form prescribes.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(&mut *out, text).expect("writing a string to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_sorted_by_bytes_and_the_last_duplicate_wins() {
        let json = Json::parse(r#"{"b":1,"a":{"y":0,"x":[3,2]},"b":2,"é":0,"z":0}"#).expect("valid");

        assert_eq!(json.as_str(), r#"{"a":{"x":[3,2],"y":0},"b":2,"z":0,"é":0}"#);
    }

    #[test]
    fn a_settled_value_reads_and_prints_the_same() {
        for text in ["1e-50", "1.8044407385850722e-290", "9007199254740993.0", "[0.1,{\"a\":5e-324}]", "1.7976931348623157e308", "-0.0"] {
            let settled = Json::parse(text).expect("valid").settled();

            assert_eq!(Json::parse(settled.as_str()).expect("valid"), settled, "{text}");
        }
    }

    #[test]
    fn plain_exponents_change_numbers_and_nothing_else() {
        let json = Json::parse(r#"{"n":1e300,"t":"1e+16"}"#).expect("valid");

        assert_eq!(json.as_str(), r#"{"n":1e+300,"t":"1e+16"}"#);
        assert_eq!(json.with_plain_exponents().as_str(), r#"{"n":1e300,"t":"1e+16"}"#);
    }
}
