//! Messages of A2A, made from what another protocol said.

use super::{Rules, any, bytes_part, data_part, is_empty_value, object, python, raw, routed, text_part};
use crate::members::{Members, items};

/// A message with the payload as its only part: as it is where it is JSON, and otherwise its bytes.
pub(super) fn from_any(payload: &[u8]) -> Vec<u8> {
    let part = any(payload).map_or_else(|| bytes_part(payload), |json| data_part(&json));
    Members::new().with("role", &"agent").with("parts", &[part]).to_json().into_bytes()
}

/// A message with what an MCP answer or request says.
pub(super) fn from_mcp(rules: Rules, payload: &[u8], ids: &mut impl FnMut() -> String) -> Vec<u8> {
    let said = object(payload);
    let parts = said.as_ref().and_then(|said| parts_of(rules, said));
    let parts = parts.unwrap_or_else(|| vec![text_part(&String::from_utf8_lossy(payload))]);
    let mut message = Members::new().with("messageId", &ids()).with("role", &"agent").with("parts", &parts);
    if rules == Rules::Routed
        && let Some(metadata) = said.as_ref().and_then(routed::of_mcp)
    {
        message.set("metadata", &metadata);
    }
    message.to_json().into_bytes()
}

/// The parts that stand for an answer or a request; none for what is neither.
fn parts_of(rules: Rules, said: &Members) -> Option<Vec<Members>> {
    if let Some(result) = said.get("result") {
        let Some(members) = said.object("result") else {
            return Some(vec![text_part(&python::text(result))]);
        };
        let content = members.get("content").filter(|content| !is_empty_value(content)).and_then(items);
        return Some(match content {
            Some(content) => content.into_iter().map(|item| part_of(item.get())).collect(),
            None => vec![data_part(&members)],
        });
    }
    if rules == Rules::Routed
        && let Some(error) = said.get("error")
    {
        return Some(vec![data_part(&Members::new().with("mcp_error", &raw(error)))]);
    }
    let method = said.get("method")?;
    let params = said.get("params").unwrap_or("null");
    Some(vec![data_part(&Members::new().with("mcp_method", &raw(method)).with("mcp_params", &raw(params)))])
}

/// One item of a result's content.
fn part_of(item: &str) -> Members {
    match Members::parse(item) {
        Ok(members) if members.text("type").as_deref() == Some("text") => text_part(&raw(members.get("text").unwrap_or("\"\""))),
        _ => data_part(&raw(item)),
    }
}
