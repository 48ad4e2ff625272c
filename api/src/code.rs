//! How failure looks.
//!
//! Every answer of 400 or more carries the same JSON object:
//!
//! ```json
//! {"error": {"code": "delivery_timeout", "message": "no ack within 30 s", "id": "2ef2013e-…", "state": "accepted"}}
//! ```
//!
//! Three readers look at it, and each gets a part of its own.
//!
//! *Programs* match on `code`. The list is closed: a code is added with a release, never invented at a call
//! site, so that `match` over it means something. The status is a function of the code, because proxies and the
//! published SDKs look at nothing else. It is the usual one, not the only one: published clients expect 422 for JSON
//! that parses but lacks a field, 409 for a duplicate name and 500 for a stream that broke, with the codes that
//! they always had, and the facade keeps those.
//!
//! *People* read `message`, and `hint` if there is something they can do. Both are English for a terminal and may
//! change in any release. Neither ever contains what the peer or the disk said verbatim: an internal error is told
//! to the log with all its sources and to the caller as one sentence.
//!
//! *A sender who must not lose a message* reads `id` and `state`. A send has two ways to fail. Before acceptance
//! there is no `id`, nothing was stored, and trying again is right. After acceptance there is one, the message is in
//! the log, and `state` says whether the daemon still works on it (`accepted`) or has finished (`rejected`,
//! `withdrawn`, …). Without the two, a timeout would leave the caller with a choice between losing a message and
//! sending it twice.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::message::MessageState;

/// Says what went wrong, for programs; the closed list that clients may match on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// An A2A agent could not be reached or refused the message.
    A2aSendFailed,
    /// What is to be created exists already.
    Conflict,
    /// No acknowledgement came in time; the message is still being tried.
    DeliveryTimeout,
    /// The caller is not allowed to do this.
    Forbidden,
    /// The request's header section is over the limit.
    HeaderTooLarge,
    /// The idempotency key was used before with another request.
    IdempotencyConflict,
    /// The daemon failed; its log says why.
    InternalError,
    /// An address does not parse.
    InvalidAddress,
    /// A configuration value is of the wrong type or out of range.
    InvalidConfig,
    /// A backup does not open with this passphrase.
    InvalidPassphrase,
    /// The request lacks something or contradicts itself.
    InvalidRequest,
    /// The message is over `max_message_size`.
    MessageTooLarge,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The `Host` header does not name this daemon.
    Misdirected,
    /// No such path, message, thread, stream or approval.
    NotFound,
    /// The release does not have this yet.
    NotImplemented,
    /// The peer cannot be reached, or does not let us in.
    NotReachable,
    /// The request's body did not arrive in time.
    PayloadTimeout,
    /// The peer took the message and refused it.
    Rejected,
    /// The message was delivered and nobody answered in time.
    ReplyTimeout,
    /// The disk is full; nothing was accepted.
    StorageFull,
    /// The daemon is draining or overloaded; try again after `Retry-After`.
    Unavailable,
    /// The request's content type is not JSON.
    UnsupportedMediaType,
}

impl ErrorCode {
    /// Every code, for documentation and tests.
    pub const ALL: [Self; 23] = [
        Self::A2aSendFailed,
        Self::Conflict,
        Self::DeliveryTimeout,
        Self::Forbidden,
        Self::HeaderTooLarge,
        Self::IdempotencyConflict,
        Self::InternalError,
        Self::InvalidAddress,
        Self::InvalidConfig,
        Self::InvalidPassphrase,
        Self::InvalidRequest,
        Self::MessageTooLarge,
        Self::MethodNotAllowed,
        Self::Misdirected,
        Self::NotFound,
        Self::NotImplemented,
        Self::NotReachable,
        Self::PayloadTimeout,
        Self::Rejected,
        Self::ReplyTimeout,
        Self::StorageFull,
        Self::Unavailable,
        Self::UnsupportedMediaType,
    ];

    /// Returns the code as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A2aSendFailed => "a2a_send_failed",
            Self::Conflict => "conflict",
            Self::DeliveryTimeout => "delivery_timeout",
            Self::Forbidden => "forbidden",
            Self::HeaderTooLarge => "header_too_large",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::InternalError => "internal_error",
            Self::InvalidAddress => "invalid_address",
            Self::InvalidConfig => "invalid_config",
            Self::InvalidPassphrase => "invalid_passphrase",
            Self::InvalidRequest => "invalid_request",
            Self::MessageTooLarge => "message_too_large",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Misdirected => "misdirected",
            Self::NotFound => "not_found",
            Self::NotImplemented => "not_implemented",
            Self::NotReachable => "not_reachable",
            Self::PayloadTimeout => "payload_timeout",
            Self::Rejected => "rejected",
            Self::ReplyTimeout => "reply_timeout",
            Self::StorageFull => "storage_full",
            Self::Unavailable => "unavailable",
            Self::UnsupportedMediaType => "unsupported_media_type",
        }
    }

    /// Returns the HTTP status that usually goes with the code.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidAddress | Self::InvalidConfig | Self::InvalidPassphrase | Self::InvalidRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::PayloadTimeout => 408,
            Self::Conflict | Self::IdempotencyConflict => 409,
            Self::MessageTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Misdirected => 421,
            Self::HeaderTooLarge => 431,
            Self::InternalError => 500,
            Self::NotImplemented => 501,
            Self::A2aSendFailed | Self::NotReachable | Self::Rejected => 502,
            Self::Unavailable => 503,
            Self::DeliveryTimeout | Self::ReplyTimeout => 504,
            Self::StorageFull => 507,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of every answer of 400 or more.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The one thing that went wrong.
    pub error: ErrorView,
}

/// One failure, in words for programs and in words for people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ErrorView {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for people.
    pub message: String,
    /// What the reader can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The message that the failure is about, if it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where that message stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
}

impl ErrorBody {
    /// Makes a body from a code and a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { error: ErrorView { code, message: message.into(), hint: None, id: None, state: None } }
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hint = Some(hint.into());
        self
    }

    /// Adds the accepted message and where it stands.
    #[must_use]
    pub fn about(mut self, id: impl Into<String>, state: MessageState) -> Self {
        self.error.id = Some(id.into());
        self.error.state = Some(state);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_code_reads_the_same_in_json_and_in_text() {
        for code in ErrorCode::ALL {
            let json = serde_json::to_value(code).expect("a unit variant serializes");

            assert_eq!(json, code.as_str());
        }
    }

    #[test]
    fn every_code_is_listed_once_and_has_an_error_status() {
        let names: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();

        assert_eq!(names.len(), ErrorCode::ALL.len());
        assert!(ErrorCode::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn absent_members_are_left_out() {
        let body = ErrorBody::new(ErrorCode::NotReachable, "no agent running at toq://localhost:18109/x");

        let json = serde_json::to_string(&body).expect("plain fields serialize");

        assert_eq!(json, r#"{"error":{"code":"not_reachable","message":"no agent running at toq://localhost:18109/x"}}"#);
    }

    #[test]
    fn a_failed_send_names_its_message() {
        let body = ErrorBody::new(ErrorCode::DeliveryTimeout, "no ack within 30 s").about("m1", MessageState::Accepted);

        let json = serde_json::to_value(&body).expect("plain fields serialize");

        assert_eq!(json["error"]["id"], "m1");
        assert_eq!(json["error"]["state"], "accepted");
    }
}
