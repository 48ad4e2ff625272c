//! Who may call at all.
//!
//! What an attacker would try: a web page that calls the server of the machine it is shown on (nothing that a browser marks as
//! its own is answered), guessing keys (failures are counted by source, and a good key works nevertheless), a key that was
//! revoked or a token of it, and asking so often that others wait.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use toq_api::relay::RelayCode;
use toq_store::relay::accounts::{AccountId, Id, Tenant};
use uuid::Uuid;

use super::Office;
use super::error::ApiError;
use super::pace::source;
use super::secrets::sha256;

/// The longest credential that is looked at, in bytes.
const MAX_CREDENTIAL: usize = 8 * 1024;

/// Headers that only a proxy writes.
const PROXIES: [&str; 5] = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account's own view.
    pub(crate) tenant: Tenant,
    /// The key, or the key that the token was made with.
    pub(crate) key: Option<Id>,
    /// Where from.
    pub(crate) source: IpAddr,
    /// What was shown.
    shown: Shown,
}

/// What a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Key,
    Token,
}

/// Who calls with a key. A token is for the data plane and ends; it must not make what outlives it.
#[derive(Clone, Debug)]
pub(crate) struct KeyHolder(pub(crate) Caller);

impl FromRequest for KeyHolder {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        ready(caller.and_then(|caller| match caller.shown {
            Shown::Key => Ok(Self(caller)),
            Shown::Token => {
                Err(ApiError::new(RelayCode::Forbidden, "this takes an API key, not a token").hint("call it with the key (sk_live_…)"))
            }
        }))
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        ready(caller.ok_or_else(|| ApiError::unauthorized("missing authorization header")))
    }
}

/// Where a request to open an account comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The address.
    pub(crate) source: IpAddr,
    /// Whether it is a program of this machine that came through no proxy.
    pub(crate) is_local: bool,
}

impl FromRequest for Origin {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let address = peer(request.peer_addr().map(|peer| peer.ip()));
        let is_direct = PROXIES.iter().all(|name| !request.headers().contains_key(*name));
        ready(Ok(Self { source: source(address), is_local: address.to_canonical().is_loopback() && is_direct }))
    }
}

/// The address of the caller; without one (which does not happen over TCP) everybody is the same stranger.
fn peer(address: Option<IpAddr>) -> IpAddr {
    address.unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

/// Lets a request through, with its [`Caller`], or answers it.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let office = request.app_data::<web::Data<Office>>().cloned();
    let office = office.ok_or_else(|| ApiError::new(RelayCode::InternalError, "the server is not composed"))?;
    refuse_browsers(&request)?;
    let from = source(peer(request.peer_addr().map(|peer| peer.ip())));
    let often = |wait| ApiError::too_often("too many requests from this address", wait);
    office.pace(|paces, now| paces.sources.take(from, now)).map_err(often)?;
    if !is_public(request.method(), request.path()) {
        let caller = authenticate(&office, &request, from).await?;
        let often = |wait| ApiError::too_often("too many requests of this account", wait);
        office.pace(|paces, now| paces.requests.take(caller.tenant.account(), now)).map_err(often)?;
        request.extensions_mut().insert(caller);
    }
    next.call(request).await
}

/// What needs no credential.
fn is_public(method: &Method, path: &str) -> bool {
    matches!((method.as_str(), path), ("GET" | "HEAD", "/health" | "/openapi.json") | ("POST", "/v1/accounts"))
}

/// Refuses what comes from a web page: no page has business here, and one could name this machine (DNS rebinding).
fn refuse_browsers(request: &ServiceRequest) -> Result<(), ApiError> {
    let headers = request.headers();
    let is_typed = headers.get("sec-fetch-site").is_none_or(|site| site == "none");
    if is_typed && !headers.contains_key("origin") {
        return Ok(());
    }
    Err(ApiError::new(RelayCode::Forbidden, "web pages may not call this server").hint("call it from a program"))
}

async fn authenticate(office: &Office, request: &ServiceRequest, source: IpAddr) -> Result<Caller, ApiError> {
    let refused = |why: &str| {
        let often = |wait| ApiError::too_often("too many requests with a wrong credential from this address", wait);
        office.pace(|paces, now| paces.strangers.take(source, now)).map_err(often)?;
        Err(ApiError::unauthorized(why))
    };
    let mut headers = request.headers().get_all("authorization");
    let (Some(header), None) = (headers.next(), headers.next()) else { return refused("missing authorization header") };
    let credential = header.to_str().ok().filter(|text| text.len() <= MAX_CREDENTIAL).and_then(bearer);
    let Some(credential) = credential else { return refused("the authorization header is not \"Bearer KEY\"") };
    let shown = if credential.starts_with("sk_") { Shown::Key } else { Shown::Token };
    let known = if shown == Shown::Key {
        office.accounts.present(sha256(credential.as_bytes()), office.now()).await?.map(|known| (known.account, Some(known.key)))
    } else {
        by_token(office, credential)?
    };
    match known {
        Some((account, key)) => Ok(Caller { tenant: office.accounts.of(account), key, source, shown }),
        None if shown == Shown::Key => refused("invalid or revoked api key"),
        None => refused("invalid, expired or revoked token"),
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, credential) = header.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

fn by_token(office: &Office, token: &str) -> Result<Option<(AccountId, Option<Id>)>, ApiError> {
    let Ok(claims) = office.check.claims(token, office.now().as_secs()) else { return Ok(None) };
    let id = |text: &str| Uuid::parse_str(text).ok().map(|id| *id.as_bytes());
    let (Some(account), Some(key)) = (id(&claims.sub).map(AccountId), claims.key.as_deref().and_then(id)) else { return Ok(None) };
    // A token is as good as its key, and that of an account that is here.
    let is_good = office.accounts.works(account, key)? && office.accounts.account(account)?.is_some();
    Ok(is_good.then_some((account, Some(key))))
}

impl Office {
    /// Whether the credential is still good, after the caller has waited.
    pub(crate) fn is_still_known(&self, caller: &Caller) -> bool {
        let key = caller.key.map(|key| Uuid::from_bytes(key).to_string());
        !self.revoked.holds(key.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_read_from_a_bearer_header_alone() {
        assert_eq!(bearer("Bearer sk_live_x"), Some("sk_live_x"));
        assert_eq!(bearer("bearer  eyJ"), Some("eyJ"));
        for header in ["", "Bearer", "Bearer ", "Basic sk_live_x", "sk_live_x"] {
            assert_eq!(bearer(header), None, "{header}");
        }
    }

    #[test]
    fn only_what_needs_no_account_is_public() {
        assert!(is_public(&Method::GET, "/health") && is_public(&Method::POST, "/v1/accounts"));
        for (method, path) in
            [(Method::POST, "/v1/tokens"), (Method::GET, "/v1/accounts"), (Method::POST, "/v1/accounts/"), (Method::POST, "/health")]
        {
            assert!(!is_public(&method, path), "{path}");
        }
    }
}
