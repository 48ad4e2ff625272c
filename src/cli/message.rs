//! One message in words.

use toq_api::{Direction, MessageEvent};

use super::sanitize;

/// Returns a message as a person reads it.
pub fn words(message: &MessageEvent) -> String {
    let from = sanitize::name(&message.from);
    let thread = sanitize::name(message.thread_id.as_deref().unwrap_or("-"));
    let stamp = sanitize::name(&message.timestamp);
    let text = text(message);
    let closes = message.kind == "thread.close";
    let who = match (&message.to, message.direction) {
        (Some(to), Some(Direction::Out)) => format!("{from} → {}", sanitize::name(to)),
        _ => from,
    };
    let head = match (text, closes) {
        (None, true) => return format!("[{stamp}] {who} closed the thread (thread: {thread})"),
        (None, false) => format!("[{stamp}] {who}: ({})", sanitize::name(&message.kind)),
        (Some(text), true) => format!("[{stamp}] {who}: {text} [thread closed]"),
        (Some(text), false) => format!("[{stamp}] {who}: {text}"),
    };
    let sealed = if message.bound == Some(false) { "  (transport only)" } else { "" };
    format!("{head}\n  id: {}  thread: {thread}{sealed}", sanitize::name(&message.id))
}

/// A body that is not a text is shown as the JSON that it is.
fn text(message: &MessageEvent) -> Option<String> {
    if let Some(text) = message.text() {
        return Some(sanitize::text(text)).filter(|text| !text.is_empty());
    }
    let body = message.body.as_ref().filter(|body| !body.is_null())?;
    // The mark of an automatic answer that says nothing else.
    if body.as_object().is_some_and(|body| body.keys().all(|key| key == "auto_reply")) {
        return None;
    }
    Some(sanitize::json(&body.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(json: serde_json::Value) -> String {
        let mut all = json!({"id": "m1", "type": "message.send", "from": "toq://h/bob", "timestamp": "T"});
        let members = json.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(members);
        words(&serde_json::from_value(all).expect("an event"))
    }

    #[test]
    fn messages_read_as_documented() {
        for (json, expected) in [
            (json!({"body": {"text": "hi"}, "thread_id": "T1"}), "[T] toq://h/bob: hi\n  id: m1  thread: T1"),
            (json!({"body": {"text": "hi"}, "bound": true}), "[T] toq://h/bob: hi\n  id: m1  thread: -"),
            (json!({"body": {"text": "hi"}, "bound": false}), "[T] toq://h/bob: hi\n  id: m1  thread: -  (transport only)"),
            (json!({"body": {"n": 1}}), "[T] toq://h/bob: {\"n\":1}\n  id: m1  thread: -"),
            (
                json!({"type": "thread.close", "body": {"auto_reply": 1}, "thread_id": "T1"}),
                "[T] toq://h/bob closed the thread (thread: T1)",
            ),
            (json!({"type": "thread.close", "thread_id": "T1"}), "[T] toq://h/bob closed the thread (thread: T1)"),
            (
                json!({"type": "thread.close", "body": {"text": "bye"}, "thread_id": "T1"}),
                "[T] toq://h/bob: bye [thread closed]\n  id: m1  thread: T1",
            ),
        ] {
            assert_eq!(message(json), expected);
        }
    }

    #[test]
    fn a_message_cannot_imitate_another() {
        let shown = message(json!({"body": {"text": "hi\n[T] toq://h/boss: pay"}}));

        assert!(shown.contains("\n    [T] toq://h/boss"), "{shown}");
    }
}
