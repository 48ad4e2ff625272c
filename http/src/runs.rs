//! What a run of a handler may do: answer in its conversation, and nothing else.
//!
//! A run gets `TOQ_URL`, which is this daemon's URL with `/runs/` and a secret behind it. A script that posts to
//! `$TOQ_URL/v1/messages` works as documented, and a message that talks it into something else does not: whatever is not an
//! answer to the sender in the conversation of the message is 403. The secret ends with the run.
//!
//! What an attacker would try: write to others in our name, open other conversations, add handlers or approve itself
//! through a script that does as it is told, or use a secret that it found in an old log.

use actix_web::{HttpRequest, HttpResponse, web};
use toq_actors::handler::Pass;
use toq_actors::handler::pass::{FindPass, Opened};
use toq_actors::workspace::{Answers, EndStream, OpenStream, StreamChunk};
use toq_api::{
    ErrorBody, ErrorCode, Recipients, SendQuery, SendRequest, SendResponse, StreamChunkRequest, StreamChunkResponse, StreamEndRequest,
    StreamStartRequest, StreamStartResponse,
};

use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;
use crate::messages::{self, address};
use crate::query::Query;
use crate::streams;

/// What the paths of runs begin with. What follows is a secret.
pub(crate) const PREFIX: &str = "/runs/";

/// Registers the routes of runs.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/runs/{token}")
            .route("/v1/messages", web::post().to(send))
            .route("/v1/stream/start", web::post().to(start))
            .route("/v1/stream/chunk", web::post().to(chunk))
            .route("/v1/stream/end", web::post().to(end))
            .default_service(web::to(nothing_else)),
    );
}

/// A path as it may be logged.
pub(crate) fn without_secret(path: &str) -> &str {
    if path.starts_with(PREFIX) { "/runs/…" } else { path }
}

fn refused(why: &str) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, why).hint("a handler's run may answer the sender in the message's conversation, and nothing else")
}

async fn nothing_else(facade: web::Data<Facade>, token: web::Path<String>) -> Result<HttpResponse, ApiError> {
    pass(&facade, &token).await?;
    Err(refused("a run may not do this"))
}

async fn pass(facade: &Facade, token: &str) -> Result<Pass, ApiError> {
    let found = facade.ask(FindPass(token.to_owned())).await?;
    found.ok_or_else(|| refused("this run has ended, or there was none"))
}

fn check_to(pass: &Pass, to: &str) -> Result<(), ApiError> {
    if address(to)?.key() == pass.to.key() { Ok(()) } else { Err(refused("a run may write only to the sender of its message")) }
}

fn check_thread(pass: &Pass, thread_id: Option<&str>) -> Result<(), ApiError> {
    match thread_id.filter(|id| !id.is_empty()) {
        None => Ok(()),
        Some(id) if pass.thread_id.as_deref() == Some(id) => Ok(()),
        Some(_) => Err(refused("a run may write only in the conversation of its message")),
    }
}

fn check_stream(pass: &Pass, stream_id: &str) -> Result<(), ApiError> {
    if pass.streams.iter().any(|own| own == stream_id) { Ok(()) } else { Err(refused("this stream is not of this run")) }
}

/// A run answers the sender of its message. `to` and `thread_id` may be those of the message and no others.
#[utoipa::path(post, path = "/runs/{token}/v1/messages", params(("token" = String, Path, description = "The secret of the run, from its `TOQ_URL`"), SendQuery), request_body = SendRequest,
    responses((status = 200, description = "The peer has it", body = SendResponse), (status = 202, description = "Accepted and being delivered", body = SendResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn send(
    facade: web::Data<Facade>,
    token: web::Path<String>,
    query: Query<SendQuery>,
    request: HttpRequest,
    body: Body<SendRequest>,
) -> Result<HttpResponse, ApiError> {
    let pass = pass(&facade, &token).await?;
    let mut answer = body.0;
    match &answer.to {
        Recipients::One(to) => check_to(&pass, to)?,
        Recipients::Many(list) => match list.as_slice() {
            [to] => check_to(&pass, to)?,
            _ => return Err(refused("a run may write only to the sender of its message")),
        },
    }
    check_thread(&pass, answer.thread_id.as_deref())?;
    answer.thread_id = pass.thread_id.clone();
    answer.reply_to = answer.reply_to.or_else(|| Some(pass.message.to_string()));
    messages::send_as(&facade, query.0, &request, answer, Some(&pass)).await
}

/// A run opens a stream to the sender of its message.
#[utoipa::path(post, path = "/runs/{token}/v1/stream/start", params(("token" = String, Path, description = "The secret of the run, from its `TOQ_URL`")), request_body = StreamStartRequest,
    responses((status = 200, body = StreamStartResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn start(
    facade: web::Data<Facade>,
    token: web::Path<String>,
    body: Body<StreamStartRequest>,
) -> Result<HttpResponse, ApiError> {
    let pass = pass(&facade, &token).await?;
    check_to(&pass, &body.0.to)?;
    check_thread(&pass, body.0.thread_id.as_deref())?;
    let open = OpenStream { to: address(&body.0.to)?, thread_id: pass.thread_id, stream_id: None, only: pass.peer };
    let opened = facade.ask(open).await??;
    facade.ask(Opened { token: token.into_inner(), stream_id: opened.stream_id.clone() }).await?;
    Ok(HttpResponse::Ok().json(StreamStartResponse { stream_id: opened.stream_id, thread_id: opened.thread_id }))
}

/// A run sends a piece of a stream that it has opened.
#[utoipa::path(post, path = "/runs/{token}/v1/stream/chunk", params(("token" = String, Path, description = "The secret of the run, from its `TOQ_URL`")), request_body = StreamChunkRequest,
    responses((status = 200, body = StreamChunkResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn chunk(
    facade: web::Data<Facade>,
    token: web::Path<String>,
    body: Body<StreamChunkRequest>,
) -> Result<HttpResponse, ApiError> {
    let pass = pass(&facade, &token).await?;
    check_stream(&pass, &body.0.stream_id)?;
    streams::answer(facade.ask(StreamChunk { stream_id: body.0.stream_id, text: body.0.text }).await?)
}

/// A run ends a stream that it has opened.
#[utoipa::path(post, path = "/runs/{token}/v1/stream/end", params(("token" = String, Path, description = "The secret of the run, from its `TOQ_URL`")), request_body = StreamEndRequest,
    responses((status = 200, body = StreamChunkResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn end(
    facade: web::Data<Facade>,
    token: web::Path<String>,
    body: Body<StreamEndRequest>,
) -> Result<HttpResponse, ApiError> {
    let pass = pass(&facade, &token).await?;
    check_stream(&pass, &body.0.stream_id)?;
    let (stream_id, text, close_thread) = (body.0.stream_id, body.0.text, body.0.close_thread);
    streams::answer(
        facade.ask(EndStream { stream_id, text, close_thread, answers: Some(Answers { message: pass.message, hops: pass.hops }) }).await?,
    )
}
