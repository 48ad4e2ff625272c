//! Rows as the API shows them.

use toq_actors::Description;
use toq_api::{Direction, EventKind, EventView, MessageEvent, MessageState, MessageView, TreeNode};
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::time::Timestamp;
use toq_store::record::{self, EventRow, MessageRow, State};
use toq_store::{Entry, Seq, StoreError};

use crate::refusal::explain;

/// The state in the words of the API; an incoming message is always delivered.
pub(crate) const fn state(state: State) -> MessageState {
    match state {
        State::Accepted => MessageState::Accepted,
        State::DeadLetter => MessageState::DeadLetter,
        State::Delivered | State::Received => MessageState::Delivered,
        State::Expired => MessageState::Expired,
        State::Rejected => MessageState::Rejected,
        State::Withdrawn => MessageState::Withdrawn,
    }
}

const fn direction(direction: record::Direction) -> Direction {
    match direction {
        record::Direction::In => Direction::In,
        record::Direction::Out => Direction::Out,
    }
}

/// An address text of a row in its wire form.
fn wire(text: &Address) -> String {
    text.wire()
}

/// A message as the live stream shows it.
///
/// # Errors
/// [`StoreError`] where the row is damaged.
pub fn event(row: &MessageRow) -> Result<MessageEvent, StoreError> {
    let message = row.message()?;
    let is_own = row.direction() == record::Direction::Out;
    Ok(MessageEvent {
        id: message.id.to_string(),
        kind: message.kind.as_str().to_owned(),
        from: wire(&message.from),
        to: is_own.then(|| wire(&message.to)),
        body: message.body.as_ref().map(Json::to_value),
        thread_id: message.thread_id,
        reply_to: message.reply_to,
        content_type: message.content_type,
        timestamp: message.timestamp.to_string(),
        seq: None,
        direction: None,
        state: None,
        verified: (!is_own).then(|| row.proof().is_proven()),
        bound: row.is_bound().filter(|_| !is_own),
        verified_by: (!is_own).then(|| row.proof().as_str().to_owned()),
        attempt: None,
        redelivered: None,
    })
}

/// A message as history and threads show it.
pub(crate) fn entry(entry: &Entry) -> Result<MessageEvent, StoreError> {
    let mut shown = event(&entry.row)?;
    shown.seq = Some(entry.seq.0);
    shown.direction = Some(direction(entry.row.direction()));
    shown.state = Some(state(entry.state.state));
    Ok(shown)
}

/// One message and what became of it.
pub(crate) fn message(of: &Entry) -> Result<MessageView, StoreError> {
    let mut message = entry(of)?;
    message.to = Some(wire(&of.row.message()?.to));
    message.thread_id.get_or_insert_default();
    Ok(MessageView {
        message,
        attempts: of.state.attempts,
        reason: of.state.reason.as_deref().map(undelivered),
        next_attempt: of.state.next_attempt.map(|at| Timestamp::from_nanos(at).to_string()),
    })
}

/// Why a message stays undelivered, in one text that says also what to do.
pub(crate) fn undelivered(why: &str) -> String {
    let explained = explain(why);
    match explained.hint {
        Some(hint) => format!("{}; {hint}", explained.message),
        None => explained.message,
    }
}

/// Something that happened; `None` for kinds that this version does not know.
pub(crate) fn happened(row: &EventRow) -> Option<EventView> {
    let kind = serde_json::from_value::<EventKind>(serde_json::Value::from(row.kind.as_str())).ok()?;
    Some(EventView {
        kind,
        id: row.subject.clone(),
        to: row.address.clone(),
        reason: row.reason.clone(),
        timestamp: Timestamp::from_nanos(row.timestamp).to_string(),
    })
}

/// A living actor and its children.
pub(crate) fn tree(description: Description) -> TreeNode {
    let detail = description.detail.into_iter().map(|(name, value)| (name.to_owned(), serde_json::Value::from(value))).collect();
    TreeNode {
        name: description.name,
        kind: description.kind.to_owned(),
        detail: serde_json::Value::Object(detail),
        children: description.children.into_iter().map(tree).collect(),
    }
}

/// A place in the log as text, for cursors and event ids.
pub(crate) fn place(text: &str) -> Option<Seq> {
    text.parse().ok().map(Seq)
}
