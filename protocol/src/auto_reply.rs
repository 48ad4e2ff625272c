//! The mark of an answer that no person wrote, and how far it may go.
//!
//! What an attacker would try: two agents that answer each other's answers for ever, and pay for it. So an
//! automatic answer says in its body how many automatic answers led to it, where published peers ignore it
//! (`{"text": …, "auto_reply": {"hops": 3}}`), and after [`MAX_HOPS`] nobody of ours answers. A peer that leaves
//! the mark out starts the count again; echoes of our own words are noticed by whoever compares them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::canonical::Json;

/// How many automatic answers a conversation may have in a row, unless a handler is configured otherwise.
pub const MAX_HOPS: u32 = 10;

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

/// The body with the mark on it. A body that is no object has no place for one and stays as it is.
#[must_use]
pub fn mark(body: Option<&Json>, hops: u32) -> Json {
    let mut value = body.map_or_else(|| json!({}), Json::to_value);
    if let Some(members) = value.as_object_mut() {
        members.insert(MEMBER.to_owned(), json!({ "hops": hops }));
    }
    Json::from_value(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_body_without_members_stays_as_it_is() {
        assert_eq!(mark(Some(&body("[1]")), 1).as_str(), "[1]");
        assert_eq!(mark(None, 1).as_str(), r#"{"auto_reply":{"hops":1}}"#);
    }
}
