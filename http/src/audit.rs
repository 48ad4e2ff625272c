//! What was decided: listed, and checked. The functions on a reader also serve commands where no daemon runs.

use actix_web::{HttpResponse, web};
use toq_actors::workspace::Record;
use toq_api::{AuditFault, AuditQuery, AuditRecord, AuditResponse, AuditVerified, AuditVerifyQuery, ErrorBody, ErrorCode};
use toq_protocol::audit::Head;
use toq_protocol::time::Timestamp;
use toq_store::{Reader, StoreError};

use crate::error::ApiError;
use crate::facade::Facade;
use crate::query::Query;

/// How many records are listed where the caller does not say, and at most.
const USUAL: u64 = 100;
const MOST: u64 = 1000;

/// Lists decisions, oldest first: those after a place, or the newest.
///
/// # Errors
/// [`StoreError`] where a record cannot be read.
pub fn list(reader: &Reader, query: &AuditQuery) -> Result<AuditResponse, StoreError> {
    let limit = query.limit.unwrap_or(USUAL).min(MOST);
    let after = match query.after {
        Some(after) => after,
        None => reader.last_audited()?.saturating_sub(limit),
    };
    let record = |(head, row): (Head, toq_store::audit::AuditRow)| AuditRecord {
        place: head.place,
        timestamp: Timestamp::from_nanos(row.at).to_string(),
        who: row.who,
        what: row.what,
        subject: row.subject,
        detail: row.detail,
        hash: head.to_string().split_once(':').map(|(_, hash)| hash.to_owned()).unwrap_or_default(),
    };
    let rows = reader.audit(after, usize::try_from(limit).unwrap_or(usize::MAX))?;
    Ok(AuditResponse { records: rows.into_iter().map(record).collect() })
}

/// Checks the whole record.
///
/// # Errors
/// [`StoreError`] where it cannot be read at all.
pub fn verify(reader: &Reader, noted: Option<Head>) -> Result<AuditVerified, StoreError> {
    let found = reader.verify_audit(noted)?;
    let fault = found.fault.map(|fault| AuditFault { place: fault.place(), message: fault.to_string() });
    Ok(AuditVerified { ok: fault.is_none(), records: found.records, head: found.head.to_string(), fault })
}

/// Lists decisions about rules, questions, keys, handlers and settings.
#[utoipa::path(get, path = "/v1/audit", params(AuditQuery), responses((status = 200, body = AuditResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn records(facade: web::Data<Facade>, query: Query<AuditQuery>) -> Result<HttpResponse, ApiError> {
    match list(facade.reader(), &query.0) {
        Ok(answer) => Ok(HttpResponse::Ok().json(answer)),
        Err(StoreError::Record { .. }) => {
            let error = ApiError::new(ErrorCode::InternalError, "a record cannot be read");
            Err(error.hint("GET /v1/audit/verify says which; read those before it with `after` and `limit`"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that no record was changed, moved or taken out. A fault is an answer, not an error.
#[utoipa::path(get, path = "/v1/audit/verify", params(AuditVerifyQuery), responses((status = 200, body = AuditVerified), (status = "default", body = ErrorBody)))]
pub(crate) async fn check(facade: web::Data<Facade>, query: Query<AuditVerifyQuery>) -> Result<HttpResponse, ApiError> {
    let wrong = |why: &str| ApiError::new(ErrorCode::InvalidRequest, why).hint("it is the `head` of an earlier answer");
    let noted = query.0.head.as_deref().map(str::parse::<Head>).transpose().map_err(wrong)?;
    let reader = facade.reader().clone();
    let checked = web::block(move || verify(&reader, noted)).await;
    let checked = checked.map_err(|_| ApiError::new(ErrorCode::InternalError, "the check was cut short").hint("see `toq logs`"))?;
    Ok(HttpResponse::Ok().json(checked?))
}

/// Records a decision before it is confirmed.
pub(crate) async fn record(
    facade: &Facade,
    what: &'static str,
    subject: impl Into<String>,
    detail: Option<String>,
) -> Result<(), ApiError> {
    Ok(facade.ask(Record { what, subject: subject.into(), detail }).await??)
}
