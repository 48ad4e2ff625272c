//! Ids and errors of MCP on their way through A2A.
//!
//! An A2A message that was an MCP request has `"metadata": {"mcp_id": <its id>}`. Whoever answers it writes
//! `"metadata": {"mcp_reply_to": <that id>}` into the answer, which becomes the MCP result (or, with a part `{"mcp_error": …}`, the MCP
//! error) for this id. An A2A message that was an MCP result or error is such an answer already.
//!
//! Nothing is remembered between messages, so a bridge may be restarted between question and answer.

use super::{mcp, raw};
use crate::members::{Members, items};

/// The name under which an A2A message keeps the id of the request that it was.
pub const REQUEST_ID: &str = "mcp_id";

/// The name under which an A2A message says which request it answers.
pub const REPLY_TO: &str = "mcp_reply_to";

/// What the A2A message's metadata says of this MCP message; nothing for notifications.
pub(super) fn of_mcp(said: &Members) -> Option<Members> {
    let id = said.get("id").filter(|id| *id != "null")?;
    let name = if said.get("method").is_some() { REQUEST_ID } else { REPLY_TO };
    Some(Members::new().with(name, &raw(id)))
}

/// The MCP answer that an A2A message is, where it says so.
pub(super) fn answer(message: &Members) -> Option<Members> {
    let metadata = message.object("metadata")?;
    let id = metadata.get(REPLY_TO)?;
    let answer = mcp::json_rpc().with("id", &raw(id));
    let parts = message.get("parts").and_then(items).unwrap_or_default();
    if let [only] = parts[..]
        && let Some(error) = Members::parse(only.get()).ok().and_then(|part| part.object("data"))
        && let Some(error) = error.get("mcp_error")
    {
        return Some(answer.with("error", &raw(error)));
    }
    let content: Vec<Members> = parts.into_iter().map(|part| item_of(part.get())).collect();
    Some(answer.with("result", &Members::new().with("content", &content)))
}

/// A part as an item of a result's content. Data that is such an item already stays one; other data becomes its JSON text, since MCP
/// has no items of free form.
fn item_of(part: &str) -> Members {
    let text_item = |text: &str| Members::new().with("type", &"text").with("text", &text);
    let Ok(members) = Members::parse(part) else { return text_item(part) };
    if members.text("type").as_deref() == Some("text") {
        return Members::new().with("type", &"text").with("text", &raw(members.get("text").unwrap_or("\"\"")));
    }
    match (members.object("data"), members.get("data")) {
        (Some(item), _) if item.text("type").is_some() => item,
        (_, Some(data)) => text_item(data),
        (_, None) => text_item(part),
    }
}
