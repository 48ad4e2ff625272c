//! Who can be found: the agents of a domain, and those on the local network.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use toq_api::{DiscoverResponse, DiscoveredAgent, ErrorBody, ErrorCode};
use toq_net::resolve::LookupError;
use toq_protocol::address::Address;
use toq_protocol::dns;

use crate::error::ApiError;
use crate::facade::Facade;
use crate::query::Query;

/// Which domain.
#[derive(Deserialize)]
pub(crate) struct Asked {
    /// The domain, such as `example.com`.
    host: String,
}

/// Lists the agents that a domain announces in DNS. Whatever goes wrong is an empty list, as published clients expect.
#[utoipa::path(get, path = "/v1/discover", params(("host" = String, Query)), responses((status = 200, body = DiscoverResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn discover(facade: web::Data<Facade>, query: Query<Asked>) -> Result<HttpResponse, ApiError> {
    let domain = dns::name(&query.0.host).unwrap_or_default();
    let answer = match facade.home().resolver.agents(&domain).await {
        Ok(answer) => answer,
        Err(LookupError::Unsigned(_, answer)) => *answer,
        Err(error) => {
            tracing::info!(%error, "discovery found nothing");
            return Ok(HttpResponse::Ok().json(DiscoverResponse::default()));
        }
    };
    let agents = answer.agents().into_iter().map(|found| DiscoveredAgent {
        address: Address::new(domain.as_str(), found.port, found.agent).wire(),
        public_key: found.key.bare(),
    });
    Ok(HttpResponse::Ok().json(DiscoverResponse { agents: agents.collect(), mdns_enabled: None }))
}

/// Lists the agents that are announced on the local network; none where `mdns_enabled` is false. What is listed proves nothing.
#[utoipa::path(get, path = "/v1/discover/local", responses((status = 200, body = DiscoverResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn local(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let unavailable =
        |why: String| ApiError::new(ErrorCode::Unavailable, why).hint("look at mdns.interfaces and at `toq logs`, then restart the daemon");
    let Some(neighbours) = &facade.neighbours else {
        return match facade.home().config.mdns_enabled {
            true => Err(unavailable("the local network could not be joined at the start".to_owned())),
            false => Ok(HttpResponse::Ok().json(DiscoverResponse { agents: Vec::new(), mdns_enabled: Some(false) })),
        };
    };
    let found = neighbours.list().await.map_err(|error| unavailable(error.to_string()))?;
    let agents = found.into_iter().map(|found| DiscoveredAgent { address: found.address.wire(), public_key: found.key.bare() });
    Ok(HttpResponse::Ok().json(DiscoverResponse { agents: agents.collect(), mdns_enabled: Some(true) }))
}
