//! How failure looks on the relay's API.
//!
//! ```json
//! {"error": "the invite has been used as often as it may", "code": "bad_request", "hint": "ask for another one"}
//! ```
//!
//! Published clients raise an exception by `code` and show `error`; they know `unauthorized`, `not_found`, `bad_request`,
//! `conflict` and `quota_exceeded`. Later ones also look at the status and repeat after 408, 429 and 5xx.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Says what went wrong, for programs; the closed list that clients may match on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RelayCode {
    /// The request lacks something or contradicts itself, or the invite does not work any more.
    BadRequest,
    /// What is to be created exists already, or belongs to another account.
    Conflict,
    /// The caller may not do this.
    Forbidden,
    /// The server failed; its log says why.
    InternalError,
    /// No such path, or nothing of this name in this account.
    NotFound,
    /// The account has used what its plan gives (402), or asks too often (429).
    QuotaExceeded,
    /// The credential is missing, unknown, revoked or expired.
    Unauthorized,
    /// The server is overloaded, its disk is full, or it is stopping; try again later.
    Unavailable,
}

impl RelayCode {
    /// Every code, for documentation and tests.
    pub const ALL: [Self; 8] = [
        Self::BadRequest,
        Self::Conflict,
        Self::Forbidden,
        Self::InternalError,
        Self::NotFound,
        Self::QuotaExceeded,
        Self::Unauthorized,
        Self::Unavailable,
    ];

    /// The code as it is written in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Conflict => "conflict",
            Self::Forbidden => "forbidden",
            Self::InternalError => "internal_error",
            Self::NotFound => "not_found",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
        }
    }

    /// Its usual status. Not the only one: a body that is too large is a 413, asking too often is a 429.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::QuotaExceeded => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::InternalError => 500,
            Self::Unavailable => 503,
        }
    }
}

impl fmt::Display for RelayCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of every answer of 400 or more.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RelayErrorBody {
    /// What went wrong and why, for people.
    pub error: String,
    /// What went wrong, for programs: a [`RelayCode`], or a word that this release does not know.
    #[serde(default)]
    pub code: String,
    /// What the reader can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayApiError {
    /// The server answered with an error.
    #[error("API error ({status}): {}", body.error)]
    Api {
        /// The HTTP status.
        status: u16,
        /// What the server said.
        body: RelayErrorBody,
        /// When it wants to be asked again, where it said so.
        retry_after: Option<Duration>,
    },
    /// No connection could be made.
    #[error("API connection error: {0}")]
    Connection(String),
    /// The server's answer is not what the contract promises.
    #[error("cannot read the API server's answer: {0}")]
    Decode(String),
    /// The call took longer than it may.
    #[error("the API server did not answer in time")]
    Timeout,
    /// The base URL is none.
    #[error("not a usable API URL: {0}")]
    Url(String),
}

impl RelayApiError {
    /// The server's code, where it gave one that this release knows.
    #[must_use]
    pub fn code(&self) -> Option<RelayCode> {
        let Self::Api { body, .. } = self else { return None };
        RelayCode::ALL.into_iter().find(|code| code.as_str() == body.code)
    }

    /// The HTTP status, where there was an answer.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What to do about it, where the server said so.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        let Self::Api { body, .. } = self else { return None };
        body.hint.as_deref()
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Api { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Connection(_) | Self::Timeout => true,
            Self::Decode(_) | Self::Url(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_the_same_in_json_and_in_text() {
        for code in RelayCode::ALL {
            assert_eq!(serde_json::to_value(code).expect("a unit variant"), code.as_str());
        }
    }

    #[test]
    fn a_code_that_is_not_known_is_no_failure_to_read() {
        let body = serde_json::from_str(r#"{"error":"tea","code":"from_the_future"}"#).expect("an error");
        let error = RelayApiError::Api { status: 418, body, retry_after: None };

        assert_eq!((error.code(), error.to_string()), (None, "API error (418): tea".to_owned()));
    }
}
