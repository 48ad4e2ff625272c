//! Server-sent events: the only file that knows `actix-web-lab`'s part in it.
//!
//! Each event is one `id:` line and one `data:` line of JSON, so that clients that split on lines and look
//! at `data: ` alone keep working. A gap is a comment.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder as _, web};
use actix_web_lab::sse::{Data, Event, Sse};
use futures_util::stream::{Stream, unfold};
use serde::Serialize;
use toq_actors::workspace::Consume;
use toq_api::{ErrorBody, ErrorCode, EventsQuery, FollowQuery, consumer::is_name};
use toq_protocol::envelope::Kind;
use toq_protocol::policy::{PATTERN_FORM, Pattern};
use toq_protocol::time::Timestamp;
use toq_store::Seq;

use crate::error::ApiError;
use crate::facade::Facade;
use crate::feed::{Feed, Filter, Item};
use crate::happenings::Happenings;
use crate::query::Query;
use crate::view;

/// How often a silent stream shows that it lives. Published clients give up after 60 s of silence.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Follows the messages that come in.
#[utoipa::path(get, path = "/v1/messages", params(FollowQuery, ("Last-Event-ID" = Option<String>, Header, description = "Resume after this event")),
    responses((status = 200, description = "Server-sent events; `data` is a MessageEvent", content_type = "text/event-stream", body = toq_api::MessageEvent), (status = "default", body = ErrorBody)))]
pub(crate) async fn messages(facade: web::Data<Facade>, request: HttpRequest, query: Query<FollowQuery>) -> Result<HttpResponse, ApiError> {
    let query = query.0;
    let filter = Filter {
        from: query.from.as_deref().filter(|from| !from.is_empty()).map(sender).transpose()?,
        kind: query.kind.as_deref().filter(|kind| !kind.is_empty()).map(kind).transpose()?,
        outgoing: query.outgoing.unwrap_or(false),
    };
    let place = place(&facade, &request, query.since.as_deref())?;
    let feed = match query.consumer {
        None => Feed::new(facade.clone(), filter, place.unwrap_or_else(|| facade.reader().last())),
        Some(name) => {
            if !is_name(&name) {
                return Err(ApiError::new(ErrorCode::InvalidRequest, "a consumer's name is [a-z0-9][a-z0-9_-]{0,62}"));
            }
            let begin = place.unwrap_or_else(|| facade.reader().last());
            facade.ask(Consume::Begin(name.clone(), begin)).await??;
            let low_water = facade.reader().consumer(&name)?.map_or(0, |row| row.low_water);
            Feed::new(facade.clone(), filter, Seq(low_water)).for_consumer(name)
        }
    };
    let events = unfold(feed, |mut feed| async move {
        let event = match feed.next().await? {
            Item::Row(seq, message) => data(Some(seq), &message),
            Item::Chunk(chunk) => data(None, &chunk),
            Item::Gap(missed) => Event::Comment(format!("gap {missed} chunks were missed; the whole message follows at its end").into()),
        };
        Some((event, feed))
    });
    Ok(respond(&request, events))
}

/// Follows what happens to messages, approvals, streams and rules.
#[utoipa::path(get, path = "/v1/events", params(EventsQuery, ("Last-Event-ID" = Option<String>, Header, description = "Resume after this event")),
    responses((status = 200, description = "Server-sent events; `data` is an EventView", content_type = "text/event-stream", body = toq_api::EventView), (status = "default", body = ErrorBody)))]
pub(crate) async fn events(facade: web::Data<Facade>, request: HttpRequest, query: Query<EventsQuery>) -> Result<HttpResponse, ApiError> {
    let cursor = place(&facade, &request, query.0.since.as_deref())?.unwrap_or_else(|| facade.reader().last());
    let wanted = query.0.kind.filter(|kind| !kind.is_empty());
    let happenings = Happenings::new(facade.reader().clone(), wanted, cursor);
    let events = unfold(happenings, |mut happenings| async move {
        let (seq, event) = happenings.next().await?;
        Some((data(Some(seq), &event), happenings))
    });
    Ok(respond(&request, events))
}

/// Where a reader resumes: `Last-Event-ID`, else `since` as a place or a time.
fn place(facade: &Facade, request: &HttpRequest, since: Option<&str>) -> Result<Option<Seq>, ApiError> {
    let invalid = |what| ApiError::new(ErrorCode::InvalidRequest, format!("{what} is neither an event id nor an RFC 3339 time"));
    if let Some(last) = request.headers().get("last-event-id") {
        let place = last.to_str().ok().and_then(view::place);
        return place.map(Some).ok_or_else(|| invalid("Last-Event-ID"));
    }
    let Some(since) = since.filter(|since| !since.is_empty()) else { return Ok(None) };
    if let Some(place) = view::place(since) {
        return Ok(Some(place));
    }
    // A plus sign that was not escaped reads as a space.
    let time = Timestamp::parse(&since.replace(' ', "+")).ok_or_else(|| invalid("since"))?;
    Ok(Some(facade.reader().place_before(time)?))
}

/// The pattern of the senders that a reader wants; one that covers nobody would leave it waiting for ever.
fn sender(text: &str) -> Result<Pattern, ApiError> {
    let pattern = Pattern::new(text);
    match pattern.fault() {
        None => Ok(pattern),
        Some(error) => Err(ApiError::new(ErrorCode::InvalidRequest, error.to_string()).hint(PATTERN_FORM)),
    }
}

/// A message type by its published name or by its short one.
pub(crate) fn kind(text: &str) -> Result<Kind, ApiError> {
    let long = format!("message.{text}");
    Kind::parse(text).or_else(|| Kind::parse(&long)).ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidRequest, "no message has this type")
            .hint("types are message.send, thread.close, message.stream.chunk and message.stream.end")
    })
}

pub(crate) fn data(seq: Option<Seq>, shown: &impl Serialize) -> Event {
    let text = serde_json::to_string(shown).unwrap_or_else(|_| "null".to_owned());
    let data = Data::new(text);
    Event::Data(match seq {
        Some(seq) => data.id(seq.to_string()),
        None => data,
    })
}

pub(crate) fn respond(request: &HttpRequest, events: impl Stream<Item = Event> + 'static) -> HttpResponse {
    let stream = Sse::from_infallible_stream(events).with_keep_alive(KEEP_ALIVE);
    let mut response = stream.respond_to(request).map_into_boxed_body();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
