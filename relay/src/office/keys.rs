//! Keys of the caller's account, and the tokens they are exchanged for.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use toq_api::relay::{KeyCreated, KeyView, Keys, MAX_TEXT, NewKey, RelayCode, RelayErrorBody, Token};
use toq_protocol::time::Timestamp;
use toq_store::relay::accounts::{AccountId, Id, Key, Tenant};
use uuid::Uuid;

use super::Office;
use super::accounts::from_tier;
use super::body::Body;
use super::error::ApiError;
use super::finish::finish;
use super::guard::KeyHolder;
use super::secrets::new_key;
use crate::token::{Claims, ISSUER};

/// How long a revoked key is remembered by name, for those who came in with it and are told to look again. Whoever comes later is
/// judged by the key's row, however long a token lives.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Makes another key.
#[utoipa::path(post, path = "/v1/keys", request_body = NewKey,
    responses((status = 200, body = KeyCreated), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn create(office: web::Data<Office>, KeyHolder(caller): KeyHolder, body: Body<NewKey>) -> Result<HttpResponse, ApiError> {
    let name = body.0.name.unwrap_or_else(|| "default".to_owned());
    Ok(HttpResponse::Ok().json(make(&office, &caller.tenant, name).await?))
}

/// Makes a key, whoever asked for it.
pub(super) async fn make(office: &Office, tenant: &Tenant, name: String) -> Result<KeyCreated, ApiError> {
    if name.len() > MAX_TEXT {
        return Err(ApiError::bad_request(format!("the name is longer than {MAX_TEXT} bytes")));
    }
    let (key, spec) = new_key(name.clone())?;
    let created = KeyCreated { id: Uuid::from_bytes(spec.id).to_string(), key_prefix: spec.prefix.clone(), name, key };
    if tenant.add_key(spec, office.settings.most_keys, office.now()).await? {
        return Ok(created);
    }
    Err(ApiError::new(RelayCode::QuotaExceeded, "the account has as many keys as it may").hint("revoke one that is not used"))
}

/// Lists the keys that work.
#[utoipa::path(get, path = "/v1/keys", responses((status = 200, body = Keys), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn list(KeyHolder(caller): KeyHolder) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(Keys { keys: caller.tenant.keys()?.into_iter().map(view).collect() }))
}

pub(super) fn view(key: Key) -> KeyView {
    KeyView {
        id: Uuid::from_bytes(key.id).to_string(),
        key_prefix: key.row.prefix,
        name: key.row.name,
        last_used_at: key.row.last_used_at.map(|at| Timestamp::from_nanos(at).to_string()),
        created_at: Timestamp::from_nanos(key.row.created_at).to_string(),
    }
}

/// Revokes a key. It and the tokens that were made with it are refused at once.
#[utoipa::path(delete, path = "/v1/keys/{id}", params(("id" = String, Path, description = "The key's id")),
    responses((status = 204, description = "Revoked"), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn revoke(
    office: web::Data<Office>,
    KeyHolder(caller): KeyHolder,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    finish(async move { revoke_of(&office, &caller.tenant, &id).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Revokes a key, whoever asked for it.
pub(super) async fn revoke_of(office: &Office, tenant: &Tenant, id: &str) -> Result<(), ApiError> {
    let not_found = || ApiError::not_found("the account has no key of this id that works");
    let id = *Uuid::parse_str(id).map_err(|_| not_found())?.as_bytes();
    if !office.accounts.works(tenant.account(), id)? && !tenant.has_revoked(id)? {
        return Err(not_found());
    }
    let now = office.now();
    let until = now.plus(REMEMBERED);
    // Who called may go away while this is written, which does not take it back.
    let mut news = News { office, account: tenant.account(), key: id, until, is_due: true };
    match tenant.revoke_key(id, now, until).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_found()),
        Err(error) => {
            news.is_due = false;
            Err(error.into())
        }
    }
}

/// That a key was revoked; told when this is dropped, however that comes.
struct News<'a> {
    office: &'a Office,
    account: AccountId,
    key: Id,
    until: Timestamp,
    is_due: bool,
}

impl Drop for News<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.office.revoked.add(self.key, self.until);
            // Who waits with this key looks again, and is refused.
            self.office.bells.ring_of(self.account);
        }
    }
}

/// Exchanges the key for what the relay is shown.
#[utoipa::path(post, path = "/v1/tokens", responses((status = 200, body = Token), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn token(office: web::Data<Office>, KeyHolder(caller): KeyHolder) -> Result<HttpResponse, ApiError> {
    let account = caller.tenant.account();
    let row = office.accounts.account(account)?.ok_or_else(|| ApiError::not_found("the account does not exist"))?;
    let now = office.now();
    caller.tenant.exchanged(now).await?;
    let exp = now.plus(office.settings.token_lifetime).as_secs();
    let token = office.mint.token(&Claims {
        sub: Uuid::from_bytes(account.0).to_string(),
        iss: ISSUER.to_owned(),
        plan: from_tier(row.plan).as_str().to_owned(),
        iat: now.as_secs(),
        exp,
        key: caller.key.map(|key| Uuid::from_bytes(key).to_string()),
    });
    Ok(HttpResponse::Ok().json(Token { token, expires_at: Some(exp) }))
}
