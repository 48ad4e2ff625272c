//! Sending a message, and what a message looks like once it is in the log.
//!
//! [`MessageEvent`] is one shape for four places: the live stream, the history, a thread and the standard input of
//! a shell handler. Published clients read it by field name, so everything beyond the published fields is optional
//! and absent unless there is something to say.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Where a message stands, in the words used by the API, the command line and the metrics.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageState {
    /// Committed here; being delivered.
    Accepted,
    /// Given up; the reason is with the message.
    DeadLetter,
    /// The peer acknowledged it after committing it there. An incoming message is always this.
    Delivered,
    /// Its time to live ran out.
    Expired,
    /// The peer refused it.
    Rejected,
    /// Taken back before it was written to the peer.
    Withdrawn,
}

impl MessageState {
    /// Returns the state as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::DeadLetter => "dead_letter",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Says whether the daemon has finished with the message.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Accepted)
    }
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From a peer to this agent.
    In,
    /// From this agent to a peer.
    Out,
}

/// Who gets a message: one address, or a list of them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Recipients {
    /// One address; the answer is a [`SendResponse`].
    One(String),
    /// Several addresses; the answer is a [`SendManyResponse`], even for a list of one.
    Many(Vec<String>),
}

/// The body of `POST /v1/messages`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct SendRequest {
    /// One address or several.
    pub to: Recipients,
    /// Any JSON; by convention `{"text": …}`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<Value>,
    /// The conversation; a new one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The id of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What the body is; `application/json` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Ends the conversation with this message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close_thread: bool,
    /// A bearer token for an A2A target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a2a_auth: Option<String>,
}

impl SendRequest {
    /// Makes a request that carries a text to one address.
    pub fn text(to: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            to: Recipients::One(to.into()),
            body: Some(serde_json::json!({ "text": text.into() })),
            thread_id: None,
            reply_to: None,
            content_type: None,
            close_thread: false,
            a2a_auth: None,
        }
    }
}

/// The query of `POST /v1/messages`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct SendQuery {
    /// What to wait for before answering; nothing if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// How many seconds to wait; 30 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// What a sender waits for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub enum Wait {
    /// Until the message is committed here.
    #[default]
    #[serde(rename = "false")]
    Acceptance,
    /// Until the peer has acknowledged or refused it.
    #[serde(rename = "true")]
    Delivery,
    /// Until the peer's agent has answered it.
    #[serde(rename = "reply")]
    Reply,
}

impl Wait {
    /// Returns the value as it is written in a query.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acceptance => "false",
            Self::Delivery => "true",
            Self::Reply => "reply",
        }
    }
}

/// What became of a send, in the words of the published API.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SendStatus {
    /// The peer acknowledged it.
    Delivered,
    /// Nothing was accepted for this recipient.
    Failed,
    /// Accepted here.
    Queued,
}

impl SendStatus {
    /// Returns the status as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Queued => "queued",
        }
    }
}

/// The answer to a send to one address.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct SendResponse {
    /// The message.
    pub id: String,
    /// What became of it, in published words.
    pub status: SendStatus,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
    /// Its conversation.
    pub thread_id: String,
    /// When it was accepted.
    pub timestamp: String,
    /// The answer, if the caller waited for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Box<MessageEvent>>,
}

/// The answer to a send to a list of addresses.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct SendManyResponse {
    /// One result per address, in the order of the request.
    pub results: Vec<SendResult>,
    /// When the request was answered.
    pub timestamp: String,
}

/// What became of a message to one of several addresses.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct SendResult {
    /// The address, as it was given.
    pub to: String,
    /// The message; empty if none was accepted.
    pub id: String,
    /// Its conversation.
    pub thread_id: String,
    /// What became of it, in published words.
    pub status: SendStatus,
    /// Where it stands, if it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
    /// Why it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A message as live stream, history and threads show it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct MessageEvent {
    /// The message.
    pub id: String,
    /// `message.send`, `thread.close`, `message.stream.chunk` or `message.stream.end`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who sent it.
    pub from: String,
    /// Who gets it; only on messages of this agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whatever JSON the sender put in.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<Value>,
    /// Its conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The id of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What the body is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// This daemon's clock when the message was stored.
    pub timestamp: String,
    /// Its place in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Which way it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
    /// Whether it is known, other than from the sender, that `from` is the sender's own address. Only on messages
    /// that came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// How: `pinned`, `dns` or `dialled`; `claimed` where only the sender says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<String>,
    /// Whether it came over a session that is bound to its TLS channel, so that nobody in between can have read or changed it. Where this is
    /// false only the transport was encrypted: that is so with every published agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<bool>,
    /// How often this consumer has been offered it, from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// True from the second offer on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<bool>,
}

impl MessageEvent {
    /// Returns the text of the body, if it has one.
    pub fn text(&self) -> Option<&str> {
        match self.body.as_ref()? {
            Value::String(text) => Some(text),
            body => body.get("text").or_else(|| body.get("data")?.get("text"))?.as_str(),
        }
    }
}

/// The answer of `GET /v1/messages/{id}`: the message with its place, direction and state, and what became of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct MessageView {
    /// The message; here it always tells to whom it goes.
    #[serde(flatten)]
    pub message: MessageEvent,
    /// How often delivery was tried.
    pub attempts: u32,
    /// Why it stands where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When delivery is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
}

/// Keeps an explicit `null` apart from an absent member, because a body is carried as it was given.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_may_be_one_or_many() {
        let one: SendRequest = serde_json::from_str(r#"{"to":"toq://a/b"}"#).expect("valid");
        let many: SendRequest = serde_json::from_str(r#"{"to":["toq://a/b","toq://a/c"]}"#).expect("valid");

        assert_eq!(one.to, Recipients::One("toq://a/b".into()));
        assert!(matches!(many.to, Recipients::Many(list) if list.len() == 2));
    }

    #[test]
    fn a_null_body_is_not_an_absent_body() {
        let null: SendRequest = serde_json::from_str(r#"{"to":"x","body":null}"#).expect("valid");
        let absent: SendRequest = serde_json::from_str(r#"{"to":"x"}"#).expect("valid");

        assert_eq!(null.body, Some(Value::Null));
        assert_eq!(absent.body, None);
    }

    #[test]
    fn a_published_event_survives_a_round_trip() {
        let published = concat!(
            r#"{"id":"e2","type":"message.send","from":"toq://localhost:18101/alice","body":{"text":"hi"},"#,
            r#""thread_id":"T1","content_type":"application/json","timestamp":"2026-11-21T01:19:50.4Z"}"#
        );

        let event: MessageEvent = serde_json::from_str(published).expect("valid");

        assert_eq!(event.text(), Some("hi"));
        assert_eq!(serde_json::to_string(&event).expect("serializes"), published);
    }

    #[test]
    fn wait_is_spelled_as_in_a_query() {
        for wait in [Wait::Acceptance, Wait::Delivery, Wait::Reply] {
            let spelled = serde_json::to_value(wait).expect("serializes");

            assert_eq!(spelled, wait.as_str());
        }
    }
}
