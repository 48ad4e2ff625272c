//! Handlers: their definitions, their state, and what they gave up.
//!
//! A change is written to `handlers.toml` and then lived by; the workspace reads the file.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value};
use toq_actors::handler::{Condition, HandlerName, Stop, View};
use toq_actors::workspace::{LeftBehind, Reload, ShowHandlers, Tell, Told, TryAgain};
use toq_api::{
    ErrorBody, ErrorCode, HandlerChanged, HandlerLeft, HandlerView, HandlersResponse, ReplacedKey, RetryRequest, RetryResponse, SetAside,
    SetAsideResponse, StopHandlerRequest, StopHandlerResponse,
};
use toq_config::HandlerConfig;
use toq_config::handlers::{self, HandlersError, Reply};
use toq_protocol::dialogue::Turns;
use toq_protocol::key::PeerKey;
use toq_protocol::time::Timestamp;
use toq_store::record::SetAsideRow;
use toq_store::{Entry, Seq};

use crate::audit;
use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;
use crate::view;

/// How many set aside messages are listed.
const LISTED: usize = 1000;

impl From<HandlersError> for ApiError {
    fn from(error: HandlersError) -> Self {
        match error {
            // The code and the words that published clients know.
            HandlersError::Exists(_) => {
                Self::new(ErrorCode::InvalidRequest, format!("io error: {error}")).with_status(StatusCode::CONFLICT)
            }
            HandlersError::Unknown(_) => unknown(),
            other => Self::new(ErrorCode::InvalidRequest, other.to_string()),
        }
    }
}

fn unknown() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "handler not found").hint("GET /v1/handlers lists them")
}

fn changed(name: Option<String>, status: &str, left: Vec<LeftBehind>) -> HttpResponse {
    let left = left.into_iter().map(|left| HandlerLeft { name: left.handler.0, unhandled: left.unhandled, set_aside: left.set_aside });
    HttpResponse::Ok().json(HandlerChanged { name, status: status.to_owned(), broken: None, left: left.collect() })
}

/// The answer to a change of one handler, which says also whether it works now.
async fn settled(facade: &Facade, name: String, status: &str) -> Result<HttpResponse, ApiError> {
    let view = facade.ask(ShowHandlers).await?.into_iter().find(|view| view.definition.name == name);
    let broken = view.and_then(|view| match view.condition {
        Condition::Broken(reason) => Some(reason),
        _ => None,
    });
    Ok(HttpResponse::Ok().json(HandlerChanged { name: Some(name), status: status.to_owned(), broken, left: Vec::new() }))
}

/// A handler of which only the definition is known: its settings as they take effect. What a secret could be in is not in it.
#[must_use]
pub fn defined(definition: HandlerConfig) -> HandlerView {
    let budget = definition.budget();
    let max_turns = if definition.is_llm() { limited(definition.turns()) } else { None };
    let limit = |most: u64| (most != u64::MAX).then_some(most);
    HandlerView {
        timeout_s: definition.timeout().as_secs(),
        max_auto_replies: definition.max_hops(),
        base_url: definition.base_url.as_deref().map(without_password),
        name: definition.name,
        command: definition.command,
        provider: definition.provider,
        model: definition.model,
        enabled: definition.enabled,
        filter_from: definition.filter_from,
        filter_key: definition.filter_key,
        filter_type: definition.filter_type,
        argv: definition.argv,
        prompt: definition.prompt,
        prompt_file: definition.prompt_file,
        max_turns,
        auto_close: definition.auto_close,
        api_key: definition.api_key,
        stream: definition.stream,
        runs_per_day: limit(budget.handler.runs),
        tokens_per_day: limit(budget.handler.tokens),
        peer_runs_per_day: limit(budget.peer.runs),
        peer_tokens_per_day: limit(budget.peer.tokens),
        peer_runs_per_hour: limit(budget.peer_hour),
        max_repeats: definition.max_repeats,
        env: definition.env,
        cwd: definition.cwd.map(|path| path.to_string_lossy().into_owned()),
        reply: match definition.reply {
            Reply::None => "none".to_owned(),
            Reply::Stdout => "stdout".to_owned(),
        },
        concurrency: definition.concurrency as u64,
        max_attempts: definition.max_attempts,
        ..HandlerView::default()
    }
}

const fn limited(turns: Turns) -> Option<u32> {
    match turns {
        Turns::Limited(most) => Some(most),
        Turns::Unlimited => None,
    }
}

/// A URL without what stands between its scheme and its host, and without its query: either may be a secret.
fn without_password(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?…"));
    let Some((scheme, rest)) = url.split_once("://") else { return format!("{url}{query}") };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}{query}"),
        None => format!("{url}{query}"),
    }
}

