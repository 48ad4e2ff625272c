//! The registry of channels.

use actix_web::{HttpResponse, web};
use toq_api::relay::{Admitted, AdmittedAccount, ChannelQuery, ChannelView, Channels, NewChannel, RelayCode, RelayErrorBody};
use toq_channels::ChannelName;
use toq_protocol::time::Timestamp;
use toq_store::relay::accounts::{AccountId, ChannelRow, ChannelSpec, Claimed, Tenant};
use uuid::Uuid;

use super::Office;
use super::body::Body;
use super::error::ApiError;
use super::finish::finish;
use super::guard::Caller;
use super::query::Query;

/// Registers a channel, or finds it registered.
#[utoipa::path(post, path = "/v1/channels", request_body = NewChannel,
    responses((status = 200, body = ChannelView), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn register(office: web::Data<Office>, caller: Caller, body: Body<NewChannel>) -> Result<HttpResponse, ApiError> {
    let name = name(&body.0.name)?;
    let id = *Uuid::new_v4().as_bytes();
    let publisher = Some(Uuid::from_bytes(caller.tenant.account().0).to_string());
    let spec = ChannelSpec { name: name.clone(), id, unbound_joins: body.0.unbound_joins, most: office.settings.most_channels, publisher };
    match finish(async move { claim(&office, &caller.tenant, spec).await }).await? {
        Claimed::Yours(row) => Ok(HttpResponse::Ok().json(view(name, &row))),
        Claimed::Taken => Err(ApiError::new(RelayCode::Conflict, "another account has registered a channel of this name, or uses it")
            .hint("choose another name, or join the channel by an invite of its owner")),
        Claimed::Full => Err(ApiError::new(RelayCode::QuotaExceeded, "the account has as many channels as it may")),
    }
}

/// Registers a channel, whoever asked for it. Those who use it are told where it is new.
pub(super) async fn claim(office: &Office, tenant: &Tenant, spec: ChannelSpec) -> Result<Claimed, ApiError> {
    let (id, name) = (spec.id, spec.name.clone());
    let claimed = tenant.claim(spec, office.now()).await?;
    if matches!(&claimed, Claimed::Yours(row) if row.id == id) {
        office.revoked.add_channel(name);
    }
    Ok(claimed)
}

/// Lists the other accounts that were let into a channel of the caller.
#[utoipa::path(get, path = "/v1/channels/admitted", params(ChannelQuery),
    responses((status = 200, body = Admitted), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn admitted(caller: Caller, query: Query<ChannelQuery>) -> Result<HttpResponse, ApiError> {
    let accounts = admitted_to(&caller.tenant, &name(&query.0.channel)?)?;
    Ok(HttpResponse::Ok().json(Admitted { accounts }))
}

/// The same, whoever asked.
pub(super) fn admitted_to(tenant: &Tenant, channel: &str) -> Result<Vec<AdmittedAccount>, ApiError> {
    let found = tenant.admitted(channel)?.ok_or_else(|| ApiError::not_found("the account has registered no channel of this name"))?;
    let view = |(account, since): (AccountId, Timestamp)| AdmittedAccount {
        account: Uuid::from_bytes(account.0).to_string(),
        since: since.to_string(),
    };
    Ok(found.into_iter().map(view).collect())
}

/// Lets an account take part in a channel of the caller no more. Its connections to the channel end at once.
#[utoipa::path(delete, path = "/v1/channels/admitted/{account}",
    params(("account" = String, Path, description = "The account's id"), ChannelQuery),
    responses((status = 204, description = "Shut out"), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn shut_out(
    office: web::Data<Office>,
    caller: Caller,
    account: web::Path<String>,
    query: Query<ChannelQuery>,
) -> Result<HttpResponse, ApiError> {
    let other = Uuid::parse_str(&account).map_err(|_| not_admitted())?;
    let (channel, other) = (name(&query.0.channel)?, AccountId(*other.as_bytes()));
    finish(async move { shut_out_of(&office, &caller.tenant, channel, other).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The same, whoever asked.
pub(super) async fn shut_out_of(office: &Office, tenant: &Tenant, channel: String, other: AccountId) -> Result<(), ApiError> {
    if !tenant.shut_out(channel.clone(), other).await? {
        return Err(not_admitted());
    }
    office.revoked.add_channel(channel);
    Ok(())
}

fn not_admitted() -> ApiError {
    ApiError::not_found("the account was not let into a channel of this name that is yours")
}

/// Lists the account's channels.
#[utoipa::path(get, path = "/v1/channels", responses((status = 200, body = Channels), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn list(caller: Caller) -> Result<HttpResponse, ApiError> {
    let channels = caller.tenant.channels()?.into_iter().map(|channel| view(channel.name, &channel.row)).collect();
    Ok(HttpResponse::Ok().json(Channels { channels }))
}

pub(super) fn view(name: String, row: &ChannelRow) -> ChannelView {
    ChannelView {
        id: Uuid::from_bytes(row.id).to_string(),
        name,
        unbound_joins: row.unbound_joins,
        created_at: Some(Timestamp::from_nanos(row.created_at).to_string()),
    }
}

/// Checks the name of a channel.
pub(super) fn name(text: &str) -> Result<String, ApiError> {
    let name =
        ChannelName::parse(text).map_err(|error| ApiError::bad_request(error.to_string()).hint("it looks like org/namespace/service"))?;
    Ok(name.as_str().to_owned())
}
