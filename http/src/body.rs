//! Request bodies: JSON with errors in JSON.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use std::time::Duration;
use toq_api::ErrorCode;

use crate::error::ApiError;

/// The largest request body. A message's own limit is smaller and checked on the message.
pub(crate) const MAX_BODY: usize = 2 << 20;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body of at most `MAX` bytes.
pub(crate) struct Body<T, const MAX: usize = MAX_BODY>(pub(crate) T);

/// A JSON body that may be left out, and of which only the shape is looked at.
pub(crate) struct Unread<T>(PhantomData<T>);

impl<T: DeserializeOwned, const MAX: usize> FromRequest for Body<T, MAX> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = whole(request, payload, MAX);
        Box::pin(async move { parse(&bytes.await?).map(Self) })
    }
}

impl<T: DeserializeOwned> FromRequest for Unread<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = whole(request, payload, MAX_BODY);
        Box::pin(async move {
            let bytes = bytes.await?;
            if !bytes.trim_ascii().is_empty() {
                parse::<T>(&bytes)?;
            }
            Ok(Self(PhantomData))
        })
    }
}

/// Reads all of a body, if it is small enough and comes in time.
fn whole(request: &HttpRequest, payload: &mut Payload, max: usize) -> impl Future<Output = Result<web::BytesMut, ApiError>> + use<> {
    let payload = payload.take();
    let announced = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    async move {
        if announced.is_some_and(|length| length > max) {
            return Err(too_large(max));
        }
        let read = tokio::time::timeout(PATIENCE, read(payload, announced.unwrap_or(0), max)).await;
        read.map_err(|_| ApiError::new(ErrorCode::PayloadTimeout, "the request body did not arrive in time"))?
    }
}

async fn read(mut payload: Payload, announced: usize, max: usize) -> Result<web::BytesMut, ApiError> {
    let mut bytes = web::BytesMut::with_capacity(announced.min(64 * 1024));
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|error: PayloadError| ApiError::new(ErrorCode::InvalidRequest, format!("the body cannot be read: {error}")))?;
        if bytes.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large(max: usize) -> ApiError {
    ApiError::new(ErrorCode::MessageTooLarge, format!("Failed to buffer the request body: length limit exceeded, max is {max}"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            let message = format!("Failed to deserialize the JSON body into the target type: {error}");
            ApiError::new(ErrorCode::InvalidRequest, message).with_status(StatusCode::UNPROCESSABLE_ENTITY)
        } else {
            ApiError::new(ErrorCode::InvalidRequest, format!("Failed to parse the request body as JSON: {error}"))
        }
    })
}
