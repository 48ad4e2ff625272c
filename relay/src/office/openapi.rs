//! The OpenAPI document, generated from the handlers.

use actix_web::HttpResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{accounts, channels, invites, joins, keys, routes};

#[derive(OpenApi)]
#[openapi(
    info(title = "toq relay API", description = "Accounts, keys, channels, invites, and the mailbox between who joins and who owns."),
    paths(
        routes::health,
        accounts::create,
        accounts::me,
        accounts::usage,
        keys::create,
        keys::list,
        keys::revoke,
        keys::token,
        channels::register,
        channels::list,
        channels::admitted,
        channels::shut_out,
        invites::create,
        invites::list,
        invites::revoke,
        joins::join,
        joins::withdraw,
        joins::take_up,
        joins::pending,
        joins::submit,
        joins::refuse,
        joins::welcome,
    ),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Document;

/// An API key, or a token that it was exchanged for.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key (`sk_live_…`), or a token that it was exchanged for."));
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
    }
}

/// The document as JSON text, pretty-printed, as it is kept in `docs/openapi-relay.json`.
#[must_use]
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) async fn serve() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}
