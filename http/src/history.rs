//! What was said: history, threads.

use actix_web::{HttpResponse, web};
use toq_api::{ErrorBody, ErrorCode, HistoryQuery, HistoryResponse, ThreadResponse, ThreadState, ThreadSummary, ThreadsResponse};
use toq_protocol::conversation;
use toq_protocol::policy::Pattern;
use toq_protocol::time::Timestamp;
use toq_store::record::{Direction, MessageRow};
use toq_store::{Reader, Seq, StoreError};

use crate::error::ApiError;
use crate::facade::Facade;
use crate::query::Query;
use crate::view;

/// How many entries a page has where the caller does not say.
const DEFAULT_LIMIT: u64 = 50;

/// How many messages of a thread, and how many threads, are shown at most.
const MAX_THREAD: usize = 1000;

/// Lists past messages, oldest first.
#[utoipa::path(get, path = "/v1/messages/history", params(HistoryQuery), responses((status = 200, body = HistoryResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn history(facade: web::Data<Facade>, query: Query<HistoryQuery>) -> Result<HttpResponse, ApiError> {
    let query = query.0;
    let invalid = |what: &str| ApiError::new(ErrorCode::InvalidRequest, format!("{what} cannot be read"));
    let since = match query.since.as_deref().filter(|since| !since.is_empty()) {
        None => None,
        Some(text) => Some(Timestamp::parse(&text.replace(' ', "+")).ok_or_else(|| invalid("since"))?),
    };
    let before = match query.cursor.as_deref() {
        None => None,
        Some(text) => Some(view::place(text).ok_or_else(|| invalid("cursor"))?),
    };
    let from = query.from.filter(|from| !from.is_empty());
    let pattern = from.as_deref().map(Pattern::new);
    let outgoing = query.outgoing.unwrap_or(false);
    // Published clients give a part of the sender's address, others a pattern: both are understood.
    let accepts = move |row: &MessageRow| {
        if row.direction() == Direction::Out && !outgoing {
            return false;
        }
        let Ok(message) = row.message() else { return false };
        let sender = message.from.wire();
        let is_from =
            from.as_deref().is_none_or(|from| sender.contains(from)) || pattern.as_ref().is_some_and(|from| from.matches_text(&sender));
        is_from && since.is_none_or(|since| message.timestamp >= since)
    };
    let most = facade.home().config.message_history_limit;
    let limit = usize::try_from(query.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX).min(most);
    let response = aside(facade.reader().clone(), move |reader| {
        let page = reader.history(&toq_store::HistoryQuery { limit, before, accepts: &accepts })?;
        let messages = page.entries.iter().map(view::entry).collect::<Result<Vec<_>, _>>()?;
        let next_cursor = page.older.filter(|_| limit > 0).map(|seq| seq.to_string());
        Ok(HistoryResponse { messages, next_cursor, unreadable: places(&page.unreadable) })
    });
    Ok(HttpResponse::Ok().json(response.await?))
}

/// Shows a thread, both directions, oldest first.
#[utoipa::path(get, path = "/v1/threads/{thread_id}", params(("thread_id" = String, Path)), responses((status = 200, body = ThreadResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn thread(facade: web::Data<Facade>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let thread_id = id.into_inner();
    let response = aside(facade.reader().clone(), move |reader| {
        let page = reader.thread(&thread_id, MAX_THREAD)?;
        let messages = page.entries.iter().map(view::entry).collect::<Result<Vec<_>, _>>()?;
        Ok(ThreadResponse { thread_id, messages, unreadable: places(&page.unreadable) })
    });
    Ok(HttpResponse::Ok().json(response.await?))
}

/// Lists threads.
#[utoipa::path(get, path = "/v1/threads", responses((status = 200, body = ThreadsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn threads(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let summary = |thread: toq_store::ThreadSummary| ThreadSummary {
        thread_id: thread.id,
        peer: thread.address,
        state: match thread.head.state {
            conversation::ThreadState::Open => ThreadState::Open,
            conversation::ThreadState::Closed => ThreadState::Closed,
        },
        last_timestamp: thread.head.last.to_string(),
        messages: thread.head.messages,
    };
    let threads = aside(facade.reader().clone(), |reader| reader.threads(MAX_THREAD)).await?.into_iter().map(summary).collect();
    Ok(HttpResponse::Ok().json(ThreadsResponse { threads }))
}

/// Names rows that cannot be read; what else was asked for is answered all the same.
fn places(unreadable: &[Seq]) -> Vec<u64> {
    if !unreadable.is_empty() {
        tracing::error!(rows = unreadable.len(), first = unreadable[0].0, "rows of the log cannot be read; history is shown without them");
    }
    unreadable.iter().map(|seq| seq.0).collect()
}

/// Reads many rows on a thread for such work: the one that serves requests also carries messages.
pub(crate) async fn aside<T: Send + 'static>(
    reader: Reader,
    read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    let read = web::block(move || read(&reader)).await;
    Ok(read.map_err(|_| ApiError::new(ErrorCode::Unavailable, "the reading was given up"))??)
}
