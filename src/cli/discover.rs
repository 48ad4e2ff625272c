//! Lists the agents that a domain announces, or that are announced on the local network.

use serde_json::json;
use toq_api::{DiscoverResponse, DiscoveredAgent};
use toq_net::resolve::{Dns, LookupError, Resolver as _, Settings};
use toq_protocol::address::Address;
use toq_protocol::dns::{self, Announced};

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;
use crate::names;

/// Lists the agents that a domain announces in DNS, or those of the local network
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Discover {
    /// The domain, such as example.com
    domain: Option<String>,
    /// Those that are announced on the local network; what is announced there proves nothing
    #[arg(long)]
    local: bool,
}

impl Discover {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let Some(asked) = self.domain else { return neighbours(desk).await };
        let shown = sanitize::name(&asked);
        let domain = dns::query_name(&asked).and(dns::name(&asked)).ok_or_else(|| {
            Failure::error(format!("{shown} is not a domain that DNS could know")).hint("write a name such as example.com")
        })?;
        let answer = match resolver(desk)?.agents(&domain).await {
            Ok(answer) => answer,
            Err(LookupError::Unsigned(_, answer)) => *answer,
            Err(error) => return Err(Failure::error(sanitize::text(&error.to_string()))),
        };
        let agents = answer.agents();
        desk.output.answer(
            || {
                let listed: Vec<_> = agents.iter().map(|agent| json!({
                    "name": agent.agent.as_str(), "address": address(&domain, agent), "port": agent.port, "public_key": agent.key.bare()
                })).collect();
                json!({"domain": domain, "agents": listed})
            },
            || words(&domain, &agents),
        )
    }
}

/// Asks the daemon, which has its place among its neighbours.
async fn neighbours(desk: &Desk) -> Result<(), Failure> {
    let client = desk.client()?;
    let found: DiscoverResponse = client.get(&["v1", "discover", "local"], &[]).await?;
    if found.mdns_enabled == Some(false) {
        let is_set = desk.loaded(&[]).is_ok_and(|loaded| loaded.config.mdns_enabled);
        let setting = if is_set { "" } else { "`toq config set mdns_enabled true`, then " };
        let failure = Failure::error("this daemon neither looks for agents on the local network nor is announced there");
        return Err(failure.hint(format!("Run {setting}`toq down` and `toq up`")));
    }
    let parsed = |agent: &DiscoveredAgent| Some((Address::parse(&agent.address).ok()?, agent.public_key.clone()));
    let agents: Vec<(Address, String)> = found.agents.iter().filter_map(parsed).collect();
    desk.output.answer(
        || {
            let listed: Vec<_> = agents
                .iter()
                .map(|(address, key)| {
                    json!({
                        "name": address.agent().as_str(), "address": address.wire(), "port": address.port(), "public_key": key
                    })
                })
                .collect();
            json!({"local": true, "agents": listed})
        },
        || neighbours_in_words(&agents),
    )
}

fn neighbours_in_words(agents: &[(Address, String)]) -> String {
    if agents.is_empty() {
        return "No agents found on the local network".to_owned();
    }
    let mut text = "Agents on the local network, as they say themselves:".to_owned();
    for (address, key) in agents {
        text.push_str(&format!("\n  {} {} port {} ed25519:{}", address.agent(), address.wire(), address.port(), sanitize::name(key)));
    }
    text
}

/// The workspace says how names are asked; where there is none, the system is asked.
fn resolver(desk: &Desk) -> Result<Dns, Failure> {
    match desk.dir() {
        Ok(_) => Ok(names::resolver(&desk.loaded(&[])?.config.dns)),
        Err(_) => Ok(Dns::new(Settings::default())),
    }
}

fn address(domain: &str, found: &Announced) -> String {
    Address::new(domain, found.port, found.agent.clone()).wire()
}

fn words(domain: &str, agents: &[Announced]) -> String {
    if agents.is_empty() {
        return format!("No agents found at {domain}");
    }
    let mut text = format!("Agents at {domain}:");
    for found in agents {
        text.push_str(&format!("\n  {} {} port {}", found.agent, address(domain, found), found.port));
    }
    text
}