fn shown(facade: &Facade, view: &View) -> Result<HandlerView, ApiError> {
    let definition = view.definition.as_ref().clone();
    let consumer = HandlerName(definition.name.clone()).consumer();
    let reader = facade.reader();
    let pending = reader.consumer(&consumer)?.map(|place| reader.unconfirmed(&place)).transpose()?.unwrap_or_default();
    Ok(HandlerView {
        set_aside: reader.set_aside(&consumer, LISTED)?.len() as u64,
        pending,
        active: view.active as u64,
        state: view.condition.as_str().to_owned(),
        reason: match &view.condition {
            Condition::Broken(reason) => Some(reason.clone()),
            _ => None,
        },
        pids: view.processes.clone(),
        replaced_keys: replaced_keys(facade, &view.definition.filter_key),
        ..defined(definition)
    })
}

/// The keys of a filter that are not their agents' any more. The file keeps what its owner wrote.
fn replaced_keys(facade: &Facade, filter: &[String]) -> Vec<ReplacedKey> {
    let policy = facade.home().policy.borrow();
    let current = |text: &String| {
        let key = PeerKey::parse(text).ok()?;
        let current = policy.successions().latest(&key);
        (current != key).then(|| ReplacedKey { key: text.clone(), current: current.to_string() })
    };
    filter.iter().filter_map(current).collect()
}

/// Lists the handlers and how they are.
#[utoipa::path(get, path = "/v1/handlers", responses((status = 200, body = HandlersResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn list(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let views = facade.ask(ShowHandlers).await?;
    let handlers = views.iter().map(|view| shown(&facade, view)).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(HandlersResponse { handlers }))
}

/// Shows one handler.
#[utoipa::path(get, path = "/v1/handlers/{name}", params(("name" = String, Path)), responses((status = 200, body = HandlerView), (status = "default", body = ErrorBody)))]
pub(crate) async fn show(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let views = facade.ask(ShowHandlers).await?;
    let view = views.iter().find(|view| view.definition.name == *name).ok_or_else(unknown)?;
    Ok(HttpResponse::Ok().json(shown(&facade, view)?))
}

/// Adds a handler. It reacts to what comes from now on.
#[utoipa::path(post, path = "/v1/handlers", request_body = Object, responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn add(facade: web::Data<Facade>, body: Body<Map<String, Value>>) -> Result<HttpResponse, ApiError> {
    let added = handlers::add(&facade.dir, &body.0)?;
    facade.ask(Reload).await??;
    tracing::info!(handler = %added.name, "a handler was added");
    settled(&facade, added.name, "added").await
}

/// Changes keys of a handler. A key that becomes null, an empty text or an empty list is removed.
#[utoipa::path(put, path = "/v1/handlers/{name}", params(("name" = String, Path)), request_body = Object, responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn update(
    facade: web::Data<Facade>,
    name: web::Path<String>,
    body: Body<Map<String, Value>>,
) -> Result<HttpResponse, ApiError> {
    let updated = handlers::update(&facade.dir, &name, &body.0)?;
    facade.ask(Reload).await??;
    tracing::info!(handler = %updated.name, "a handler was changed");
    if body.0.get("enabled") == Some(&Value::Bool(true)) {
        let is_resting = |view: &View| matches!(view.condition, Condition::Broken(_) | Condition::Paused);
        let rests = facade.ask(ShowHandlers).await?.iter().any(|view| view.definition.name == updated.name && is_resting(view));
        // Whoever switches it on wants it to work, whatever kept it from that.
        if rests {
            turn(&facade, &updated.name, Told::Resume).await?;
        }
    }
    settled(&facade, updated.name, "updated").await
}

/// Removes a handler, ends its runs, and forgets its place and what it set aside; says how much that is.
#[utoipa::path(delete, path = "/v1/handlers/{name}", params(("name" = String, Path)), responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn remove(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    handlers::remove(&facade.dir, &name)?;
    let left = facade.ask(Reload).await??;
    tracing::info!(handler = %name, "a handler was removed");
    Ok(changed(Some(name), "removed", left))
}

/// Reads `handlers.toml` again. A file with a mistake changes nothing.
#[utoipa::path(post, path = "/v1/handlers/reload", responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn reload(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let left = facade.ask(Reload).await??;
    Ok(changed(None, "reloaded", left))
}

