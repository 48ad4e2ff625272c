//! Approvals and rules: what the owner decides about peers.

use actix_web::{HttpResponse, web};
use toq_actors::workspace::Rule as RuleCommand;
use toq_api::{
    Approval, ApprovalDecision, ApprovalKind, ApprovalsResponse, Decision, ErrorBody, ErrorCode, PermissionsResponse, Rule, RuleBody,
    RuleKind,
};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::lookalike::Known;
use toq_protocol::policy::{Pattern, Ruling, Subject};
use toq_protocol::time::Timestamp;
use toq_store::record::{ApprovalRow, Proof};

use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;
use crate::history::aside;

fn subject(body: &RuleBody) -> Result<Subject, ApiError> {
    if let Some(from) = body.from.as_deref().filter(|from| !from.is_empty()) {
        return Ok(Subject::Address(Pattern::new(from)));
    }
    let key = body.key.as_deref().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| ApiError::new(ErrorCode::InvalidRequest, "Specify 'key' or 'from'"))?;
    let invalid = |error| ApiError::new(ErrorCode::InvalidRequest, format!("Invalid public key: {error}"));
    PeerKey::parse(key).map(Subject::Key).map_err(invalid)
}

async fn rule(facade: &Facade, command: RuleCommand) -> Result<HttpResponse, ApiError> {
    facade.ask(command).await??;
    Ok(HttpResponse::Ok().finish())
}

/// Blocks a key or an address pattern; connected peers that it covers are sent away.
#[utoipa::path(post, path = "/v1/block", request_body = RuleBody, responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn block(facade: web::Data<Facade>, body: Body<RuleBody>) -> Result<HttpResponse, ApiError> {
    rule(&facade, RuleCommand::Add(subject(&body.0)?, Ruling::Block)).await
}

/// Takes a block back.
#[utoipa::path(delete, path = "/v1/block", request_body = RuleBody, responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn unblock(facade: web::Data<Facade>, body: Body<RuleBody>) -> Result<HttpResponse, ApiError> {
    rule(&facade, RuleCommand::Remove(subject(&body.0)?, Ruling::Block)).await
}

/// Approves a key or an address pattern. A pattern admits an agent only where its address is proven.
#[utoipa::path(post, path = "/v1/approve", request_body = RuleBody, responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn approve(facade: web::Data<Facade>, body: Body<RuleBody>) -> Result<HttpResponse, ApiError> {
    let subject = subject(&body.0)?;
    if matches!(&subject, Subject::Address(pattern) if pattern.is_everything()) && !body.0.i_understand {
        let message = "this pattern covers every agent whose address is proven";
        return Err(
            ApiError::new(ErrorCode::InvalidRequest, message).hint("if that is meant, say so: `--i-understand`, or \"i_understand\": true")
        );
    }
    rule(&facade, RuleCommand::Add(subject, Ruling::Approve)).await
}

/// Takes an approval back.
#[utoipa::path(post, path = "/v1/revoke", request_body = RuleBody, responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn revoke(facade: web::Data<Facade>, body: Body<RuleBody>) -> Result<HttpResponse, ApiError> {
    rule(&facade, RuleCommand::Remove(subject(&body.0)?, Ruling::Approve)).await
}

/// Lists the rules.
#[utoipa::path(get, path = "/v1/permissions", responses((status = 200, body = PermissionsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn permissions(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let mut response = PermissionsResponse { approved: Vec::new(), blocked: Vec::new() };
    for (subject, ruling) in facade.reader().rules()? {
        let kind = match subject {
            Subject::Key(_) => RuleKind::Key,
            Subject::Address(_) => RuleKind::Address,
        };
        let shown = Rule { kind, value: subject.to_string() };
        match ruling {
            Ruling::Approve => response.approved.push(shown),
            Ruling::Block => response.blocked.push(shown),
        }
    }
    Ok(HttpResponse::Ok().json(response))
}

/// Lists who waits for a decision.
#[utoipa::path(get, path = "/v1/approvals", responses((status = 200, body = ApprovalsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn approvals(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let reading = aside(facade.reader().clone(), |reader| {
        let mut open = reader.approvals()?;
        open.sort_by_key(|(_, row)| row.first_asked());
        let known: Vec<Address> = reader.peers()?.into_iter().filter_map(|(_, row)| Address::parse(&row.address).ok()).collect();
        let known = Known::new(&known);
        Ok(open.into_iter().map(|(key, row)| shown(&key, row, &known)).collect())
    });
    Ok(HttpResponse::Ok().json(ApprovalsResponse { approvals: reading.await? }))
}

fn shown(key: &PeerKey, row: ApprovalRow, known: &Known) -> Approval {
    let previous = row.previous();
    let claimed = Address::parse(&row.address);
    Approval {
        id: key.to_string(),
        public_key: key.to_string(),
        requested_at: Timestamp::from_nanos(row.requested_at).to_string(),
        kind: if previous.is_some() { ApprovalKind::KeyChanged } else { ApprovalKind::Unknown },
        proof: Proof::read(row.proof).as_str().to_owned(),
        requests: row.requests,
        words: key.words(),
        fingerprint: key.fingerprint(),
        previous_key: previous.map(|key| key.to_string()),
        previous_words: previous.map(|key| key.words()),
        previous_fingerprint: previous.map(|key| key.fingerprint()),
        warning: claimed.as_ref().ok().and_then(|address| known.doubt(address)).map(|doubt| doubt.to_string()),
        address: claimed.map_or(row.address, |address| address.wire()),
    }
}

fn approval_key(id: &str) -> Result<PeerKey, ApiError> {
    PeerKey::parse(id).map_err(|_| ApiError::new(ErrorCode::NotFound, "Invalid approval ID (must be an encoded public key)"))
}

/// Decides about a peer.
#[utoipa::path(post, path = "/v1/approvals/{id}", params(("id" = String, Path, description = "The peer's public key")), request_body = ApprovalDecision,
    responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn decide(
    facade: web::Data<Facade>,
    id: web::Path<String>,
    body: Body<ApprovalDecision>,
) -> Result<HttpResponse, ApiError> {
    let key = approval_key(&id)?;
    let command = match body.0.decision {
        Decision::Approve => RuleCommand::Add(Subject::Key(key), Ruling::Approve),
        Decision::Deny => RuleCommand::Deny(key),
    };
    rule(&facade, command).await
}

/// Takes a peer's approval back.
#[utoipa::path(post, path = "/v1/approvals/{id}/revoke", params(("id" = String, Path, description = "The peer's public key")),
    responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn revoke_approval(facade: web::Data<Facade>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    rule(&facade, RuleCommand::Remove(Subject::Key(approval_key(&id)?), Ruling::Approve)).await
}

/// Blocks a peer by the key in the path, as older clients do.
#[utoipa::path(post, path = "/v1/peers/{key}/block", params(("key" = String, Path)), responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn block_peer(facade: web::Data<Facade>, key: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let body = RuleBody { key: Some(key.into_inner()), ..RuleBody::default() };
    rule(&facade, RuleCommand::Add(subject(&body)?, Ruling::Block)).await
}

/// Takes such a block back.
#[utoipa::path(delete, path = "/v1/peers/{key}/block", params(("key" = String, Path)), responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn unblock_peer(facade: web::Data<Facade>, key: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let body = RuleBody { key: Some(key.into_inner()), ..RuleBody::default() };
    rule(&facade, RuleCommand::Remove(subject(&body)?, Ruling::Block)).await
}
