//! Sending, and what became of one message.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use toq_actors::handler::Pass;
use toq_actors::outbox::Settled;
use toq_actors::workspace::{Accepted, AwaitReply, Idempotency, Origin, Patience, Send};
use toq_api::{
    ErrorBody, ErrorCode, MessageEvent, MessageState, MessageView, Recipients, SendManyResponse, SendQuery, SendRequest, SendResponse,
    SendResult, SendStatus, Wait,
};
use toq_protocol::address::Address;
use toq_protocol::auto_reply::mark;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::file::MANIFEST_TYPE;
use toq_protocol::message::MessageId;
use toq_store::record::State;

use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;
use crate::query::Query;
use crate::refusal::{Explained, explain, too_large};
use crate::view;

/// How long a caller that waits for an answer pauses before it asks again, where its conversation's actor has gone.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How long a caller waits where it does not say.
const DEFAULT_PATIENCE: u64 = 30;

/// The longest that a caller may wait, in seconds.
const MAX_PATIENCE: u64 = 3600;

/// The most recipients of one request.
const MAX_RECIPIENTS: usize = 100;

/// The longest thread id, reply id and content type, in bytes.
const MAX_REFERENCE: usize = 512;

/// The longest idempotency key, in bytes.
const MAX_KEY: usize = 255;

/// Sends a message to one agent or several.
#[utoipa::path(post, path = "/v1/messages", params(SendQuery, ("Idempotency-Key" = Option<String>, Header, description = "A text of up to 255 bytes. The same key with the same request gives the same answer and sends nothing again.")), request_body = SendRequest,
    responses((status = 200, description = "Delivered, or one result per recipient", body = SendResponse), (status = 202, description = "Accepted and being delivered", body = SendResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn send(
    facade: web::Data<Facade>,
    query: Query<SendQuery>,
    request: HttpRequest,
    body: Body<SendRequest>,
) -> Result<HttpResponse, ApiError> {
    send_as(&facade, query.0, &request, body.0, None).await
}

/// Sends a message; `run` is what the run of a handler may do that answers with it, where no person asked for it.
pub(crate) async fn send_as(
    facade: &Facade,
    query: SendQuery,
    request: &HttpRequest,
    body: SendRequest,
    run: Option<&Pass>,
) -> Result<HttpResponse, ApiError> {
    let wait = query.wait.unwrap_or_default();
    let patience = Duration::from_secs(query.timeout.unwrap_or(DEFAULT_PATIENCE).min(MAX_PATIENCE));
    let deadline = deadline(patience);
    let (texts, is_list) = match &body.to {
        Recipients::One(to) => (vec![to.clone()], false),
        Recipients::Many(list) => (list.clone(), true),
    };
    let mut command = command(facade, &body, &texts, wait, idempotency(request, &body)?)?;
    if let Some(pass) = run {
        command.body = Some(mark(command.body.as_ref(), pass.hops));
        command.origin = Origin::Handler(pass.peer);
    }
    let accepted = match facade.ask(command).await? {
        Ok(accepted) => accepted,
        Err(error) => return Err(error.into()),
    };
    if is_list {
        return many(texts, accepted, deadline).await;
    }
    let accepted = accepted.into_iter().next().ok_or_else(|| ApiError::new(ErrorCode::InternalError, "nothing was accepted"))?;
    one(facade, accepted, wait, deadline).await
}

/// Waits for one accepted message as its sender asked.
pub(crate) async fn accepted(facade: &Facade, accepted: Vec<Accepted>, query: &SendQuery) -> Result<HttpResponse, ApiError> {
    let patience = Duration::from_secs(query.timeout.unwrap_or(DEFAULT_PATIENCE).min(MAX_PATIENCE));
    let accepted = accepted.into_iter().next().ok_or_else(|| ApiError::new(ErrorCode::InternalError, "nothing was accepted"))?;
    one(facade, accepted, query.wait.unwrap_or_default(), deadline(patience)).await
}

/// When a caller stops waiting. The HTTP thread has no paused clock.
#[allow(clippy::disallowed_methods, reason = "a timeout of this thread, not a time that anything is decided by")]
fn deadline(patience: Duration) -> Instant {
    Instant::now() + patience
}

/// Turns a checked request into a command.
fn command(
    facade: &Facade,
    request: &SendRequest,
    texts: &[String],
    wait: Wait,
    idempotency: Option<Idempotency>,
) -> Result<Send, ApiError> {
    if texts.is_empty() {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "the list of recipients is empty"));
    }
    if texts.len() > MAX_RECIPIENTS {
        let message = format!("{} recipients are more than {MAX_RECIPIENTS}", texts.len());
        return Err(ApiError::new(ErrorCode::InvalidRequest, message).hint("send several requests"));
    }
    if request.content_type.as_deref() == Some(MANIFEST_TYPE) {
        let message = "a message of this content type announces a file";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message).hint("POST /v1/files sends one"));
    }
    let to = texts.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    for (name, text) in [("thread_id", &request.thread_id), ("reply_to", &request.reply_to), ("content_type", &request.content_type)] {
        if text.as_ref().is_some_and(|text| text.len() > MAX_REFERENCE) {
            return Err(ApiError::new(ErrorCode::InvalidRequest, format!("{name} is longer than {MAX_REFERENCE} bytes")));
        }
    }
    let body = request.body.as_ref().filter(|body| !body.is_null()).map(|body| Json::from_value(body).settled());
    let limit = facade.home().config.max_message_size;
    if let Some(size) = body.as_ref().map(|body| body.as_str().len()).filter(|size| *size > limit) {
        let Explained { message, hint } = too_large(size, limit);
        let error = ApiError::new(ErrorCode::MessageTooLarge, message);
        return Err(match hint {
            Some(hint) => error.hint(hint),
            None => error,
        });
    }
    Ok(Send {
        to,
        kind: if request.close_thread { Kind::ThreadClose } else { Kind::MessageSend },
        body,
        thread_id: request.thread_id.clone().filter(|id| !id.is_empty()),
        reply_to: request.reply_to.clone(),
        content_type: Some(request.content_type.clone().unwrap_or_else(|| "application/json".to_owned())),
        idempotency,
        patience: if wait == Wait::Acceptance { Patience::Accepted } else { Patience::Settled },
        origin: Origin::Owner,
    })
}

