//! The operator's errands, as they arrive at the socket.
//!
//! The socket is in a directory and of a mode that only this user can open; nothing else is asked of the caller.
//! What an attacker would try is to reach it through a browser or a proxy: neither speaks to a socket of the file system.

use actix_web::{HttpResponse, web};
use toq_api::relay::Errand;

use super::body::Body;
use super::error::ApiError;
use super::finish::finish;
use super::{Office, Operator};

/// Does something for the operator.
pub(crate) async fn errand(office: web::Data<Office>, body: Body<Errand>) -> Result<HttpResponse, ApiError> {
    let answer = finish(async move { Operator::of(&office).perform(body.0).await.map_err(ApiError::for_operator) }).await?;
    Ok(HttpResponse::Ok().json(answer))
}
