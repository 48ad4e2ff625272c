//! Invites to the caller's channels.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use toq_api::relay::{InviteCreated, InviteToken, InviteView, Invites, InvitesQuery, NewInvite, RelayCode, RelayErrorBody};
use toq_protocol::time::Timestamp;
use toq_store::relay::accounts::{Invite, InviteSpec, Registered, Tenant};

use super::Office;
use super::body::Body;
use super::channels::name;
use super::error::ApiError;
use super::guard::Caller;
use super::query::Query;
use super::secrets::random;

/// How often an invite can be used at most.
const MAX_USES: u32 = 10_000;

/// How long it can be used at most, in seconds: 30 days.
const MAX_TTL: u64 = 30 * 24 * 3600;

/// What published clients get where they do not say.
const DEFAULT_TTL: u64 = 3600;

/// Makes an invite, or registers one that the caller made.
#[utoipa::path(post, path = "/v1/channels/invites", request_body = NewInvite,
    responses((status = 200, body = InviteCreated), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn create(office: web::Data<Office>, caller: Caller, body: Body<NewInvite>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(make(&office, &caller.tenant, body.0).await?))
}

/// Makes an invite, whoever asked for it.
pub(super) async fn make(office: &Office, tenant: &Tenant, new: NewInvite) -> Result<InviteCreated, ApiError> {
    let channel = name(&new.channel)?;
    let (max_uses, ttl) = (new.max_uses.unwrap_or(1), new.ttl_seconds.unwrap_or(DEFAULT_TTL));
    if !(1..=MAX_USES).contains(&max_uses) {
        return Err(ApiError::bad_request(format!("max_uses is {max_uses}; it is between 1 and {MAX_USES}")));
    }
    if !(1..=MAX_TTL).contains(&ttl) {
        return Err(ApiError::bad_request(format!("ttl_seconds is {ttl}; it is between 1 and {MAX_TTL}")));
    }
    let (token, id, verifier) = match (&new.token_id, &new.secret_hash) {
        (None, None) => {
            let token = InviteToken::mint(&random::<48>()?);
            let (id, verifier) = (InviteToken::read_id(&token.id()), InviteToken::read_verifier(&token.verifier()));
            (Some(token), id, verifier)
        }
        (Some(id), Some(hash)) => (None, InviteToken::read_id(id), InviteToken::read_verifier(hash)),
        _ => return Err(ApiError::bad_request("token_id and secret_hash are given together or not at all")),
    };
    let (Some(id), Some(verifier)) = (id, verifier) else {
        return Err(ApiError::bad_request("token_id is 16 bytes and secret_hash 32 bytes in base64url without padding"));
    };
    let now = office.now();
    let expires_at = now.plus(Duration::from_secs(ttl));
    let most = office.settings.most_invites;
    let registered = tenant.invite(InviteSpec { id, channel, verifier, max_uses, expires_at, most }, now).await?;
    match registered {
        Registered::Usable(row) => Ok(InviteCreated {
            id: Some(InviteToken::id_text(&id)),
            token: token.map(|token| token.text().to_owned()),
            expires_at: Timestamp::from_nanos(row.expires_at).to_string(),
        }),
        Registered::NoChannel => {
            Err(ApiError::not_found("the account has registered no channel of this name").hint("register it with POST /v1/channels"))
        }
        Registered::Taken => Err(ApiError::new(RelayCode::Conflict, "an invite of this token_id exists").hint("make it of random bytes")),
        Registered::Full => Err(ApiError::new(RelayCode::QuotaExceeded, "the channel has as many invites as it may").hint("revoke some")),
    }
}

/// Lists the invites to a channel that have not ended.
#[utoipa::path(get, path = "/v1/channels/invites", params(InvitesQuery),
    responses((status = 200, body = Invites), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn list(office: web::Data<Office>, caller: Caller, query: Query<InvitesQuery>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(of(&office, &caller.tenant, &query.0.channel)?))
}

/// The invites to a channel, whoever asked.
pub(super) fn of(office: &Office, tenant: &Tenant, channel: &str) -> Result<Invites, ApiError> {
    let channel = name(channel)?;
    if tenant.channel(&channel)?.is_none() {
        return Err(ApiError::not_found("the account has registered no channel of this name"));
    }
    Ok(Invites { invites: tenant.invites(&channel, office.now())?.into_iter().map(view).collect() })
}

fn view(invite: Invite) -> InviteView {
    InviteView {
        id: InviteToken::id_text(&invite.id),
        channel: invite.row.channel,
        uses: invite.row.uses,
        max_uses: invite.row.max_uses,
        created_at: Timestamp::from_nanos(invite.row.created_at).to_string(),
        expires_at: Timestamp::from_nanos(invite.row.expires_at).to_string(),
    }
}

/// Revokes an invite. Requests that were made with it stay.
#[utoipa::path(delete, path = "/v1/channels/invites/{id}", params(("id" = String, Path, description = "The invite's id")),
    responses((status = 204, description = "Revoked"), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn revoke(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    revoke_of(&caller.tenant, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Revokes an invite, whoever asked.
pub(super) async fn revoke_of(tenant: &Tenant, id: &str) -> Result<(), ApiError> {
    let revoked = match InviteToken::read_id(id) {
        Some(id) => tenant.revoke_invite(id).await?,
        None => false,
    };
    if revoked { Ok(()) } else { Err(ApiError::not_found("the account has no invite of this id")) }
}