/// Parses the address of somebody to write to.
pub(crate) fn address(text: &str) -> Result<Address, ApiError> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(
            ApiError::new(ErrorCode::NotImplemented, "sending to A2A agents is not part of this release").hint("use a toq:// address")
        );
    }
    Address::parse_strict(text)
        .map_err(|error| ApiError::new(ErrorCode::InvalidAddress, error.to_string()).hint("an address looks like toq://host:port/agent"))
}

fn idempotency(request: &HttpRequest, body: &SendRequest) -> Result<Option<Idempotency>, ApiError> {
    let Some(key) = request.headers().get("idempotency-key") else { return Ok(None) };
    let invalid = || ApiError::new(ErrorCode::InvalidRequest, format!("Idempotency-Key must be text of 1 to {MAX_KEY} bytes"));
    let key = key.to_str().map_err(|_| invalid())?;
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(invalid());
    }
    let value = serde_json::to_value(body).map_err(|_| invalid())?;
    Ok(Some(Idempotency { key: key.to_owned(), fingerprint: Json::from_value(&value).digest() }))
}

async fn one(facade: &Facade, mut accepted: Accepted, wait: Wait, deadline: Instant) -> Result<HttpResponse, ApiError> {
    if wait == Wait::Acceptance {
        return Ok(HttpResponse::build(StatusCode::ACCEPTED).json(response(&accepted, SendStatus::Queued, MessageState::Accepted, None)));
    }
    let id = accepted.id.to_string();
    match settled(accepted.settled.take(), deadline).await {
        Some(settled) if settled.state == State::Delivered => {}
        Some(settled) => return Err(undelivered(&settled).about(id, view::state(settled.state))),
        None => {
            return Err(ApiError::new(ErrorCode::DeliveryTimeout, "No ack received within timeout")
                .hint("the message is kept and tried again; GET /v1/messages/{id} tells its state")
                .about(id, MessageState::Accepted));
        }
    }
    let reply = if wait == Wait::Reply { Some(reply(facade, &accepted, deadline).await?) } else { None };
    Ok(HttpResponse::Ok().json(response(&accepted, SendStatus::Delivered, MessageState::Delivered, reply)))
}

