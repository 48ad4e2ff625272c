//! The route table.
//!
//! What is below a name or an id is grouped under it: the router compiles a regular expression for each path with a part in braces,
//! and these are a good part of a start.

use actix_web::guard::{Any, Get, Head};
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::scope;
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError as _, Route, web};
use toq_api::ErrorCode;

use crate::error::ApiError;
use crate::{
    audit, consumers, custody, daemon, discover, files, handlers, history, later, logs, messages, openapi, peers, rules, runs, sse, streams,
};

/// Registers every route of the local API.
pub(crate) fn local(config: &mut web::ServiceConfig) {
    config
        .service(path("/v1/messages/history").route(get().to(history::history)))
        .service(path("/v1/messages").route(get().to(sse::messages)).route(web::post().to(messages::send)))
        .service(path("/v1/messages/{id}").route(get().to(messages::message)))
        .service(path("/v1/events").route(get().to(sse::events)))
        .service(path("/v1/threads").route(get().to(history::threads)))
        .service(path("/v1/threads/{thread_id}").route(get().to(history::thread)))
        .service(path("/v1/stream/start").route(web::post().to(streams::start)))
        .service(path("/v1/stream/chunk").route(web::post().to(streams::chunk)))
        .service(path("/v1/stream/end").route(web::post().to(streams::end)))
        .service(path("/v1/consumers").route(get().to(consumers::list)))
        .service(
            scope("/v1/consumers/{name}")
                .service(path("").route(get().to(consumers::show)).route(web::delete().to(consumers::forget)))
                .service(path("/confirm").route(web::post().to(consumers::confirm))),
        )
        .service(path("/v1/peers").route(get().to(peers::peers)))
        .service(
            scope("/v1/peers/{key}")
                .service(path("/conversations").route(web::delete().to(peers::forget_conversations)))
                .service(path("/block").route(web::post().to(rules::block_peer)).route(web::delete().to(rules::unblock_peer))),
        )
        .service(path("/v1/connections").route(get().to(peers::connections)))
        .service(path("/v1/ping").route(web::post().to(peers::ping)))
        .service(path("/v1/block").route(web::post().to(rules::block)).route(web::delete().to(rules::unblock)))
        .service(path("/v1/approve").route(web::post().to(rules::approve)))
        .service(path("/v1/revoke").route(web::post().to(rules::revoke)))
        .service(path("/v1/permissions").route(get().to(rules::permissions)))
        .service(path("/v1/approvals").route(get().to(rules::approvals)))
        .service(
            scope("/v1/approvals/{id}")
                .service(path("").route(web::post().to(rules::decide)))
                .service(path("/revoke").route(web::post().to(rules::revoke_approval))),
        )
        .service(path("/v1/health").route(get().to(daemon::health)))
        .service(path("/v1/status").route(get().to(daemon::status)))
        .service(path("/v1/tree").route(get().to(daemon::tree)))
        .service(path("/v1/card").route(get().to(daemon::card)))
        .service(path("/v1/config").route(get().to(daemon::config)).route(web::patch().to(daemon::patch_config)))
        .service(path("/v1/diagnostics").route(get().to(daemon::diagnostics)))
        .service(path("/v1/daemon/shutdown").route(web::post().to(daemon::shutdown)))
        .service(path("/v1/logs").route(get().to(logs::logs)).route(web::delete().to(logs::clear)))
        .service(path("/v1/handlers").route(get().to(handlers::list)).route(web::post().to(handlers::add)))
        .service(path("/v1/handlers/reload").route(web::post().to(handlers::reload)))
        .service(path("/v1/handlers/stop").route(web::post().to(handlers::stop)))
        .service(
            scope("/v1/handlers/{name}")
                .service(
                    path("")
                        .route(get().to(handlers::show))
                        .route(web::put().to(handlers::update))
                        .route(web::delete().to(handlers::remove)),
                )
                .service(path("/pause").route(web::post().to(handlers::pause)))
                .service(path("/resume").route(web::post().to(handlers::resume)))
                .service(path("/retry").route(web::post().to(handlers::retry)))
                .service(path("/set-aside").route(get().to(handlers::set_aside))),
        )
        .service(path("/v1/audit").route(get().to(audit::records)))
        .service(path("/v1/audit/verify").route(get().to(audit::check)))
        .service(path("/v1/files").route(get().to(files::list)).route(web::post().to(files::send)))
        .service(path("/v1/files/{sha256}").route(get().to(files::bytes)).route(web::delete().to(files::remove)))
        .service(path("/v1/discover").route(get().to(discover::discover)))
        .service(path("/v1/discover/local").route(get().to(discover::local)))
        .service(path("/v1/upgrade/check").route(get().to(later::upgrade)))
        .service(path("/v1/keys/rotate").route(web::post().to(custody::rotate)))
        .service(path("/v1/backup/export").route(web::post().to(custody::export)))
        .service(path("/v1/backup/import").route(web::post().to(custody::import)))
        .service(path("/openapi.json").route(get().to(openapi::serve)))
        .service(path("/v1/openapi.json").route(get().to(openapi::serve)))
        .configure(runs::routes)
        .default_service(web::to(unknown));
}

/// A route for GET and for HEAD, which is the same without a body.
fn get() -> Route {
    web::route().guard(Any(Get()).or(Head()))
}

/// A path whose other methods are answered in JSON.
fn path(path: &str) -> Resource {
    web::resource(path).default_service(web::to(wrong_method))
}

async fn wrong_method(request: HttpRequest) -> HttpResponse {
    let allowed = request.match_pattern().map(|pattern| openapi::methods(&pattern)).unwrap_or_default();
    let message = match allowed.as_str() {
        "" => format!("{} is not a method of this path", request.method()),
        allowed => format!("{} is not a method of this path; there is {allowed}", request.method()),
    };
    let error = ApiError::new(ErrorCode::MethodNotAllowed, message).hint("GET /openapi.json lists what is there");
    let mut response = error.error_response();
    if !allowed.is_empty()
        && let Ok(allowed) = HeaderValue::from_str(&allowed)
    {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

async fn unknown() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(ErrorCode::NotFound, "there is nothing at this path").hint("GET /openapi.json lists what is there"))
}
