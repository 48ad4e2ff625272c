//! The registry of channels.

use actix_web::{HttpResponse, web};
use toq_api::relay::{ChannelView, Channels, NewChannel, RelayCode, RelayErrorBody};
use toq_channels::ChannelName;
use toq_protocol::time::Timestamp;
use toq_store::relay::accounts::{ChannelRow, Claimed};
use uuid::Uuid;

use super::Office;
use super::body::Body;
use super::error::ApiError;
use super::guard::Caller;

/// Registers a channel, or finds it registered.
#[utoipa::path(post, path = "/v1/channels", request_body = NewChannel,
    responses((status = 200, body = ChannelView), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn register(office: web::Data<Office>, caller: Caller, body: Body<NewChannel>) -> Result<HttpResponse, ApiError> {
    let name = name(&body.0.name)?;
    let id = *Uuid::new_v4().as_bytes();
    let claimed = caller.tenant.claim(name.clone(), id, body.0.unbound_joins, office.settings.most_channels, office.now()).await?;
    match claimed {
        Claimed::Yours(row) => Ok(HttpResponse::Ok().json(view(name, &row))),
        Claimed::Taken => Err(ApiError::new(RelayCode::Conflict, "another account has registered a channel of this name")
            .hint("choose another name, or join the channel by an invite of its owner")),
        Claimed::Full => Err(ApiError::new(RelayCode::QuotaExceeded, "the account has as many channels as it may")),
    }
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
