//! Who can be found: the agents of a domain.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use toq_api::{DiscoverResponse, DiscoveredAgent, ErrorBody};
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
    Ok(HttpResponse::Ok().json(DiscoverResponse { agents: agents.collect() }))
}
