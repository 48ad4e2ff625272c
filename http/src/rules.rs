//! Approvals and rules: what the owner decides about peers.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use toq_actors::workspace::Rule as RuleCommand;
use toq_api::{ApprovalDecision, ApprovalsResponse, Decision, ErrorBody, ErrorCode, PermissionsResponse, RuleBody};
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{PATTERN_FORM, Pattern, Ruling, Subject};

use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;
use crate::history::aside;
use crate::listing;

/// The command that a body asks for who wants a rule.
///
/// # Errors
/// [`ApiError`] where it says nobody, or everybody without meaning it.
pub fn adding(body: &RuleBody, ruling: Ruling) -> Result<RuleCommand, ApiError> {
    let everybody = match ruling {
        Ruling::Approve => "this pattern covers every agent whose address is proven",
        Ruling::Block => "this pattern shuts everybody out, also whom you approved",
    };
    Ok(RuleCommand::Add(new_subject(body, everybody)?, ruling))
}

/// The command that a body asks for who wants a rule away, whatever it covers.
///
/// # Errors
/// [`ApiError`] where it says nobody.
pub fn removing(body: &RuleBody, ruling: Ruling) -> Result<RuleCommand, ApiError> {
    Ok(RuleCommand::Remove(subject(body)?, ruling))
}

/// The command that an answer to a question is.
///
/// # Errors
/// [`ApiError`] where the id is no key.
pub fn deciding(id: &str, decision: Decision) -> Result<RuleCommand, ApiError> {
    Ok(decided(approval_key(id)?, decision))
}

fn decided(key: PeerKey, decision: Decision) -> RuleCommand {
    match decision {
        Decision::Approve => RuleCommand::Add(Subject::Key(key), Ruling::Approve),
        Decision::Deny => RuleCommand::Deny(key),
    }
}

/// What a new rule is about: a pattern covers somebody, and everybody only where that is meant.
fn new_subject(body: &RuleBody, everybody: &str) -> Result<Subject, ApiError> {
    let subject = subject(body)?;
    let Subject::Address(pattern) = &subject else { return Ok(subject) };
    if let Err(error) = Pattern::parse(pattern.as_str()) {
        return Err(ApiError::new(ErrorCode::InvalidRequest, error.to_string()).hint(PATTERN_FORM));
    }
    if pattern.is_everybody() && !body.i_understand {
        return Err(ApiError::new(ErrorCode::InvalidRequest, everybody)
            .hint("if that is meant, say so: `--i-understand`, or \"i_understand\": true"));
    }
    Ok(subject)
}

/// What a rule is about that may be there, whatever it covers.
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
    rule(&facade, adding(&body.0, Ruling::Block)?).await
}

/// Takes a block back.
#[utoipa::path(delete, path = "/v1/block", request_body = RuleBody, responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn unblock(facade: web::Data<Facade>, body: Body<RuleBody>) -> Result<HttpResponse, ApiError> {
    rule(&facade, removing(&body.0, Ruling::Block)?).await
}

/// Approves a key or an address pattern. A pattern admits an agent only where its address is proven.
#[utoipa::path(post, path = "/v1/approve", request_body = RuleBody, responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn approve(facade: web::Data<Facade>, body: Body<RuleBody>) -> Result<HttpResponse, ApiError> {
    rule(&facade, adding(&body.0, Ruling::Approve)?).await
}

/// Takes an approval back.
#[utoipa::path(post, path = "/v1/revoke", request_body = RuleBody, responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn revoke(facade: web::Data<Facade>, body: Body<RuleBody>) -> Result<HttpResponse, ApiError> {
    rule(&facade, removing(&body.0, Ruling::Approve)?).await
}

/// Lists the rules.
#[utoipa::path(get, path = "/v1/permissions", responses((status = 200, body = PermissionsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn permissions(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let reading = aside(facade.reader().clone(), listing::permissions).await?;
    Ok(HttpResponse::Ok().json(reading))
}

/// Lists who waits for a decision.
#[utoipa::path(get, path = "/v1/approvals", responses((status = 200, body = ApprovalsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn approvals(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let reading = aside(facade.reader().clone(), listing::approvals).await?;
    Ok(HttpResponse::Ok().json(reading))
}

fn approval_key(id: &str) -> Result<PeerKey, ApiError> {
    PeerKey::parse(id).map_err(|_| ApiError::new(ErrorCode::NotFound, "Invalid approval ID (must be an encoded public key)"))
}

/// An [`ApprovalDecision`] as it comes: with another word the body has the right shape, and the answer is a 400 as it is published.
#[derive(Deserialize)]
pub(crate) struct Answered {
    decision: String,
}

/// Decides about a peer.
#[utoipa::path(post, path = "/v1/approvals/{id}", params(("id" = String, Path, description = "The peer's public key")), request_body = ApprovalDecision,
    responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn decide(facade: web::Data<Facade>, id: web::Path<String>, body: Body<Answered>) -> Result<HttpResponse, ApiError> {
    let decision = Decision::parse(&body.0.decision).ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidRequest, format!("`decision` is \"approve\" or \"deny\", not {:?}", body.0.decision))
            .hint("deny forgets the question; POST /v1/block keeps the agent out")
    });
    // Whom it is about is looked at first, as published daemons do.
    let key = approval_key(&id)?;
    rule(&facade, decided(key, decision?)).await
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
    rule(&facade, adding(&body, Ruling::Block)?).await
}

/// Takes such a block back.
#[utoipa::path(delete, path = "/v1/peers/{key}/block", params(("key" = String, Path)), responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn unblock_peer(facade: web::Data<Facade>, key: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let body = RuleBody { key: Some(key.into_inner()), ..RuleBody::default() };
    rule(&facade, removing(&body, Ruling::Block)?).await
}
