//! The daemon itself: status, the actor tree, card, configuration, diagnostics, the end.

use actix_web::{HttpResponse, web};
use serde_json::Value;
use toq_actors::handler::Condition;
use toq_actors::home::Counters;
use toq_actors::workspace::{Connections, CurrentMode, SetMode, ShowHandlers};
use toq_actors::{Describe, Description};
use toq_api::{
    Access, CardResponse, Check, CheckStatus, ConfigResponse, DiagnosticsResponse, ErrorBody, ErrorCode, Misaddressed, ShutdownRequest,
    StatusResponse, StoreHealth, TreeNode, callback,
};
use toq_kit::ask;
use toq_protocol::policy::Mode;
use toq_store::record::Direction;
use toq_store::{Health, Seq, StoreError};

use crate::audit;
use crate::body::{Body, Unread};
use crate::error::{ApiError, shortage};
use crate::facade::{Facade, Shutdown};
use crate::guard;
use crate::listing;
use crate::view;

/// Below this much free disk, diagnostics complain, in MiB.
const MIN_FREE_MIB: u64 = 64;

/// Says that the daemon lives, and nothing else.
#[utoipa::path(get, path = "/v1/health", responses((status = 200, description = "`ok`", content_type = "text/plain", body = String)))]
pub(crate) async fn health() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok")
}

async fn describe(facade: &Facade) -> Result<Description, ApiError> {
    ask(&facade.registry, Describe).await.map_err(ApiError::from)
}

fn store_health(facade: &Facade) -> StoreHealth {
    match facade.home().store.journal().health() {
        Health::Writing if facade.home().store.room().is_full() => StoreHealth::ReadOnly,
        Health::Writing => StoreHealth::Ok,
        Health::Failed(StoreError::Full | StoreError::OverQuota { .. } | StoreError::ReadOnly) => StoreHealth::ReadOnly,
        Health::Failed(_) => StoreHealth::Failed,
    }
}

/// Why the store takes no new messages, and what to do about it.
fn ailment(facade: &Facade) -> Option<String> {
    let store = &facade.home().store;
    let error = match store.journal().health() {
        Health::Writing => store.room().refusal()?,
        Health::Failed(error) => error,
    };
    let (why, next) = shortage(&error);
    Some(format!("{why}; {next}"))
}

/// Tells how the daemon is.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = StatusResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn status(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let home = facade.home();
    let mode: Mode = facade.ask(CurrentMode).await?;
    let incoming = facade.ask(Connections).await?.iter().filter(|view| view.is_incoming).count();
    let actors = describe(&facade).await?.count();
    let handlers = facade.ask(ShowHandlers).await?;
    let health = store_health(&facade);
    let counters = &home.counters;
    let response = StatusResponse {
        status: "running".to_owned(),
        address: home.local().address.wire(),
        connection_mode: mode.to_string(),
        active_connections: incoming as u64,
        messages_in: Counters::read(&counters.messages_in),
        messages_out: Counters::read(&counters.messages_out),
        error_count: Counters::read(&counters.failed_commits) + Counters::read(&counters.panics),
        backpressure_active: health != StoreHealth::Ok,
        version: facade.version.to_owned(),
        public_key: home.local().identity.public().to_string(),
        access: match facade.rules.access {
            guard::Access::SameUser => Access::SameUser,
            guard::Access::Token(_) => Access::Token,
        },
        actors: actors as u64,
        panics: Counters::read(&counters.panics),
        outbox: facade.reader().waiting()?,
        handlers: handlers.iter().filter(|handler| handler.condition != Condition::Disabled).count() as u64,
        handlers_broken: handlers.iter().filter(|handler| matches!(handler.condition, Condition::Broken(_))).count() as u64,
        uptime_seconds: home.clock.monotonic().as_secs(),
        store: health,
    };
    Ok(HttpResponse::Ok().json(response))
}

/// Shows every living actor by its place in the tree.
#[utoipa::path(get, path = "/v1/tree", responses((status = 200, body = TreeNode), (status = "default", body = ErrorBody)))]
pub(crate) async fn tree(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(view::tree(describe(&facade).await?)))
}

/// Shows the card that peers get.
#[utoipa::path(get, path = "/v1/card", responses((status = 200, body = CardResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn card(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let mode: Mode = facade.ask(CurrentMode).await?;
    let card = &facade.home().local().card;
    Ok(HttpResponse::Ok().json(CardResponse {
        name: card.name.clone(),
        description: card.description.clone(),
        public_key: card.public_key.clone(),
        protocol_version: card.protocol_version.clone(),
        capabilities: card.capabilities.clone(),
        accept_files: card.accept_files,
        max_message_size: card.max_message_size.unwrap_or_default(),
        max_file_size: card.max_file_size,
        connection_mode: mode.to_string(),
    }))
}

/// Shows the configuration as the next start would find it, and where the running daemon has other values.
#[utoipa::path(get, path = "/v1/config", responses((status = 200, body = ConfigResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn config(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let mode: Mode = facade.ask(CurrentMode).await?;
    facade.hold("connection_mode", Value::from(mode.as_str()));
    Ok(HttpResponse::Ok().json(facade.configuration()?))
}

