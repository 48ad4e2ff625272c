//! From what went wrong to what the caller is told.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use toq_actors::workspace::WorkspaceError;
use toq_api::{ErrorBody, ErrorCode, MessageState};
use toq_kit::Gone;
use toq_store::StoreError;

use crate::refusal::explain;

/// How long a caller should leave an overloaded daemon alone, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// A failed request.
#[derive(Debug)]
pub struct ApiError {
    body: ErrorBody,
    status: StatusCode,
}

impl ApiError {
    /// An error with its usual status.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { body: ErrorBody::new(code, message), status }
    }

    /// What the caller is told.
    #[must_use]
    pub const fn body(&self) -> &ErrorBody {
        &self.body
    }

    /// The same error with another status, where published clients expect one.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same error with what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body = self.body.hint(hint);
        self
    }

    /// The same error with the message that it is about and where that stands.
    #[must_use]
    pub fn about(mut self, id: impl Into<String>, state: MessageState) -> Self {
        self.body = self.body.about(id, state);
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.body.error.code, self.body.error.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).json(&self.body);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

impl From<WorkspaceError> for ApiError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Store(error) => error.into(),
            WorkspaceError::Draining => Self::new(ErrorCode::Unavailable, error.to_string()),
            WorkspaceError::Handlers(why) => Self::new(ErrorCode::InvalidConfig, why).hint("mend handlers.toml and reload"),
            WorkspaceError::IdempotencyConflict => {
                Self::new(ErrorCode::IdempotencyConflict, error.to_string()).hint("use a new Idempotency-Key for a new message")
            }
            WorkspaceError::Keys(why) => {
                Self::new(ErrorCode::InvalidRequest, why).with_status(StatusCode::INTERNAL_SERVER_ERROR).hint("see `toq doctor`")
            }
            WorkspaceError::OutboxFull(_) => {
                Self::new(ErrorCode::Unavailable, error.to_string()).hint("wait for deliveries, or raise max_message_queue")
            }
            WorkspaceError::LaneFull(_) => Self::new(ErrorCode::Unavailable, error.to_string())
                .hint("wait until that address is reached, or raise limits.answers_per_address"),
            WorkspaceError::ShareFull(_) => {
                Self::new(ErrorCode::Unavailable, error.to_string()).hint("wait for deliveries, or raise max_message_queue")
            }
            WorkspaceError::SelfMessage => Self::new(ErrorCode::NotReachable, format!("Failed to send: {error}")),
            WorkspaceError::TooManyStreams(_) => {
                Self::new(ErrorCode::Unavailable, error.to_string()).hint("end a stream, or raise limits.max_streams_per_peer")
            }
            WorkspaceError::Unreachable(why) => {
                let explained = explain(&why);
                let error = Self::new(ErrorCode::NotReachable, explained.message);
                match explained.hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
            WorkspaceError::UnknownStream => {
                Self::new(ErrorCode::NotFound, "Stream not found").hint("it was never started, has ended, or was idle for too long")
            }
            _ => Self::new(ErrorCode::InternalError, error.to_string()),
        }
    }
}

/// Why the store takes no new messages, and what to do about it.
pub(crate) fn shortage(error: &StoreError) -> (String, &'static str) {
    let next = match error {
        StoreError::Full => "free some space; the daemon goes on by itself",
        StoreError::OverQuota { .. } => {
            "raise store.max_mib (`toq config set store.max_mib`, then restart), or keep less: `toq files rm`, thread_cleanup_days and \
             message_history_limit, or forget a consumer that nobody reads"
        }
        StoreError::ReadOnly => "make the workspace directory writable; the daemon goes on by itself",
        _ => "see `toq logs`",
    };
    (error.to_string(), next)
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full | StoreError::OverQuota { .. } | StoreError::ReadOnly => {
                let (why, next) = shortage(&error);
                Self::new(ErrorCode::StorageFull, format!("{why}; nothing was accepted")).hint(next)
            }
            other => {
                tracing::error!(error = %other, "the store failed under a request");
                Self::new(ErrorCode::InternalError, "the store failed").hint("see `toq logs` and `toq doctor`")
            }
        }
    }
}

impl From<Gone> for ApiError {
    fn from(_: Gone) -> Self {
        Self::new(ErrorCode::Unavailable, "the workspace is being started again").hint("try again in a moment")
    }
}
