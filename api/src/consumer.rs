//! Durable readers of the log: what they have confirmed, and what they still owe.
//!
//! A consumer has a name and a *low water*: every message up to it is confirmed. Messages above it may be
//! confirmed in any order; what is not confirmed is offered again, with a higher `attempt`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of `GET /v1/consumers`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ConsumersResponse {
    /// Every consumer of this agent.
    pub consumers: Vec<ConsumerView>,
}

/// One durable reader.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ConsumerView {
    /// What it is called.
    pub name: String,
    /// Every message up to this place is confirmed.
    pub low_water: u64,
    /// How many messages wait to be confirmed.
    pub pending: u64,
}

/// The body of `POST /v1/consumers/{name}/confirm`: the messages, or everything up to a place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ConfirmRequest {
    /// Confirms these messages. An id is its sender's choice: where several senders have used the same, every message with it
    /// that was offered to this consumer is confirmed.
    Ids {
        /// Message ids.
        ids: Vec<String>,
    },
    /// Confirms the messages at these places, and no others.
    Seqs {
        /// Places in the log: `seq` of the messages.
        seqs: Vec<u64>,
    },
    /// Confirms everything up to and including this place.
    UpTo {
        /// A place in the log.
        up_to: u64,
    },
}

/// The answer of `POST /v1/consumers/{name}/confirm`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ConfirmResponse {
    /// The consumer.
    pub consumer: String,
    /// Every message up to this place is confirmed now.
    pub low_water: u64,
    /// How many messages this call confirmed.
    pub confirmed: u64,
}

/// The longest consumer name.
pub const NAME_MAX: usize = 63;

/// Says whether a text is a consumer name: `[a-z0-9][a-z0-9_-]{0,62}`.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let Some((first, rest)) = text.as_bytes().split_first() else {
        return false;
    };
    text.len() <= NAME_MAX && plain(*first) && rest.iter().all(|&byte| plain(byte) || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("worker-1"));
        assert!(is_name("0"));
        for bad in ["", "-a", "_a", "A", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_confirmation_names_messages_or_a_place() {
        let ids: ConfirmRequest = serde_json::from_str(r#"{"ids":["a"]}"#).expect("valid");
        let seqs: ConfirmRequest = serde_json::from_str(r#"{"seqs":[3,5]}"#).expect("valid");
        let place: ConfirmRequest = serde_json::from_str(r#"{"up_to":7}"#).expect("valid");

        assert_eq!(ids, ConfirmRequest::Ids { ids: vec!["a".into()] });
        assert_eq!(seqs, ConfirmRequest::Seqs { seqs: vec![3, 5] });
        assert_eq!(place, ConfirmRequest::UpTo { up_to: 7 });
    }
}