/// Changes the configuration file; what can be applied at once is.
#[utoipa::path(patch, path = "/v1/config", request_body = Object, responses((status = 200, body = ConfigResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn patch_config(facade: web::Data<Facade>, body: Body<serde_json::Map<String, Value>>) -> Result<HttpResponse, ApiError> {
    let changes = body.0;
    toq_config::patch(&facade.dir, &changes)
        .map_err(|error| ApiError::new(ErrorCode::InvalidConfig, format!("Invalid config: {error}")))?;
    let now = facade.reread()?;
    // Where a key was taken out, its default holds again.
    let changed = |key: &str| changes.get(key).map(|value| if value.is_null() { &now[key] } else { value });
    let mode = changed("connection_mode").and_then(Value::as_str).and_then(|mode| match mode {
        "open" => Some(Mode::Open),
        "allowlist" => Some(Mode::Allowlist),
        "approval" => Some(Mode::Approval),
        "dns-verified" => Some(Mode::DnsVerified),
        _ => None,
    });
    if let Some(mode) = mode {
        facade.ask(SetMode(mode)).await?;
    }
    if let Some((value, level)) = changed("log_level").and_then(|value| Some((value, serde_json::from_value(value.clone()).ok()?))) {
        (facade.log_level)(level);
        facade.hold("log_level", value.clone());
    }
    // Values may be secrets; the mode is none, and is what an owner looks for.
    let detail = mode.map(|mode| format!("connection_mode = {}", mode.as_str()));
    let keys: Vec<&str> = changes.keys().map(String::as_str).collect();
    audit::record(&facade, "config.changed", keys.join(", "), detail).await?;
    config(facade).await
}

/// How many messages are looked at for one that the callback URL did not take.
const POSTED_PAGE: usize = 64;

/// How many messages that were set aside are counted.
const SET_ASIDE_PAGE: usize = 1024;

/// Checks what a daemon needs.
#[utoipa::path(get, path = "/v1/diagnostics", responses((status = 200, body = DiagnosticsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn diagnostics(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let home = facade.home();
    let ok = |name: &str, detail: Option<String>| Check { name: name.to_owned(), status: CheckStatus::Ok, detail };
    let health = store_health(&facade);
    let store = Check {
        name: "store".to_owned(),
        status: if health == StoreHealth::Ok { CheckStatus::Ok } else { CheckStatus::Fail },
        detail: (health != StoreHealth::Ok).then(|| ailment(&facade).unwrap_or_else(|| health.as_str().to_owned())),
    };
    let mut checks = vec![
        ok("config", Some(format!("agent: {}", home.config.agent_name))),
        ok("identity_key", Some(home.local().identity.public().to_string())),
        ok("tls_cert", None),
        ok("port", Some(format!("{} (in use by daemon)", home.local().address.port()))),
        store,
        disk(&facade),
    ];
    checks.extend(posting(&facade)?);
    let issues = checks.iter().filter(|check| check.status == CheckStatus::Fail).count() as u64;
    let misaddressed = home.counters.misaddressed().map(|(count, last)| Misaddressed { count, last: last.written() });
    let intercepted = listing::interceptions(facade.reader(), home.wall())?;
    Ok(HttpResponse::Ok().json(DiagnosticsResponse { checks, issues, misaddressed, intercepted }))
}

/// Whether the owner's program takes what is posted to it, where messages are posted to one.
fn posting(facade: &Facade) -> Result<Option<Check>, ApiError> {
    if facade.home().config.adapter_http.callback_url.is_none() {
        return Ok(None);
    }
    let reader = facade.reader();
    let Some(place) = reader.consumer(callback::CONSUMER)? else { return Ok(None) };
    let rows = reader.messages_after(Seq(place.low_water), POSTED_PAGE)?;
    let mut attempts = 0;
    for (seq, row) in rows {
        if row.direction() == Direction::In && place.is_open(seq.0) {
            attempts = attempts.max(reader.offers(callback::CONSUMER, seq)?);
        }
    }
    let waiting = reader.unconfirmed(&place)?;
    let mut wrong = Vec::new();
    // The first attempt may be under way.
    if attempts > 1 {
        wrong.push(format!("{waiting} message(s) wait for the callback URL, which did not take one after {attempts} attempts"));
    }
    let set_aside = reader.set_aside(callback::CONSUMER, SET_ASIDE_PAGE)?;
    let refused: Vec<_> = set_aside.iter().filter(|(_, why)| why.reason.starts_with(callback::REFUSED)).collect();
    if let Some((last, why)) = refused.last() {
        wrong.push(format!("{} message(s) were set aside, the last one {}, because {}", refused.len(), last.row.id(), why.reason));
    }
    let told = || format!("{}; see the log, and mend the program or adapter.http.callback_url", wrong.join("; "));
    let status = if wrong.is_empty() { CheckStatus::Ok } else { CheckStatus::Fail };
    Ok(Some(Check { name: "callback".to_owned(), status, detail: (!wrong.is_empty()).then(told) }))
}

fn disk(facade: &Facade) -> Check {
    let name = "disk".to_owned();
    match rustix::fs::statvfs(&facade.dir) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
            let status = if free >= MIN_FREE_MIB { CheckStatus::Ok } else { CheckStatus::Fail };
            Check { name, status, detail: Some(format!("{free} MiB free")) }
        }
        Err(error) => Check { name, status: CheckStatus::Fail, detail: Some(error.to_string()) },
    }
}

/// Drains the daemon and ends it.
#[utoipa::path(post, path = "/v1/daemon/shutdown", request_body = Option<ShutdownRequest>, responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn shutdown(facade: web::Data<Facade>, _: Unread<ShutdownRequest>) -> Result<HttpResponse, ApiError> {
    // A full channel means that the end is under way already.
    let _under_way = facade.shutdown.try_send(Shutdown);
    Ok(HttpResponse::Ok().finish())
}
