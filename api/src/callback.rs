//! Messages for a program that is called: one POST each.

use std::time::Duration;

use reqwest::redirect::Policy;
use serde::Serialize;

use crate::tls;

/// The consumer whose place is that of the callback URL.
pub const CONSUMER: &str = "adapter-http";

/// How the reason begins for which a message is set aside that the program refused for good.
pub const REFUSED: &str = "the callback URL refuses it";

/// How long the program may take for a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Posts messages to a URL.
#[derive(Clone, Debug)]
pub struct Callback {
    http: reqwest::Client,
    url: String,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The program wants no such message, whenever it comes: this status.
    #[error("the answer is {0}")]
    Refused(u16),
    /// The program could not take it now.
    #[error("{0}")]
    Unavailable(String),
}

impl Callback {
    /// Prepares to post to a URL. Neither a proxy nor a redirect is followed: a message goes where the owner said.
    ///
    /// # Errors
    /// When the system gives no HTTP client.
    pub fn new(url: String) -> Result<Self, CallbackError> {
        // Messages are posted to this machine, without TLS.
        let tls = tls::none().map_err(CallbackError::Unavailable)?;
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).tls_backend_preconfigured(tls);
        let http = client.build().map_err(|error| CallbackError::Unavailable(error.to_string()))?;
        Ok(Self { http, url })
    }

    /// Posts a message as JSON; `id` lets the program recognise a repetition. Returns when the answer is a success.
    ///
    /// # Errors
    /// [`CallbackError`] says whether another try makes sense.
    pub async fn post(&self, id: &str, message: &impl Serialize) -> Result<(), CallbackError> {
        let unavailable = |error: reqwest::Error| CallbackError::Unavailable(error.without_url().to_string());
        let answer = self.http.post(&self.url).header("Idempotency-Key", id).json(message).send().await.map_err(unavailable)?;
        let status = answer.status();
        match status.as_u16() {
            _ if status.is_success() => Ok(()),
            408 | 425 | 429 => Err(CallbackError::Unavailable(format!("the answer is {status}"))),
            code if status.is_client_error() => Err(CallbackError::Refused(code)),
            _ => Err(CallbackError::Unavailable(format!("the answer is {status}"))),
        }
    }
}
