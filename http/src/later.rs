//! Routes of the published API whose capability comes with a later release. They answer, so that a client
//! learns what is wrong instead of guessing at a missing path.

use actix_web::{HttpResponse, web};
use toq_api::{ErrorCode, HandlersResponse, UpgradeResponse};

use crate::error::ApiError;
use crate::facade::Facade;

/// Answers that this release does not have this yet.
pub(crate) async fn not_yet() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(ErrorCode::NotImplemented, "this release does not have this yet").hint("see the changelog for what is there"))
}

/// Lists handlers: there are none in this release.
#[utoipa::path(get, path = "/v1/handlers", responses((status = 200, body = HandlersResponse)))]
pub(crate) async fn handlers() -> HttpResponse {
    HttpResponse::Ok().json(HandlersResponse::default())
}

/// Tells the version; nothing is asked of the network.
#[utoipa::path(get, path = "/v1/upgrade/check", responses((status = 200, body = UpgradeResponse)))]
pub(crate) async fn upgrade(facade: web::Data<Facade>) -> HttpResponse {
    let current_version = facade.version.to_owned();
    HttpResponse::Ok().json(UpgradeResponse { current_version, up_to_date: true, latest_version: None, download_url: None })
}
