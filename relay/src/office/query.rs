//! Query strings, with errors in JSON.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let query = web::Query::<T>::from_query(request.query_string());
        ready(
            query.map(|query| Self(query.into_inner())).map_err(|error| ApiError::bad_request(format!("the query is not usable: {error}"))),
        )
    }
}
