//! Messages of MCP (JSON-RPC 2.0), made from what another protocol said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Rules, bytes_part, object, raw, routed};
use crate::members::Members;

/// A notification that carries the payload's bytes.
pub(super) fn notification(payload: &[u8]) -> Vec<u8> {
    let params = Members::new().with("data", &STANDARD.encode(payload));
    json_rpc().with("method", &"message").with("params", &params).to_json().into_bytes()
}

/// A call of the tool `a2a_message` with a message's parts, under the message's id; or the answer that the message is, where the
/// rules keep ids.
pub(super) fn from_a2a(rules: Rules, payload: &[u8], ids: &mut impl FnMut() -> String) -> Vec<u8> {
    let message = object(payload).map(unwrapped);
    if rules == Rules::Routed
        && let Some(answer) = message.as_ref().and_then(routed::answer)
    {
        return answer.to_json().into_bytes();
    }
    let arguments = match &message {
        Some(message) => Members::new().with("parts", &raw(message.get("parts").unwrap_or("[]"))),
        None => Members::new().with("parts", &[bytes_part(payload)]),
    };
    let params = Members::new().with("name", &"a2a_message").with("arguments", &arguments);
    let call = json_rpc().with("method", &"tools/call");
    let call = match message.as_ref().and_then(|message| message.get("messageId")) {
        Some(id) => call.with("id", &raw(id)),
        None => call.with("id", &ids()),
    };
    call.with("params", &params).to_json().into_bytes()
}

pub(super) fn json_rpc() -> Members {
    Members::new().with("jsonrpc", &"2.0")
}

/// The message inside a request `message/send`, as members since 0.5 write it, or the message itself.
fn unwrapped(said: Members) -> Members {
    let is_request = said.text("method").as_deref() == Some("message/send");
    let inner = if is_request { said.object("params").and_then(|params| params.object("message")) } else { None };
    inner.unwrap_or(said)
}
