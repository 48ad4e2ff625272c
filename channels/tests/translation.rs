//! Translation where the published vectors end: payloads that are not what their protocol says, and ids that find their way back.

use serde_json::{Value, json};
use toq_channels::envelope::{Envelope, Protocol};
use toq_channels::translate::{Rules, translate, translate_by};

fn envelope(protocol: Protocol, payload: &[u8]) -> Envelope {
    Envelope { protocol, content_type: "application/json".to_owned(), metadata: None, payload: payload.to_vec() }
}

fn by(rules: Rules, from: Protocol, payload: &Value, to: Protocol) -> Value {
    let translated = translate_by(rules, envelope(from, payload.to_string().as_bytes()), to, &mut || "new".to_owned());
    serde_json::from_slice(&translated.payload).expect("JSON")
}

fn published(from: Protocol, payload: &Value, to: Protocol) -> Value {
    by(Rules::Published, from, payload, to)
}

#[test]
fn payloads_that_are_no_objects_are_passed_on_as_bytes_or_text() {
    let call = |payload: &[u8]| {
        let translated = translate(envelope(Protocol::A2a, payload), Protocol::Mcp, &mut || "new".to_owned());
        serde_json::from_slice::<Value>(&translated.payload).expect("JSON")["params"]["arguments"]["parts"].clone()
    };
    assert_eq!(call(b"[1,2]"), json!([{"type": "data", "data": "WzEsMl0="}]));
    assert_eq!(call(b"\xff"), json!([{"type": "data", "data": "/w=="}]));

    let to_slim = translate(envelope(Protocol::Mcp, b"[1]"), Protocol::Slim, &mut String::new);
    assert_eq!(to_slim.payload, b"[1]");
    assert_eq!(to_slim.metadata.expect("some").to_json(), r#"{"payload_type":"mcp"}"#);

    let garbage = translate(envelope(Protocol::Mcp, b"\xff\xfe"), Protocol::A2a, &mut || "new".to_owned());
    let garbage: Value = serde_json::from_slice(&garbage.payload).expect("JSON");
    assert_eq!(garbage["parts"], json!([{"type": "text", "text": "\u{fffd}\u{fffd}"}]));
}

#[test]
fn odd_members_are_treated_as_published_bridges_treat_them() {
    let parts = |payload: Value| published(Protocol::Mcp, &payload, Protocol::A2a)["parts"].clone();

    assert_eq!(parts(json!({"result": null})), json!([{"type": "text", "text": "None"}]));
    assert_eq!(parts(json!({"result": 1, "method": "x"})), json!([{"type": "text", "text": "1"}]));
    assert_eq!(parts(json!({"result": {"content": []}})), json!([{"type": "data", "data": {"content": []}}]));
    assert_eq!(
        parts(json!({"result": {"content": [5, {"type": "text"}]}})),
        json!([{"type": "data", "data": 5}, {"type": "text", "text": ""}])
    );
    assert_eq!(parts(json!({"method": ""})), json!([{"type": "data", "data": {"mcp_method": "", "mcp_params": null}}]));
    assert_eq!(parts(json!([1])), json!([{"type": "text", "text": "[1]"}]));

    let call = published(Protocol::A2a, &json!({"messageId": 7, "parts": null}), Protocol::Mcp);
    assert_eq!((&call["id"], &call["params"]["arguments"]), (&json!(7), &json!({"parts": null})));
}

#[test]
fn a_message_inside_a_request_is_translated_like_the_message() {
    let message = json!({"messageId": "m", "parts": [{"type": "text", "text": "a"}]});
    let request = json!({"jsonrpc": "2.0", "method": "message/send", "id": "r", "params": {"message": message}});

    assert_eq!(published(Protocol::A2a, &request, Protocol::Mcp), published(Protocol::A2a, &message, Protocol::Mcp));
}

#[test]
fn values_are_not_read_and_written_anew_on_their_way() {
    let payload = br#"{"n":1.10,"big":12345678901234567890123}"#;

    let message = translate(envelope(Protocol::Slim, payload), Protocol::A2a, &mut String::new).payload;

    assert_eq!(
        String::from_utf8(message).expect("text"),
        r#"{"role":"agent","parts":[{"type":"data","data":{"n":1.10,"big":12345678901234567890123}}]}"#
    );
}

#[test]
fn by_routed_rules_an_answer_has_the_id_of_its_request() {
    for id in [json!(1), json!("req-1")] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "f"}});
        let asked = by(Rules::Routed, Protocol::Mcp, &request, Protocol::A2a);
        assert_eq!(asked["metadata"], json!({"mcp_id": id}));

        let reply = json!({"messageId": "m", "role": "agent", "parts": [{"type": "text", "text": "4"}, {"type": "data", "data": {"x": 1}}],
            "metadata": {"mcp_reply_to": asked["metadata"]["mcp_id"]}});
        let answer = by(Rules::Routed, Protocol::A2a, &reply, Protocol::Mcp);

        let content = json!([{"type": "text", "text": "4"}, {"type": "text", "text": "{\"x\":1}"}]);
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": {"content": content}}));
    }
}

#[test]
fn by_routed_rules_results_and_errors_come_through_a2a_unchanged() {
    let image = json!({"type": "image", "data": "x", "mimeType": "image/png"});
    for answer in [
        json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "t"}, image]}}),
        json!({"jsonrpc": "2.0", "id": "a", "error": {"code": -32601, "message": "no such method"}}),
    ] {
        let message = by(Rules::Routed, Protocol::Mcp, &answer, Protocol::A2a);

        assert_eq!(by(Rules::Routed, Protocol::A2a, &message, Protocol::Mcp), answer);
    }
}

#[test]
fn by_routed_rules_what_asks_and_answers_nothing_is_translated_as_published() {
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let message = json!({"messageId": "m", "parts": [], "metadata": {"k": 1}});

    for (from, payload, to) in [(Protocol::Mcp, notification, Protocol::A2a), (Protocol::A2a, message, Protocol::Mcp)] {
        assert_eq!(by(Rules::Routed, from, &payload, to), published(from, &payload, to));
    }
}
