//! The route tables.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, Resource, web};
use serde_json::json;
use toq_api::relay::RelayCode;

use super::error::ApiError;
use super::{accounts, admin, channels, invites, joins, keys, openapi};

/// What members and published clients call.
pub(crate) fn members(config: &mut web::ServiceConfig) {
    config
        .service(path("/health").route(web::get().to(health)).route(web::head().to(health)))
        .service(path("/openapi.json").route(web::get().to(openapi::serve)))
        .service(path("/v1/accounts").route(web::post().to(accounts::create)))
        .service(path("/v1/accounts/me").route(web::get().to(accounts::me)))
        .service(path("/v1/keys").route(web::get().to(keys::list)).route(web::post().to(keys::create)))
        .service(path("/v1/keys/{id}").route(web::delete().to(keys::revoke)))
        .service(path("/v1/tokens").route(web::post().to(keys::token)))
        .service(path("/v1/usage").route(web::get().to(accounts::usage)))
        .service(path("/v1/channels").route(web::get().to(channels::list)).route(web::post().to(channels::register)))
        .service(path("/v1/channels/admitted").route(web::get().to(channels::admitted)))
        .service(path("/v1/channels/admitted/{account}").route(web::delete().to(channels::shut_out)))
        .service(path("/v1/channels/invites").route(web::get().to(invites::list)).route(web::post().to(invites::create)))
        .service(path("/v1/channels/invites/{id}").route(web::delete().to(invites::revoke)))
        .service(path("/v1/channels/join").route(web::post().to(joins::join)))
        .service(path("/v1/channels/join/{request_id}").route(web::delete().to(joins::withdraw)))
        .service(path("/v1/channels/answering").route(web::post().to(joins::take_up)))
        .service(path("/v1/channels/pending").route(web::get().to(joins::pending)))
        .service(path("/v1/channels/welcome").route(web::post().to(joins::submit)))
        .service(path("/v1/channels/refuse").route(web::post().to(joins::refuse)))
        .service(path("/v1/channels/welcome/{request_id}").route(web::get().to(joins::welcome)))
        .default_service(web::to(unknown));
}

/// What the operator's commands call, at the socket.
pub(crate) fn operator(config: &mut web::ServiceConfig) {
    config
        .service(path("/health").route(web::get().to(health)))
        .service(path("/v1/operator").route(web::post().to(admin::errand)))
        .default_service(web::to(unknown));
}

fn path(path: &str) -> Resource {
    web::resource(path).default_service(web::to(other_method))
}

/// Says that the server answers, and nothing else.
#[utoipa::path(get, path = "/health", security(()), responses((status = 200, description = "The server answers")))]
pub(crate) async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

async fn unknown() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found("there is no such path").hint("GET /openapi.json lists them"))
}

async fn other_method() -> Result<HttpResponse, ApiError> {
    let error = ApiError::new(RelayCode::BadRequest, "the path exists, the method does not").hint("GET /openapi.json lists them");
    Err(error.with_status(StatusCode::METHOD_NOT_ALLOWED))
}
