//! Why a provider gave no answer.

use std::time::Duration;

/// Why a provider gave no answer. No variant holds a key, and what a server wrote is cut, redacted and free of
/// control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// The provider's settings cannot work.
    #[error("{0}")]
    Setting(String),
    /// The provider does not accept the key.
    #[error("the provider refuses the key (HTTP {status}): {said}")]
    Unauthorized {
        /// The HTTP status.
        status: u16,
        /// What the provider said.
        said: String,
    },
    /// The provider wants fewer requests.
    #[error("the provider limits the rate of requests")]
    RateLimited {
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The provider cannot answer now.
    #[error("the provider cannot answer now (HTTP {status}): {said}")]
    Overloaded {
        /// The HTTP status.
        status: u16,
        /// What the provider said.
        said: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The provider does not take the request: an unknown model, a prompt that is too long.
    #[error("the provider does not take the request (HTTP {status}): {said}")]
    BadRequest {
        /// The HTTP status.
        status: u16,
        /// What the provider said.
        said: String,
    },
    /// The provider points to another place. It is not followed there, because the key is for this one.
    #[error("the provider redirects to another place (HTTP {0}); set base_url to where it is")]
    Redirected(u16),
    /// The answer is not what the provider's API promises.
    #[error("the provider's answer cannot be read: {0}")]
    Malformed(String),
    /// The answer is over a limit.
    #[error("the provider's answer is over its limit: {0}")]
    TooLarge(&'static str),
    /// A step took too long.
    #[error("the provider took too long: {0}")]
    Timeout(&'static str),
    /// Nothing listens there, the way is blocked, or TLS failed.
    #[error("cannot talk to the provider: {0}")]
    Unreachable(String),
}

impl LlmError {
    /// True where the same request may succeed later without anybody changing a setting.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Setting(_) | Self::Unauthorized { .. } | Self::BadRequest { .. } | Self::Redirected(_))
    }

    /// How long the provider wants to be left alone.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Overloaded { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// True where it is the provider that failed, and not this one request.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        !matches!(self, Self::BadRequest { .. } | Self::TooLarge(_) | Self::Malformed(_))
    }
}
