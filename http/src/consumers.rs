//! Consumers: their places, and what they confirm.

use actix_web::{HttpResponse, web};
use toq_actors::workspace::Consume;
use toq_api::consumer::is_name;
use toq_api::{ConfirmRequest, ConfirmResponse, ConsumerView, ConsumersResponse, ErrorBody, ErrorCode};
use toq_protocol::message::MessageId;
use toq_store::Seq;
use toq_store::record::ConsumerRow;

use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;

fn unknown() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "no consumer has this name").hint("GET /v1/messages?consumer=NAME makes one")
}

fn find(facade: &Facade, name: &str) -> Result<ConsumerRow, ApiError> {
    if !is_name(name) {
        return Err(unknown());
    }
    facade.reader().consumer(name)?.ok_or_else(unknown)
}

fn view(facade: &Facade, name: String, row: &ConsumerRow) -> Result<ConsumerView, ApiError> {
    Ok(ConsumerView { name, low_water: row.low_water, pending: facade.reader().unconfirmed(row)? })
}

/// Lists the consumers.
#[utoipa::path(get, path = "/v1/consumers", responses((status = 200, body = ConsumersResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn list(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let rows = facade.reader().consumers()?;
    // The places of handlers are shown with the handlers.
    let rows = rows.into_iter().filter(|(name, _)| is_name(name));
    let consumers = rows.map(|(name, row)| view(&facade, name, &row)).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(ConsumersResponse { consumers }))
}

/// Shows a consumer.
#[utoipa::path(get, path = "/v1/consumers/{name}", params(("name" = String, Path)), responses((status = 200, body = ConsumerView), (status = "default", body = ErrorBody)))]
pub(crate) async fn show(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let row = find(&facade, &name)?;
    Ok(HttpResponse::Ok().json(view(&facade, name.into_inner(), &row)?))
}

/// Forgets a consumer.
#[utoipa::path(delete, path = "/v1/consumers/{name}", params(("name" = String, Path)), responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn forget(facade: web::Data<Facade>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    find(&facade, &name)?;
    facade.ask(Consume::Forget(name.into_inner())).await??;
    Ok(HttpResponse::Ok().finish())
}

/// Confirms messages: they are never offered to this consumer again.
#[utoipa::path(post, path = "/v1/consumers/{name}/confirm", params(("name" = String, Path)), request_body = ConfirmRequest,
    responses((status = 200, body = ConfirmResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn confirm(
    facade: web::Data<Facade>,
    name: web::Path<String>,
    body: Body<ConfirmRequest>,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    let before = find(&facade, &name)?;
    let (command, confirmed) = match &body.0 {
        ConfirmRequest::UpTo { up_to } => {
            let above = ConsumerRow { low_water: before.low_water.max(*up_to), ..before.clone() };
            let count = facade.reader().unconfirmed(&before)?.saturating_sub(facade.reader().unconfirmed(&above)?);
            (Consume::ConfirmUpTo(name.clone(), Seq(*up_to)), count)
        }
        ConfirmRequest::Ids { ids } => {
            let mut places = Vec::new();
            for id in ids {
                places.extend(named(&facade, &name, id)?);
            }
            among(&before, name.clone(), places)
        }
        ConfirmRequest::Seqs { seqs } => {
            let last = facade.reader().last();
            // What has not come yet must not be confirmed.
            if let Some(seq) = seqs.iter().find(|seq| **seq == 0 || **seq > last.0) {
                return Err(ApiError::new(ErrorCode::NotFound, format!("no message has the place {seq}")));
            }
            among(&before, name.clone(), seqs.iter().copied().map(Seq).collect())
        }
    };
    facade.ask(command).await??;
    let after = find(&facade, &name)?;
    Ok(HttpResponse::Ok().json(ConfirmResponse { consumer: name, low_water: after.low_water, confirmed }))
}

fn among(place: &ConsumerRow, name: String, mut messages: Vec<Seq>) -> (Consume, u64) {
    messages.sort_unstable();
    messages.dedup();
    let count = messages.iter().filter(|seq| place.is_open(seq.0)).count() as u64;
    (Consume::Confirm(name, messages), count)
}

/// The messages with an id that were offered to a consumer; where none was, the first that came.
fn named(facade: &Facade, name: &str, id: &str) -> Result<Vec<Seq>, ApiError> {
    let reader = facade.reader();
    let found = match MessageId::parse(id) {
        Some(id) => reader.find_all_incoming(&id)?,
        None => Vec::new(),
    };
    let first = found.first().copied();
    let mut offered = Vec::new();
    for seq in found {
        if reader.offers(name, seq)? > 0 {
            offered.push(seq);
        }
    }
    if offered.is_empty() {
        offered.extend(first);
    }
    if offered.is_empty() {
        return Err(ApiError::new(ErrorCode::NotFound, format!("no incoming message has the id {}", id.escape_debug())));
    }
    Ok(offered)
}
