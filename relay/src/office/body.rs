//! Request bodies: JSON with limits of its own for each route.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use toq_api::relay::{MAX_KEY_PACKAGE, MAX_WELCOME, RelayCode};

use super::Office;
use super::error::ApiError;

/// The largest body of most routes.
pub(crate) const SMALL: usize = 16 * 1024;

/// The largest body with a key package: base64, and the small fields.
pub(crate) const WITH_PACKAGE: usize = MAX_KEY_PACKAGE * 4 / 3 + SMALL;

/// The largest body with a Welcome.
pub(crate) const WITH_WELCOME: usize = MAX_WELCOME * 4 / 3 + SMALL;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body of at most `MAX` bytes. An empty one reads as `{}`.
///
/// A large one holds its place for as long as this lives: what it carried is in memory until its handler has ended.
pub(crate) struct Body<T, const MAX: usize = SMALL>(pub(crate) T, #[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl<T: DeserializeOwned, const MAX: usize> FromRequest for Body<T, MAX> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        let announced = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let office = request.app_data::<web::Data<Office>>().cloned();
        Box::pin(async move {
            if announced.is_some_and(|length| length > MAX) {
                return Err(too_large(MAX));
            }
            // A few megabytes from each of many connections would be all the memory there is.
            let room = match (&office, MAX > WITH_PACKAGE && announced.is_none_or(|length| length > SMALL)) {
                (Some(office), true) => Some(office.room_for_large().await?),
                _ => None,
            };
            let read = tokio::time::timeout(PATIENCE, read(payload, announced.unwrap_or(0), MAX)).await;
            let late = |_| ApiError::bad_request("the request body did not arrive in time").with_status(StatusCode::REQUEST_TIMEOUT);
            let bytes = read.map_err(late)??;
            Ok(Self(parse(if bytes.is_empty() { b"{}" } else { &bytes })?, room))
        })
    }
}

async fn read(mut payload: Payload, announced: usize, max: usize) -> Result<BytesMut, ApiError> {
    let mut bytes = BytesMut::with_capacity(announced.min(SMALL));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error: PayloadError| ApiError::bad_request(format!("the body cannot be read: {error}")))?;
        if bytes.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(max: usize) -> ApiError {
    ApiError::new(RelayCode::BadRequest, format!("the request body is larger than {max} bytes")).with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The parser quotes values, and a value may be a secret; a missing or unknown name is none.
        let text = error.to_string();
        let why = if error.is_data() && !text.starts_with("missing field") { "a field has a value of the wrong kind" } else { &text };
        ApiError::bad_request(format!("the body is not what this route takes: {why} (line {}, column {})", error.line(), error.column()))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use toq_api::relay::{NewInvite, WelcomeSubmission};
    use toq_kit::Clock;
    use toq_store::relay::RelayStore;

    use super::super::{LARGE, Settings};
    use super::*;
    use crate::revoked::Revoked;
    use crate::token::Mint;

    #[actix_web::test]
    async fn a_large_body_holds_its_place_until_its_handler_has_ended() {
        let store = RelayStore::in_memory().await.expect("memory");
        let office = Office::new(store, Mint::Hs256(vec![7; 32]), Revoked::default(), Settings::default(), Clock::system());
        let office = web::Data::new(office);
        let text = serde_json::json!({ "request_id": "x", "welcome": "A".repeat(2 * SMALL) }).to_string();
        let request = TestRequest::post().app_data(office.clone()).insert_header(("content-length", text.len())).set_payload(text);
        let (request, mut payload) = request.to_http_parts();

        let body = Body::<WelcomeSubmission, WITH_WELCOME>::from_request(&request, &mut payload).await.expect("it is read");

        assert_eq!(office.large.available_permits(), LARGE - 1);
        drop(body);
        assert_eq!(office.large.available_permits(), LARGE);
    }

    #[test]
    fn a_parse_error_tells_where_and_quotes_no_value() {
        let error = |text: &str| parse::<NewInvite>(text.as_bytes()).err().map(|error| error.to_string()).unwrap_or_default();

        assert!(error("{}").contains("missing field `channel`"));
        let secret = error(r#"{"channel": "a/b/c", "max_uses": "skt_inv_secret"}"#);
        assert!(secret.contains("line 1, column") && !secret.contains("skt_inv"), "{secret}");
        assert!(error("{").contains("EOF"));
    }
}
