//! Translation: an envelope of one protocol becomes one of another.
//!
//! What happens is decided by the envelope's own protocol and the wanted one, whatever somebody declared beforehand. The rules are
//! those of published bridges, so that it does not matter whose bridge stands between two members:
//!
//! | from, to | content type | payload | metadata |
//! |---|---|---|---|
//! | A2A, SLIM | `application/a2a+json` | unchanged | and `payload_type: "a2a"` |
//! | MCP, SLIM | `application/mcp+json` | unchanged | and `payload_type: "mcp"`, `mcp_method` |
//! | SLIM, A2A | `application/json` | unchanged if it was A2A before, otherwise a data part | kept |
//! | SLIM, MCP | `application/json` | unchanged if it was MCP before, otherwise a notification `message` | kept |
//! | A2A, MCP | `application/json` | a call of the tool `a2a_message` | kept |
//! | MCP, A2A | `application/json` | a message with the result's or the request's parts | kept |
//! | all others | kept | unchanged | kept |
//!
//! These rules lose the ids of MCP requests and the errors of MCP answers, since A2A has no place for them that old
//! readers know. [`Rules::Routed`] keeps them in the A2A message's `metadata`, where an answer finds its way back; see [`routed`].
//!
//! Every envelope has a translation. Payloads that are not what their protocol says are passed on as bytes (base64) or text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::envelope::{Envelope, Protocol};
use crate::members::{Members, parse_any};

mod a2a;
mod mcp;
mod python;
pub mod routed;

const JSON: &str = "application/json";
const A2A_JSON: &str = "application/a2a+json";
const MCP_JSON: &str = "application/mcp+json";

/// Which rules are followed between A2A and MCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// Those of published bridges.
    #[default]
    Published,
    /// Those, and ids and errors of MCP are kept in the metadata of A2A messages.
    Routed,
}

/// Translates an envelope by the rules of published bridges. `ids` makes a new unique id (a UUID) where one is needed.
#[must_use]
pub fn translate(envelope: Envelope, to: Protocol, ids: &mut impl FnMut() -> String) -> Envelope {
    translate_by(Rules::Published, envelope, to, ids)
}

/// Translates an envelope by the rules given. `ids` makes a new unique id (a UUID) where one is needed.
#[must_use]
pub fn translate_by(rules: Rules, envelope: Envelope, to: Protocol, ids: &mut impl FnMut() -> String) -> Envelope {
    use Protocol::{A2a, Mcp, Slim};
    let Envelope { protocol, content_type, metadata, payload } = envelope;
    let (content_type, payload, metadata) = match (protocol, to) {
        (A2a, Slim) => (A2A_JSON.to_owned(), payload, Some(metadata.unwrap_or_default().with("payload_type", &"a2a"))),
        (Mcp, Slim) => {
            let mut metadata = metadata.unwrap_or_default().with("payload_type", &"mcp");
            if let Some(method) = object(&payload).and_then(|message| Some(message.get("method")?.to_owned()))
                && !is_empty_value(&method)
            {
                metadata.set("mcp_method", &raw(&method));
            }
            (MCP_JSON.to_owned(), payload, Some(metadata))
        }
        (Slim, A2a) if content_type == A2A_JSON => (JSON.to_owned(), payload, metadata),
        (Slim, Mcp) if content_type == MCP_JSON => (JSON.to_owned(), payload, metadata),
        (Slim, A2a) => (JSON.to_owned(), a2a::from_any(&payload), metadata),
        (Slim, Mcp) => (JSON.to_owned(), mcp::notification(&payload), metadata),
        (A2a, Mcp) => (JSON.to_owned(), mcp::from_a2a(rules, &payload, ids), metadata),
        (Mcp, A2a) => (JSON.to_owned(), a2a::from_mcp(rules, &payload, ids), metadata),
        _ => (content_type, payload, metadata),
    };
    Envelope { protocol: to, content_type, metadata, payload }
}

/// The payload as an object, where it is one.
fn object(payload: &[u8]) -> Option<Members> {
    Members::parse(std::str::from_utf8(payload).ok()?).ok()
}

/// The payload as JSON of any kind, where it is that.
fn any(payload: &[u8]) -> Option<&RawValue> {
    parse_any(std::str::from_utf8(payload).ok()?).ok()
}

/// A data part with the payload's bytes.
fn bytes_part(payload: &[u8]) -> Members {
    data_part(&STANDARD.encode(payload))
}

fn data_part(data: &impl serde::Serialize) -> Members {
    Members::new().with("type", &"data").with("data", data)
}

fn text_part(text: &impl serde::Serialize) -> Members {
    Members::new().with("type", &"text").with("text", text)
}

/// JSON text that was checked when it was read.
fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("a member's value is JSON")
}

/// Whether a value counts as nothing: `null`, `false`, zero, or empty.
fn is_empty_value(json: &str) -> bool {
    let is_bare = |open: char, close: char| {
        json.strip_prefix(open).and_then(|json| json.strip_suffix(close)).is_some_and(|inner| inner.trim().is_empty())
    };
    matches!(json, "null" | "false" | "\"\"")
        || is_bare('[', ']')
        || is_bare('{', '}')
        || json.parse::<f64>().is_ok_and(|number| number == 0.0)
}
