//! From what went wrong to what the caller is told.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use toq_api::relay::{RelayCode, RelayErrorBody};
use toq_store::StoreError;

use crate::keep::MEND;

/// A failed request.
#[derive(Debug)]
pub(crate) struct ApiError {
    body: RelayErrorBody,
    status: StatusCode,
    retry_after: Option<Duration>,
    /// What only the operator is told.
    cause: Option<Box<StoreError>>,
}

impl ApiError {
    /// An error with its usual status.
    pub(crate) fn new(code: RelayCode, error: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = RelayErrorBody { error: error.into(), code: code.as_str().to_owned(), hint: None };
        Self { body, status, retry_after: None, cause: None }
    }

    pub(crate) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(RelayCode::BadRequest, error)
    }

    pub(crate) fn not_found(error: impl Into<String>) -> Self {
        Self::new(RelayCode::NotFound, error)
    }

    /// Nobody who asks without a credential, or with this one, is answered.
    pub(crate) fn unauthorized(error: &str) -> Self {
        Self::new(RelayCode::Unauthorized, error)
    }

    /// Asked too often; ask again after so long.
    pub(crate) fn too_often(error: impl Into<String>, wait: Duration) -> Self {
        let mut this = Self::new(RelayCode::QuotaExceeded, error).with_status(StatusCode::TOO_MANY_REQUESTS);
        this.retry_after = Some(wait);
        let seconds = seconds(wait);
        this.hint(format!("ask again in {seconds} s"))
    }

    /// The same error with another status.
    #[must_use]
    pub(crate) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// What the caller reads.
    pub(crate) fn into_body(self) -> RelayErrorBody {
        self.body
    }

    /// The same error for the operator, who has no other to ask for the reason.
    #[must_use]
    pub(crate) fn for_operator(mut self) -> Self {
        if let Some(cause) = self.cause.take() {
            let hint = if cause.is_damage() { MEND } else { "look at the disk and try again; nothing was changed" };
            self.body.error = format!("{}: {cause}", self.body.error);
            self.body.hint = Some(hint.to_owned());
        }
        self
    }

    /// The same error with what the reader can do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }
}

/// Whole seconds, rounded up: whoever waits so long does not ask too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.body.code, self.body.error)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).json(&self.body);
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
        } else if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(RelayCode::Unavailable, "the relay's disk is full; nothing was changed")
                .hint("its operator frees some space; the relay goes on by itself"),
            StoreError::OverQuota { .. } => {
                Self::new(RelayCode::Unavailable, "the relay has used up what it may keep; nothing was changed")
                    .hint("its operator raises store.max_mib and starts it again")
            }
            StoreError::ReadOnly => Self::new(RelayCode::Unavailable, "the relay's disk is read-only; nothing was changed")
                .hint("its operator makes the data directory writable; the relay goes on by itself"),
            other => {
                tracing::error!(error = %other, "the store failed under a request");
                let failed = Self::new(RelayCode::InternalError, "the relay's store failed");
                Self { cause: Some(Box::new(other)), ..failed.hint("its operator finds the reason in the log") }
            }
        }
    }
}
