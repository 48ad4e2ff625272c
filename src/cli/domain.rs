//! What this agent's domain should say of it, and what it does say.

use toq_config::WorkspaceConfig;
use toq_net::resolve::{LookupError, Resolver as _};
use toq_protocol::PeerKey;
use toq_protocol::address::{AgentName, DEFAULT_PORT};
use toq_protocol::dns::{Record, query_name};

use crate::names;

/// The TXT record that an agent at a domain should have.
pub struct Wanted {
    /// The name of the record, fully qualified.
    pub name: String,
    /// Its text.
    pub text: String,
    domain: String,
    agent: AgentName,
    key: PeerKey,
    port: u16,
}

/// What the domain says.
pub enum Said {
    /// What it should.
    Right,
    /// Something that keeps peers away, and what.
    Wrong(String),
    /// Nothing, or it could not be asked.
    Unclear(String),
}

impl Wanted {
    /// The record for an agent that listens at this port. `None` where its host is no domain or its key no key.
    pub fn of(config: &WorkspaceConfig, key: &str, port: u16) -> Option<Self> {
        let address = config.address(if port == 0 { DEFAULT_PORT } else { port });
        let name = query_name(address.host())?;
        let key = PeerKey::parse(key).ok()?;
        let text = Record::announcing(address.agent(), &key, address.port()).to_string();
        Some(Self { name, text, domain: address.host().to_owned(), agent: address.agent().clone(), key, port: address.port() })
    }

    /// Asks the domain.
    pub async fn look(&self, config: &WorkspaceConfig) -> Said {
        let publish = format!("publish this TXT record at {}: {}", self.name, self.text);
        let found = match names::resolver(&config.dns).agents(&self.domain).await {
            Ok(answer) => answer.find(&self.agent).map_err(LookupError::from),
            Err(LookupError::Unsigned(_, answer)) => answer.find(&self.agent).map_err(LookupError::from),
            Err(error) => Err(error),
        };
        match found {
            Ok(Some(found)) if found.key != self.key => Said::Wrong(format!("DNS names another key for {}; {publish}", self.agent)),
            Ok(Some(found)) if found.port != self.port => {
                Said::Wrong(format!("DNS names port {} for {}, which is reached at {}; {publish}", found.port, self.agent, self.port))
            }
            Ok(Some(_)) => Said::Right,
            // Without a record peers take the usual port, and cannot verify the key.
            Ok(None) if self.port == DEFAULT_PORT => Said::Unclear(format!("DNS has no record for {}; {publish}", self.agent)),
            Ok(None) => Said::Wrong(format!("DNS has no record for {}, so peers try port {DEFAULT_PORT}; {publish}", self.agent)),
            Err(LookupError::Answer(error)) => Said::Wrong(format!("{error}; {publish}, and no other for {}", self.agent)),
            Err(error) => Said::Unclear(format!("{error}; {publish}")),
        }
    }
}
