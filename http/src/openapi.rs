//! The OpenAPI document, generated from the handlers.

use actix_web::HttpResponse;
use utoipa::OpenApi;

use crate::{
    audit, consumers, custody, daemon, discover, files, handlers, history, later, logs, messages, peers, rules, runs, sse, streams,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "toq local API", description = "The HTTP and SSE API that a toq daemon offers to the programs of its own user."),
    paths(
        messages::send,
        messages::message,
        sse::messages,
        sse::events,
        history::history,
        history::thread,
        history::threads,
        streams::start,
        streams::chunk,
        streams::end,
        consumers::list,
        consumers::show,
        consumers::forget,
        consumers::confirm,
        peers::peers,
        peers::forget_conversations,
        peers::connections,
        peers::ping,
        rules::block,
        rules::unblock,
        rules::approve,
        rules::revoke,
        rules::permissions,
        rules::approvals,
        rules::decide,
        rules::revoke_approval,
        rules::block_peer,
        rules::unblock_peer,
        handlers::list,
        handlers::show,
        handlers::add,
        handlers::update,
        handlers::remove,
        handlers::reload,
        handlers::stop,
        handlers::pause,
        handlers::resume,
        handlers::set_aside,
        handlers::retry,
        daemon::health,
        daemon::status,
        daemon::tree,
        daemon::card,
        daemon::config,
        daemon::patch_config,
        daemon::diagnostics,
        daemon::shutdown,
        custody::export,
        custody::import,
        custody::rotate,
        logs::logs,
        logs::clear,
        files::send,
        files::list,
        files::bytes,
        files::remove,
        discover::discover,
        discover::local,
        later::upgrade,
        audit::records,
        audit::check,
        runs::send,
        runs::start,
        runs::chunk,
        runs::end,
    )
)]
struct Document;

/// The document as JSON text, pretty-printed, as it is kept in `docs/openapi.json`.
#[must_use]
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The methods of a path of the document, as an `Allow` header lists them.
pub(crate) fn methods(path: &str) -> String {
    let document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    let known = document["paths"][path].as_object();
    let mut methods: Vec<String> = known.map(|known| known.keys().map(|name| name.to_ascii_uppercase()).collect()).unwrap_or_default();
    // A path that is not in the document is the document itself.
    if methods.is_empty() || methods.iter().any(|name| name == "GET") {
        methods.extend(["GET".to_owned(), "HEAD".to_owned()]);
    }
    methods.sort();
    methods.dedup();
    methods.join(", ")
}

pub(crate) async fn serve() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}