/// Ends runs of a handler at once, with all that they started. Their messages are set aside.
#[utoipa::path(post, path = "/v1/handlers/stop", request_body = StopHandlerRequest, responses((status = 200, body = StopHandlerResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn stop(facade: web::Data<Facade>, body: Body<Map<String, Value>>) -> Result<HttpResponse, ApiError> {
    // A published client learns of a missing name by 400, not 422.
    let invalid = |error: serde_json::Error| ApiError::new(ErrorCode::InvalidRequest, error.to_string());
    if !body.0.get("name").is_some_and(Value::is_string) {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "missing name"));
    }
    let request: StopHandlerRequest = serde_json::from_value(Value::Object(body.0)).map_err(invalid)?;
    let tell = Tell { handler: HandlerName(request.name.clone()), what: Told::Stop(Stop { process: request.pid }) };
    let stopped = facade.ask(tell).await?.unwrap_or_default() as u64;
    Ok(HttpResponse::Ok().json(StopHandlerResponse { name: request.name, stopped }))
}

/// Lets a handler begin nothing until it is resumed or the daemon starts again.
#[utoipa::path(post, path = "/v1/handlers/{name}/pause", params(("name" = String, Path)), responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn pause(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    turn(&facade, &name, Told::Pause).await?;
    settled(&facade, name.into_inner(), "paused").await
}

/// Lets a handler that was paused, or is broken, go on.
#[utoipa::path(post, path = "/v1/handlers/{name}/resume", params(("name" = String, Path)), responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn resume(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    turn(&facade, &name, Told::Resume).await?;
    settled(&facade, name.into_inner(), "resumed").await
}

/// Pauses or resumes a handler, and notes that its owner did.
async fn turn(facade: &Facade, name: &str, what: Told) -> Result<(), ApiError> {
    facade.ask(Tell { handler: HandlerName(name.to_owned()), what }).await?.ok_or_else(unknown)?;
    let word = if matches!(what, Told::Pause) { "handler.paused" } else { "handler.resumed" };
    audit::record(facade, word, name.to_owned(), None).await
}

/// Lists the messages that a handler failed on too often.
#[utoipa::path(get, path = "/v1/handlers/{name}/set-aside", params(("name" = String, Path)), responses((status = 200, body = SetAsideResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn set_aside(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let rows = gave_up(&facade, &name).await?;
    let messages = rows.into_iter().map(|(entry, row)| {
        let timestamp = Timestamp::from_nanos(row.at).to_string();
        Ok(SetAside { message: view::entry(&entry)?, reason: row.reason, attempts: row.attempts, timestamp })
    });
    Ok(HttpResponse::Ok().json(SetAsideResponse { messages: messages.collect::<Result<_, ApiError>>()? }))
}

/// Has a handler try messages again that it failed on too often, as if they had just come.
#[utoipa::path(post, path = "/v1/handlers/{name}/retry", params(("name" = String, Path)), request_body = RetryRequest, responses((status = 200, body = RetryResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn retry(facade: web::Data<Facade>, name: web::Path<String>, body: Body<RetryRequest>) -> Result<HttpResponse, ApiError> {
    let rows = gave_up(&facade, &name).await?;
    let messages: Vec<Seq> = match &body.0.ids {
        None => rows.iter().map(|(entry, _)| entry.seq).collect(),
        Some(ids) => {
            let of = |id: &String| {
                let found: Vec<Seq> =
                    rows.iter().filter(|(entry, _)| entry.row.id().to_string() == *id).map(|(entry, _)| entry.seq).collect();
                let missing = || {
                    ApiError::new(ErrorCode::NotFound, format!("no message that was set aside has the id {}", id.escape_debug()))
                        .hint(format!("GET /v1/handlers/{}/set-aside lists them", name.escape_debug()))
                };
                if found.is_empty() { Err(missing()) } else { Ok(found) }
            };
            ids.iter().map(of).collect::<Result<Vec<_>, _>>()?.concat()
        }
    };
    let handler = HandlerName(name.into_inner());
    let open = facade.reader().consumer(&handler.consumer())?.map_or(0, |place| place.retried().len());
    if open + messages.len() > LISTED {
        let told = format!("{open} messages are being tried again already, and {LISTED} is the most");
        return Err(ApiError::new(ErrorCode::Conflict, told).hint("wait for those, or name fewer"));
    }
    let retried = facade.ask(TryAgain { handler: handler.clone(), messages }).await??.ok_or_else(|| {
        ApiError::new(ErrorCode::Conflict, "this handler is switched off").hint("switch it on first: `toq handler enable`")
    })?;
    tracing::info!(handler = %handler.0, retried, "messages that were set aside are tried again");
    Ok(HttpResponse::Ok().json(RetryResponse { name: handler.0, retried: retried as u64 }))
}

async fn gave_up(facade: &Facade, name: &str) -> Result<Vec<(Entry, SetAsideRow)>, ApiError> {
    let views = facade.ask(ShowHandlers).await?;
    if !views.iter().any(|view| view.definition.name == name) {
        return Err(unknown());
    }
    Ok(facade.reader().set_aside(&HandlerName(name.to_owned()).consumer(), LISTED)?)
}
