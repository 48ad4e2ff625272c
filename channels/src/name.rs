//! Names of channels: `org/namespace/service`.
//!
//! A name is split at its first two slashes, so the last part may hold more of them (`a/b/c/d` has the parts `a`, `b`,
//! `c/d`). Published members derive the group's id from the whole name, and so do we; a relay that sees a name in one spelling
//! and a group in another would fan out to the wrong members, hence one parser and no normalisation. An attacker would try names
//! that look like another or that break a log line: only ASCII letters, digits and `/ - _ .` are let in.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The longest name, in bytes; published members have the same limit since 0.5.2.
pub const MAX_NAME: usize = 256;

/// Why a text does not name a channel.
///
/// Published members say `invalid channel name: … (expected org/namespace/service)` and programs look for both ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A character other than ASCII letters, digits and `/ - _ .`.
    #[error("invalid channel name: {0:?} is not a letter, digit or one of / - _ . (expected org/namespace/service)")]
    Character(char),
    /// More than [`MAX_NAME`] bytes; the field is the length.
    #[error("invalid channel name: {0} bytes are more than {MAX_NAME} (expected org/namespace/service)")]
    Length(usize),
    /// Fewer than three parts, or an empty one; the field is the text.
    #[error("invalid channel name: {0} (expected org/namespace/service)")]
    Parts(String),
}

/// The name of a channel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Box<str>);

impl ChannelName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_NAME {
            return Err(NameError::Length(text.len()));
        }
        let is_legal = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
        if let Some(stranger) = text.chars().find(|c| !is_legal(c)) {
            return Err(NameError::Character(stranger));
        }
        match split(text) {
            Some((org, namespace, service)) if !org.is_empty() && !namespace.is_empty() && !service.is_empty() => Ok(Self(text.into())),
            _ => Err(NameError::Parts(text.to_owned())),
        }
    }

    /// Puts a name together from its three parts, as they stand on the wire.
    ///
    /// # Errors
    /// [`NameError`] as for [`ChannelName::parse`], and for parts that would be split elsewhere (`a/b`, `c`, `d`).
    pub fn from_parts(org: &str, namespace: &str, service: &str) -> Result<Self, NameError> {
        let length = org.len().saturating_add(namespace.len()).saturating_add(service.len()).saturating_add(2);
        if length > MAX_NAME {
            return Err(NameError::Length(length));
        }
        let name = Self::parse(&format!("{org}/{namespace}/{service}"))?;
        if name.parts() != (org, namespace, service) {
            return Err(NameError::Parts(name.0.into()));
        }
        Ok(name)
    }

    /// Organisation, namespace and service.
    #[must_use]
    pub fn parts(&self) -> (&str, &str, &str) {
        split(&self.0).expect("a name has two slashes, or it was not parsed")
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the name, which is the id of the channel's group.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelName({})", self.0)
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ChannelName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (org, rest) = text.split_once('/')?;
    let (namespace, service) = rest.split_once('/')?;
    Some((org, namespace, service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_greatest_length_is_a_name_and_one_byte_more_is_none() {
        let longest = format!("a/b/{}", "c".repeat(MAX_NAME - 4));

        assert!(ChannelName::parse(&longest).is_ok());
        assert_eq!(ChannelName::parse(&format!("{longest}c")), Err(NameError::Length(MAX_NAME + 1)));
        assert_eq!(ChannelName::from_parts("a", "b", &"c".repeat(MAX_NAME - 3)), Err(NameError::Length(MAX_NAME + 1)));
    }

    #[test]
    fn spaces_line_ends_and_look_alikes_name_nothing() {
        for (text, stranger) in [("a/b/c d", ' '), ("a/b/c\n", '\n'), ("а/b/c", 'а'), ("a/b/\0", '\0')] {
            assert_eq!(ChannelName::parse(text), Err(NameError::Character(stranger)));
        }
    }

    #[test]
    fn parts_are_put_together_only_where_they_are_split_again() {
        let name = ChannelName::from_parts("a", "b", "c/d").expect("a name");

        assert_eq!(name.as_str(), "a/b/c/d");
        assert!(matches!(ChannelName::from_parts("a/b", "c", "d"), Err(NameError::Parts(_))));
        assert!(matches!(ChannelName::from_parts("a", "", "d"), Err(NameError::Parts(_))));
    }
}
