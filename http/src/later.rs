//! Whether there is a newer release. This one asks nobody.

use actix_web::{HttpResponse, web};
use toq_api::UpgradeResponse;

use crate::facade::Facade;

/// Tells the version; nothing is asked of the network.
#[utoipa::path(get, path = "/v1/upgrade/check", responses((status = 200, body = UpgradeResponse)))]
pub(crate) async fn upgrade(facade: web::Data<Facade>) -> HttpResponse {
    let current_version = facade.version.to_owned();
    HttpResponse::Ok().json(UpgradeResponse { current_version, up_to_date: true, latest_version: None, download_url: None })
}
