//! `permissions.toml`: the rules of a published daemon, and who waits for its owner's decision.
//!
//! It is only read, once, when a workspace is taken over; our own rules are in the log. A rule that cannot be
//! understood makes the whole file unusable: a workspace without one of its blocks would let in whom its owner shut
//! out. Of those who wait nothing is lost, since they ask again.

use std::path::Path;

use toml_edit::{Document, Item, Table, TableLike, Value};
use toq_protocol::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Pattern, Ruling, Subject};
use toq_protocol::time::Timestamp;

use crate::disk::trusted;
use crate::document::{first_line, place};
use crate::error::{ConfigError, Fault};

/// The name of the file in a workspace directory.
pub const FILE: &str = "permissions.toml";

/// What a file holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Permissions {
    /// Who is let in, and who is not.
    pub rules: Vec<(Subject, Ruling)>,
    /// Who waits for a decision.
    pub pending: Vec<Pending>,
    /// Those who wait and cannot be read: where, and why.
    pub left_out: Vec<Fault>,
}

/// Somebody who waits for a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pending {
    /// The key.
    pub key: PeerKey,
    /// The address that it claims.
    pub address: Address,
    /// Since when.
    pub requested_at: Timestamp,
}

/// Reads the permissions of a workspace directory; `None` where there is no file.
///
/// # Errors
/// [`ConfigError`] where the file cannot be read, could have been written by somebody else, is not TOML, or has a
/// rule that cannot be understood.
pub fn load(dir: &Path) -> Result<Option<Permissions>, ConfigError> {
    let path = dir.join(FILE);
    match trusted(dir, FILE)? {
        Some(text) => Ok(Some(parse(&text, &path)?)),
        None => Ok(None),
    }
}

fn parse(text: &str, path: &Path) -> Result<Permissions, Fault> {
    let fault = |span, key: &str, message: String| Fault { place: place(text, path, span), key: key.to_owned(), message, nearest: None };
    let document =
        Document::parse(text).map_err(|error| fault(error.span(), "", format!("not valid TOML: {}", first_line(error.message()))))?;
    let mut permissions = Permissions::default();
    for (name, item) in document.as_table() {
        let span = document.as_table().key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
        let ruling = match name {
            "approved" => Some(Ruling::Approve),
            "blocked" => Some(Ruling::Block),
            "pending" => None,
            _ => return Err(fault(span, name, format!("unknown key `{name}`: this file holds `approved`, `blocked` and `pending`"))),
        };
        let entries = entries(item).ok_or_else(|| fault(span, name, format!("`{name}` must be a list of tables")))?;
        for (table, span) in entries {
            let wrong = |why: &str| fault(span.clone(), name, format!("an entry of `{name}` {why}"));
            match ruling {
                Some(ruling) => permissions.rules.push((subject(table).map_err(wrong)?, ruling)),
                None => match pending(table) {
                    Ok(pending) => permissions.pending.push(pending),
                    Err(why) => permissions.left_out.push(wrong(why)),
                },
            }
        }
    }
    Ok(permissions)
}

type Spanned<'a> = (&'a dyn TableLike, Option<std::ops::Range<usize>>);

/// The tables of `[[name]]`, or of a list of inline tables.
fn entries(item: &Item) -> Option<Vec<Spanned<'_>>> {
    match item {
        Item::ArrayOfTables(tables) => Some(tables.iter().map(|table: &Table| (table as &dyn TableLike, table.span())).collect()),
        Item::Value(Value::Array(list)) => {
            list.iter().map(|value| value.as_inline_table().map(|table| (table as &dyn TableLike, value.span()))).collect()
        }
        _ => None,
    }
}

fn subject(table: &dyn TableLike) -> Result<Subject, &'static str> {
    let value = text(table, "value").ok_or("has no `value`")?;
    match text(table, "type") {
        Some("key") => PeerKey::parse(value).map(Subject::Key).map_err(|_| "has a `value` that is no key, which looks like ed25519:…"),
        // Every text is a pattern; the published daemon does not insist on the scheme either.
        Some("address") if !value.is_empty() => Ok(Subject::Address(Pattern::new(value))),
        Some("address") => Err("has an empty `value`"),
        _ => Err("must have a `type`, \"key\" or \"address\""),
    }
}

fn pending(table: &dyn TableLike) -> Result<Pending, &'static str> {
    let key = text(table, "key").and_then(|text| PeerKey::parse(text).ok()).ok_or("has no `key` that could be used")?;
    let address = text(table, "address").and_then(|text| Address::parse(text).ok()).ok_or("has no `address` that could be used")?;
    let requested_at = text(table, "requested_at").and_then(Timestamp::parse).ok_or("has no `requested_at` that is a time")?;
    Ok(Pending { key, address, requested_at })
}

fn text<'t>(table: &'t dyn TableLike, key: &str) -> Option<&'t str> {
    table.get(key).and_then(Item::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ed25519:vlDi0Dq6adY9EixPq3JWGZ28kmNm2jn1CiWlQJavYwQ=";

    fn read(text: &str) -> Result<Permissions, String> {
        parse(text, Path::new("permissions.toml")).map_err(|fault| fault.to_string())
    }

    #[test]
    fn rules_and_requests_are_read() {
        let text = format!(
            "[[approved]]\ntype = \"key\"\nvalue = \"{KEY}\"\n[[blocked]]\ntype = \"address\"\nvalue = \"toq://*.evil.example/*\"\n\
             [[pending]]\nkey = \"{KEY}\"\naddress = \"toq://127.0.0.1:9010/bob\"\nrequested_at = \"2026-11-21T07:59:42.968244488Z\"\n"
        );

        let read = read(&text).expect("it is whole");

        let key = PeerKey::parse(KEY).expect("a key");
        let blocked = Subject::Address(Pattern::new("toq://*.evil.example/*"));
        assert_eq!(read.rules, [(Subject::Key(key), Ruling::Approve), (blocked, Ruling::Block)]);
        assert_eq!(read.pending.len(), 1);
        assert_eq!(read.pending[0].address.to_string(), "toq://127.0.0.1:9010/bob");
    }

    #[test]
    fn a_rule_that_cannot_be_understood_is_named_with_its_line_and_spoils_the_file() {
        let broken = [
            (
                "[[blocked]]\ntype = \"key\"\nvalue = \"ed25519:AAAA\"\n",
                "permissions.toml:1:1: an entry of `blocked` has a `value` that is no key",
            ),
            ("\n[[blocked]]\ntype = \"name\"\nvalue = \"bob\"\n", "permissions.toml:2:1: an entry of `blocked` must have a `type`"),
            ("\n\nblocked = \"all\"\n", "permissions.toml:3:1: `blocked` must be a list of tables"),
            ("denied = []\n", "permissions.toml:1:1: unknown key `denied`"),
            ("blocked = [\n", "permissions.toml:"),
        ];
        for (text, complaint) in broken {
            let said = read(text).expect_err(text);
            assert!(said.starts_with(complaint), "{said}");
        }
    }

    #[test]
    fn a_request_that_cannot_be_understood_is_named_and_left_out_alone() {
        let text = format!("[[pending]]\nkey = \"x\"\n[[approved]]\ntype = \"key\"\nvalue = \"{KEY}\"\n");

        let read = read(&text).expect("the rules are whole");

        assert_eq!(read.rules.len(), 1);
        assert_eq!(read.left_out[0].to_string(), "permissions.toml:1:1: an entry of `pending` has no `key` that could be used");
    }
}
