//! The mark of an answer that no person wrote, and how far it may go.
//!
//! What an attacker would try: two agents that answer each other's answers for ever, and pay for it. So an
//! automatic answer says in its body how many automatic answers led to it, where published peers ignore it
//! (`{"text": …, "auto_reply": {"hops": 3}}`), and after [`MAX_HOPS`] nobody of ours answers. A peer that leaves
//! the mark out starts the count again, so what it says is compared too: the same words again and again on one thread are no
//! conversation. Whoever varies its words meets the budget of an hour ([`crate::budget`]).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::canonical::Json;

/// How many automatic answers a conversation may have in a row, unless a handler is configured otherwise.
pub const MAX_HOPS: u32 = 10;

/// How often a peer may say the same on one thread within [`REPEAT_WINDOW`] and be answered, unless a handler is configured otherwise.
pub const MAX_REPEATS: u32 = 5;

/// For how long what was said counts as said again.
pub const REPEAT_WINDOW: Duration = Duration::from_secs(600);

/// The body's member.
const MEMBER: &str = "auto_reply";

/// How many automatic answers led to this body; 0 where a person or an unmarked program wrote it. A mark that
/// cannot be read counts as one.
#[must_use]
pub fn hops(body: Option<&Json>) -> u32 {
    #[derive(Deserialize)]
    struct Marked {
        auto_reply: Option<Value>,
    }
    let Some(mark) = body.and_then(|body| serde_json::from_str::<Marked>(body.as_str()).ok()).and_then(|marked| marked.auto_reply) else {
        return 0;
    };
    let hops = mark.get("hops").and_then(Value::as_u64).unwrap_or(1);
    u32::try_from(hops).unwrap_or(u32::MAX).max(1)
}

/// The body with the mark on it. A body that is no object has no place for one and is put into an object: a string as `text`, which is
/// how texts are read, anything else as `body`.
#[must_use]
pub fn mark(body: Option<&Json>, hops: u32) -> Json {
    let mut members = match body.map(Json::to_value) {
        Some(Value::Object(members)) => members,
        None => Map::new(),
        Some(text @ Value::String(_)) => Map::from_iter([("text".to_owned(), text)]),
        Some(other) => Map::from_iter([("body".to_owned(), other)]),
    };
    members.insert(MEMBER.to_owned(), json!({ "hops": hops }));
    Json::from_value(&Value::Object(members))
}

/// What a body says, as far as two bodies are compared: its words in lower case, without the mark, punctuation and white space.
/// A body without a text is its JSON.
#[must_use]
pub fn gist(body: Option<&Json>) -> String {
    let Some(body) = body else { return String::new() };
    let Some(text) = body.text() else {
        let mut value = body.to_value();
        if let Some(members) = value.as_object_mut() {
            members.remove(MEMBER);
        }
        return Json::from_value(&value).as_str().to_owned();
    };
    let words: Vec<String> =
        text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    if words.is_empty() { text.trim().to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_case_white_space_and_the_mark_only_is_the_same() {
        let said = |text: &str| gist(Some(&body(text)));

        assert_eq!(said(r#"{"text":" Acknowledged!\n"}"#), said(r#"{"text":"acknowledged.","auto_reply":{"hops":3}}"#));
        assert_eq!(said(r#"{"n":1,"auto_reply":{"hops":3}}"#), said(r#"{"n":1}"#));
        assert_ne!(said(r#"{"text":"step 1"}"#), said(r#"{"text":"step 2"}"#));
        assert_ne!(said(r#"{"text":"..."}"#), said(r#"{"text":"?"}"#));
        assert_eq!(gist(None), "");
    }

    fn body(text: &str) -> Json {
        Json::parse(text).expect("JSON")
    }

    #[test]
    fn a_marked_body_says_how_many_answers_led_to_it() {
        let marked = mark(Some(&body(r#"{"text":"hi"}"#)), 3);

        assert_eq!(marked.as_str(), r#"{"auto_reply":{"hops":3},"text":"hi"}"#);
        assert_eq!(hops(Some(&marked)), 3);
        assert_eq!(marked.text().as_deref(), Some("hi"));
    }

    #[test]
    fn what_nobody_marked_begins_at_nought() {
        for text in [r#"{"text":"hi"}"#, "3", "[]", "null", r#""auto_reply""#] {
            assert_eq!(hops(Some(&body(text))), 0, "{text}");
        }
        assert_eq!(hops(None), 0);
    }

    #[test]
    fn a_strange_mark_is_still_a_mark() {
        for text in [r#"{"auto_reply":true}"#, r#"{"auto_reply":{"hops":-4}}"#, r#"{"auto_reply":{"hops":0}}"#] {
            assert_eq!(hops(Some(&body(text))), 1, "{text}");
        }
        assert_eq!(hops(Some(&body(r#"{"auto_reply":{"hops":99999999999}}"#))), u32::MAX);
    }

    #[test]
    fn a_body_that_has_no_place_for_a_mark_is_put_into_an_object() {
        for text in ["[1]", "3", "true", "null", r#""hi""#, "[]"] {
            assert_eq!(hops(Some(&mark(Some(&body(text)), 7))), 7, "{text}");
        }
        assert_eq!(mark(Some(&body("[1]")), 1).as_str(), r#"{"auto_reply":{"hops":1},"body":[1]}"#);
        assert_eq!(mark(Some(&body(r#""hi""#)), 1).text().as_deref(), Some("hi"));
        assert_eq!(mark(None, 1).as_str(), r#"{"auto_reply":{"hops":1}}"#);
    }
}
