//! Lists the agents that a domain announces.

use serde_json::json;
use toq_net::resolve::{Dns, LookupError, Resolver as _, Settings};
use toq_protocol::address::Address;
use toq_protocol::dns::{self, Announced};

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;
use crate::names;

/// Lists the agents that a domain announces in DNS
#[derive(Debug, clap::Args)]
pub struct Discover {
    /// The domain, such as example.com
    domain: String,
}

impl Discover {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let shown = sanitize::name(&self.domain);
        let domain = dns::query_name(&self.domain).and(dns::name(&self.domain)).ok_or_else(|| {
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