async fn reply(facade: &Facade, accepted: &Accepted, deadline: Instant) -> Result<MessageEvent, ApiError> {
    let nobody = || {
        ApiError::new(ErrorCode::ReplyTimeout, "the message was delivered and nobody answered within timeout")
            .about(accepted.id.to_string(), MessageState::Delivered)
    };
    let answer = async {
        loop {
            let waiting = AwaitReply { thread_id: accepted.thread_id.clone(), after: accepted.seq, agent: accepted.to.agent().clone() };
            // The conversation's actor may make room for others; the next one looks at the log first.
            if let Ok(seq) = facade.ask(waiting).await?.await {
                return Ok::<_, ApiError>(seq);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    let seq = timeout_at(deadline, answer).await.map_err(|_| nobody())??;
    let entry = facade.reader().entry(seq)?.ok_or_else(|| ApiError::new(ErrorCode::InternalError, "the reply is not in the log"))?;
    Ok(view::entry(&entry)?)
}

/// Waits for the end of a message; `None` where it does not come in time.
async fn settled(settled: Option<oneshot::Receiver<Settled>>, deadline: Instant) -> Option<Settled> {
    timeout_at(deadline, settled?).await.ok()?.ok()
}

fn undelivered(settled: &Settled) -> ApiError {
    let why = settled.reason.clone().unwrap_or_else(|| settled.state.as_str().to_owned());
    let explained = explain(&why);
    let error = match settled.state {
        State::Rejected => ApiError::new(ErrorCode::Rejected, format!("the remote agent refused the message: {}", explained.message)),
        _ => ApiError::new(ErrorCode::NotReachable, explained.message),
    };
    match explained.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn response(accepted: &Accepted, status: SendStatus, state: MessageState, reply: Option<MessageEvent>) -> SendResponse {
    SendResponse {
        id: accepted.id.to_string(),
        status,
        state: Some(state),
        thread_id: accepted.thread_id.clone(),
        timestamp: accepted.timestamp.to_string(),
        reply: reply.map(Box::new),
    }
}

async fn many(texts: Vec<String>, accepted: Vec<Accepted>, deadline: Instant) -> Result<HttpResponse, ApiError> {
    let timestamp = accepted.first().map(|first| first.timestamp.to_string()).unwrap_or_default();
    let waiting = texts.into_iter().zip(accepted).map(|(to, mut accepted)| async move {
        let has_waited = accepted.settled.is_some();
        let settled = settled(accepted.settled.take(), deadline).await;
        let (status, state, error) = match settled {
            None if has_waited => (SendStatus::Queued, MessageState::Accepted, Some("No ack received within timeout".to_owned())),
            None => (SendStatus::Queued, MessageState::Accepted, None),
            Some(settled) if settled.state == State::Delivered => (SendStatus::Delivered, MessageState::Delivered, None),
            Some(settled) => (SendStatus::Failed, view::state(settled.state), settled.reason.as_deref().map(view::undelivered)),
        };
        SendResult { to, id: accepted.id.to_string(), thread_id: accepted.thread_id, status, state: Some(state), error }
    });
    let results = futures_util::future::join_all(waiting).await;
    Ok(HttpResponse::Ok().json(SendManyResponse { results, timestamp }))
}

/// Tells what became of one message.
#[utoipa::path(get, path = "/v1/messages/{id}", params(("id" = String, Path, description = "The message's id")),
    responses((status = 200, body = MessageView), (status = "default", body = ErrorBody)))]
pub(crate) async fn message(facade: web::Data<Facade>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let not_found = || ApiError::new(ErrorCode::NotFound, "no message has this id");
    let id = MessageId::parse(&id).ok_or_else(not_found)?;
    let mut entry = facade.reader().find(&id)?.ok_or_else(not_found)?;
    if !entry.state.state.is_final() {
        // Whoever was told of a delivery finds it here, though its commit may still be on its way.
        facade.home().store.journal().barrier().await?;
        entry = facade.reader().find(&id)?.ok_or_else(not_found)?;
    }
    Ok(HttpResponse::Ok().json(view::message(&entry)?))
}
