//! Who was here, who is here, who answers.

use std::collections::HashSet;

use actix_web::{HttpResponse, web};
use toq_actors::workspace::{Connections, ForgetConversations, Ping};
use toq_api::{Connection, ConnectionsResponse, ErrorBody, ErrorCode, PeersResponse, PingRequest, PingResponse};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;

use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;
use crate::listing;
use crate::view;

/// Lists the peers that have been here.
#[utoipa::path(get, path = "/v1/peers", responses((status = 200, body = PeersResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn peers(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let connected: HashSet<_> =
        facade.ask(Connections).await?.into_iter().filter(|view| view.is_incoming).map(|view| view.peer_key).collect();
    Ok(HttpResponse::Ok().json(listing::peers(facade.reader(), &connected)?))
}

/// Has handlers forget what they know of a peer: they are shown nothing that was said with it before. History keeps the messages,
/// and what the peer may spend stays spent.
#[utoipa::path(delete, path = "/v1/peers/{key}/conversations", params(("key" = String, Path, description = "The peer's public key")),
    responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn forget_conversations(facade: web::Data<Facade>, key: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let key = PeerKey::parse(&key).map_err(|error| {
        ApiError::new(ErrorCode::InvalidRequest, format!("Invalid public key: {error}")).hint("GET /v1/peers lists the keys of peers")
    })?;
    facade.ask(ForgetConversations(key)).await??;
    tracing::info!(peer = %key.short(), "handlers were told to forget a peer");
    Ok(HttpResponse::Ok().finish())
}

/// Lists the live connections that peers opened.
#[utoipa::path(get, path = "/v1/connections", responses((status = 200, body = ConnectionsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn connections(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let views = facade.ask(Connections).await?;
    let connections = views.into_iter().filter(|view| view.is_incoming).map(|view| Connection {
        session_id: view.session_id,
        peer_address: view.peer_address,
        peer_public_key: view.peer_key.to_string(),
        connected_at: view.connected_at.to_string(),
        messages_exchanged: view.messages,
    });
    Ok(HttpResponse::Ok().json(ConnectionsResponse { connections: connections.collect() }))
}

/// Asks who answers at an address.
#[utoipa::path(post, path = "/v1/ping", request_body = PingRequest, responses((status = 200, body = PingResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn ping(facade: web::Data<Facade>, body: Body<PingRequest>) -> Result<HttpResponse, ApiError> {
    let target = Address::parse_strict(&body.0.address)
        .map_err(|error| ApiError::new(ErrorCode::InvalidRequest, format!("Invalid toq address: {error}")))?;
    let (address, agent_name) = (target.wire(), target.agent().to_string());
    let response = match facade.ask(Ping(target)).await? {
        Ok(pinged) => PingResponse { address, agent_name, public_key: Some(pinged.key.to_string()), reachable: true, error: None },
        Err(why) => PingResponse { address, agent_name, public_key: None, reachable: false, error: Some(view::undelivered(&why)) },
    };
    Ok(HttpResponse::Ok().json(response))
}
