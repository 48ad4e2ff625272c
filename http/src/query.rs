//! Query strings: typed, with errors in JSON.

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::de::DeserializeOwned;
use std::future::{Ready, ready};
use toq_api::ErrorCode;

use crate::error::ApiError;

/// A typed query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parsed = web::Query::<T>::from_query(request.query_string());
        let failed = |error| ApiError::new(ErrorCode::InvalidRequest, format!("Failed to deserialize query string: {error}"));
        ready(parsed.map(|query| Self(query.into_inner())).map_err(failed))
    }
}
