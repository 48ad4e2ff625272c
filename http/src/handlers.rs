//! Handlers: their definitions, their state, and what they gave up.
//!
//! A change is written to `handlers.toml` and then lived by; the workspace reads the file.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value};
use toq_actors::handler::{Condition, HandlerName, Stop, View};
use toq_actors::workspace::{Reload, ShowHandlers, Tell, Told};
use toq_api::{
    ErrorBody, ErrorCode, HandlerChanged, HandlerView, HandlersResponse, SetAside, SetAsideResponse, StopHandlerRequest,
    StopHandlerResponse,
};
use toq_config::handlers::{self, HandlersError, Reply};
use toq_protocol::time::Timestamp;

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

fn changed(name: Option<String>, status: &str) -> HttpResponse {
    HttpResponse::Ok().json(HandlerChanged { name, status: status.to_owned() })
}

fn shown(facade: &Facade, view: &View) -> Result<HandlerView, ApiError> {
    let definition = view.definition.as_ref().clone();
    let consumer = HandlerName(definition.name.clone()).consumer();
    let timeout_s = definition.timeout().as_secs();
    let reader = facade.reader();
    let pending = reader.consumer(&consumer)?.map(|place| reader.unconfirmed(&place)).transpose()?.unwrap_or_default();
    Ok(HandlerView {
        set_aside: reader.set_aside(&consumer, LISTED)?.len() as u64,
        pending,
        name: definition.name,
        command: definition.command,
        provider: definition.provider,
        model: definition.model,
        enabled: definition.enabled,
        active: view.active as u64,
        filter_from: definition.filter_from,
        filter_key: definition.filter_key,
        filter_type: definition.filter_type,
        argv: definition.argv,
        prompt: definition.prompt,
        prompt_file: definition.prompt_file,
        max_turns: definition.max_turns,
        auto_close: definition.auto_close,
        reply: match definition.reply {
            Reply::None => "none".to_owned(),
            Reply::Stdout => "stdout".to_owned(),
        },
        timeout_s,
        concurrency: definition.concurrency as u64,
        max_attempts: definition.max_attempts,
        state: view.condition.as_str().to_owned(),
        reason: match &view.condition {
            Condition::Broken(reason) => Some(reason.clone()),
            _ => None,
        },
        pids: view.processes.clone(),
    })
}

/// Lists the handlers and how they are.
#[utoipa::path(get, path = "/v1/handlers", responses((status = 200, body = HandlersResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn list(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let views = facade.ask(ShowHandlers).await?;
    let handlers = views.iter().map(|view| shown(&facade, view)).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(HandlersResponse { handlers }))
}

/// Adds a handler. It reacts to what comes from now on.
#[utoipa::path(post, path = "/v1/handlers", request_body = Object, responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn add(facade: web::Data<Facade>, body: Body<Map<String, Value>>) -> Result<HttpResponse, ApiError> {
    let added = handlers::add(&facade.dir, &body.0)?;
    facade.ask(Reload).await??;
    tracing::info!(handler = %added.name, "a handler was added");
    Ok(changed(Some(added.name), "added"))
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
    Ok(changed(Some(updated.name), "updated"))
}

/// Removes a handler, ends its runs, and forgets its place and what it set aside.
#[utoipa::path(delete, path = "/v1/handlers/{name}", params(("name" = String, Path)), responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn remove(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    handlers::remove(&facade.dir, &name)?;
    facade.ask(Reload).await??;
    tracing::info!(handler = %name, "a handler was removed");
    Ok(changed(Some(name), "removed"))
}

/// Reads `handlers.toml` again. A file with a mistake changes nothing.
#[utoipa::path(post, path = "/v1/handlers/reload", responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn reload(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    facade.ask(Reload).await??;
    Ok(changed(None, "reloaded"))
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
    tell(&facade, name.into_inner(), Told::Pause, "paused").await
}

/// Lets a handler that was paused, or is broken, go on.
#[utoipa::path(post, path = "/v1/handlers/{name}/resume", params(("name" = String, Path)), responses((status = 200, body = HandlerChanged), (status = "default", body = ErrorBody)))]
pub(crate) async fn resume(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    tell(&facade, name.into_inner(), Told::Resume, "resumed").await
}

async fn tell(facade: &Facade, name: String, what: Told, status: &str) -> Result<HttpResponse, ApiError> {
    facade.ask(Tell { handler: HandlerName(name.clone()), what }).await?.ok_or_else(unknown)?;
    Ok(changed(Some(name), status))
}

/// Lists the messages that a handler failed on too often.
#[utoipa::path(get, path = "/v1/handlers/{name}/set-aside", params(("name" = String, Path)), responses((status = 200, body = SetAsideResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn set_aside(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let views = facade.ask(ShowHandlers).await?;
    if !views.iter().any(|view| view.definition.name == *name) {
        return Err(unknown());
    }
    let rows = facade.reader().set_aside(&HandlerName(name.into_inner()).consumer(), LISTED)?;
    let messages = rows.into_iter().map(|(entry, row)| {
        let timestamp = Timestamp::from_nanos(row.at).to_string();
        Ok(SetAside { message: view::entry(&entry)?, reason: row.reason, attempts: row.attempts, timestamp })
    });
    Ok(HttpResponse::Ok().json(SetAsideResponse { messages: messages.collect::<Result<_, ApiError>>()? }))
}
