//! The keys of a handler, and what each may hold.

use serde_json::{Map, Value as Json};
use toq_protocol::filter::Filter;
use toq_protocol::key::PeerKey;

use super::{HandlerConfig, PROVIDERS, is_name};
use crate::nearest::nearest;

/// What a key holds.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// One of some words.
    Choice(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A list of keys of peers.
    Keys,
    /// The handler's name.
    Name,
    /// A text.
    Text,
    /// Where a secret is kept.
    Reference,
    /// A list of texts.
    Texts,
    /// A list of message types.
    Types,
    /// A list of names of environment variables.
    Variables,
    /// A whole number between two others, including both.
    Whole(u64, u64),
}

/// Every key, in the order in which they are written.
const KEYS: &[(&str, Kind)] = &[
    ("name", Kind::Name),
    ("command", Kind::Text),
    ("argv", Kind::Texts),
    ("provider", Kind::Choice(&PROVIDERS)),
    ("model", Kind::Text),
    ("prompt", Kind::Text),
    ("prompt_file", Kind::Text),
    ("max_turns", Kind::Whole(1, 1_000_000)),
    ("auto_close", Kind::Flag),
    ("base_url", Kind::Text),
    ("api_key", Kind::Reference),
    ("stream", Kind::Flag),
    ("runs_per_day", Kind::Whole(0, 1_000_000_000)),
    ("tokens_per_day", Kind::Whole(0, 1_000_000_000_000)),
    ("peer_runs_per_day", Kind::Whole(0, 1_000_000_000)),
    ("peer_tokens_per_day", Kind::Whole(0, 1_000_000_000_000)),
    ("peer_runs_per_hour", Kind::Whole(0, 1_000_000_000)),
    ("enabled", Kind::Flag),
    ("filter_from", Kind::Texts),
    ("filter_key", Kind::Keys),
    ("filter_type", Kind::Types),
    ("reply", Kind::Choice(&["none", "stdout"])),
    ("timeout_s", Kind::Whole(1, 24 * 3600)),
    ("concurrency", Kind::Whole(1, 64)),
    ("max_attempts", Kind::Whole(1, 100)),
    ("max_auto_replies", Kind::Whole(1, 10_000)),
    ("max_repeats", Kind::Whole(1, 10_000)),
    ("env", Kind::Variables),
    ("cwd", Kind::Text),
];

/// Variables that a handler's command gets in any case, or from us alone.
const RESERVED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// Says whether a key exists.
pub fn is_key(name: &str) -> bool {
    KEYS.iter().any(|(known, _)| *known == name)
}

/// Returns the keys in the order in which they are written.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, _)| *name)
}

/// Returns the key that was probably meant.
pub fn meant(name: &str) -> Option<&'static str> {
    nearest(name, keys())
}

/// Says what is wrong with a value, if something is. An empty text or list is the same as none at all.
pub fn check(name: &str, value: &Json) -> Result<(), String> {
    let Some((_, kind)) = KEYS.iter().find(|(known, _)| *known == name) else { return Ok(()) };
    let text = || value.as_str().ok_or_else(|| "must be a text".to_owned());
    match *kind {
        Kind::Flag => value.is_boolean().then_some(()).ok_or_else(|| "must be true or false".to_owned()),
        Kind::Name => {
            let complaint = || "must be 1 to 63 lower-case letters, digits, `-` and `_`, beginning with a letter or digit".to_owned();
            text().and_then(|text| is_name(text).then_some(()).ok_or_else(complaint))
        }
        Kind::Text => text().and_then(harmless),
        // The complaint does not repeat the value, which may be the secret itself.
        Kind::Reference => {
            let text = text()?;
            let is_reference =
                text.is_empty() || ["env:", "file:"].iter().any(|form| text.strip_prefix(form).is_some_and(|rest| !rest.is_empty()));
            if is_reference { harmless(text) } else { Err("must be env:NAME or file:PATH, never the secret itself".to_owned()) }
        }
        Kind::Choice(words) => {
            let text = text()?;
            let is_known = text.is_empty() || words.contains(&text);
            is_known.then_some(()).ok_or_else(|| format!("must be {}", listed(words)))
        }
        Kind::Whole(min, max) => {
            let fits = value.as_u64().is_some_and(|number| (min..=max).contains(&number));
            fits.then_some(()).ok_or_else(|| format!("must be a whole number from {min} to {max}"))
        }
        Kind::Texts => each(value, |_| Ok(())),
        Kind::Keys => each(value, |text| match PeerKey::parse(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("must hold keys, which look like ed25519:…".to_owned()),
        }),
        Kind::Types => each(value, |text| match Filter::kind(text) {
            Some(_) => Ok(()),
            None => Err("must hold types: message.send, message.stream.end or thread.close".to_owned()),
        }),
        Kind::Variables => each(value, |text| {
            let is_plain = !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !text.starts_with(|letter: char| letter.is_ascii_digit());
            if !is_plain {
                return Err("must hold names of environment variables".to_owned());
            }
            if text.starts_with("TOQ_") || RESERVED.contains(&text) {
                return Err(format!("cannot hold {text}, which toq sets itself"));
            }
            Ok(())
        }),
    }
}

/// Says what is wrong with a handler as a whole, if something is.
pub fn agree(handler: &HandlerConfig) -> Result<(), &'static str> {
    if handler.name.is_empty() {
        return Err("missing name");
    }
    if handler.command.is_empty() && handler.argv.is_empty() && handler.provider.is_empty() {
        return Err("specify command or provider");
    }
    if !handler.command.is_empty() && !handler.argv.is_empty() {
        return Err("specify command or argv, not both");
    }
    if handler.argv.first().is_some_and(String::is_empty) {
        return Err("the first word of argv is the program and cannot be empty");
    }
    Ok(())
}

/// Makes a handler of checked values.
pub fn assemble(values: Map<String, Json>) -> Result<HandlerConfig, String> {
    let present = values.into_iter().filter(|(name, value)| is_key(name) && !is_nothing(value));
    serde_json::from_value(Json::Object(present.collect())).map_err(|error| error.to_string())
}

/// Says whether a value stands for none.
pub fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn each(value: &Json, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    let list = value.as_array().ok_or_else(|| "must be a list of texts".to_owned())?;
    for item in list {
        let text = item.as_str().ok_or_else(|| "must be a list of texts".to_owned())?;
        harmless(text)?;
        check(text)?;
    }
    Ok(())
}

/// A NUL cannot be handed to a program, so a text with one is a mistake or worse.
fn harmless(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("must not contain NUL".to_owned()) } else { Ok(()) }
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
