//! Sending a stream.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use toq_actors::workspace::{EndStream, OpenStream, StreamChunk, WorkspaceError};
use toq_api::{ErrorBody, StreamChunkRequest, StreamChunkResponse, StreamEndRequest, StreamStartRequest, StreamStartResponse};

use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;
use crate::messages::address;

/// Opens a stream.
#[utoipa::path(post, path = "/v1/stream/start", request_body = StreamStartRequest, responses((status = 200, body = StreamStartResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn start(facade: web::Data<Facade>, body: Body<StreamStartRequest>) -> Result<HttpResponse, ApiError> {
    let to = address(&body.0.to)?;
    let thread_id = body.0.thread_id.filter(|id| !id.is_empty());
    let opened = facade.ask(OpenStream { to, thread_id, stream_id: None, only: None }).await??;
    Ok(HttpResponse::Ok().json(StreamStartResponse { stream_id: opened.stream_id, thread_id: opened.thread_id }))
}

/// Sends a piece of a stream; answers when the peer has it.
#[utoipa::path(post, path = "/v1/stream/chunk", request_body = StreamChunkRequest, responses((status = 200, body = StreamChunkResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn chunk(facade: web::Data<Facade>, body: Body<StreamChunkRequest>) -> Result<HttpResponse, ApiError> {
    let sent = facade.ask(StreamChunk { stream_id: body.0.stream_id, text: body.0.text }).await?;
    answer(sent)
}

/// Ends a stream; answers when the peer has committed the whole.
#[utoipa::path(post, path = "/v1/stream/end", request_body = StreamEndRequest, responses((status = 200, body = StreamChunkResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn end(facade: web::Data<Facade>, body: Body<StreamEndRequest>) -> Result<HttpResponse, ApiError> {
    let end = EndStream { stream_id: body.0.stream_id, text: body.0.text, close_thread: body.0.close_thread, answers: None };
    let ended = facade.ask(end).await?;
    answer(ended)
}

pub(crate) fn answer(sent: Result<toq_protocol::message::MessageId, WorkspaceError>) -> Result<HttpResponse, ApiError> {
    match sent {
        Ok(id) => Ok(HttpResponse::Ok().json(StreamChunkResponse { chunk_id: id.to_string() })),
        // An open stream that breaks is a 500 to published clients.
        Err(error @ WorkspaceError::Unreachable(_)) => Err(ApiError::from(error).with_status(StatusCode::INTERNAL_SERVER_ERROR)),
        Err(error) => Err(error.into()),
    }
}
