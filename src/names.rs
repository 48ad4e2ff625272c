//! How this program asks names: from the configuration to a resolver, and to a place among neighbours.

use std::sync::Arc;

use tokio::sync::watch;
use toq_config::{DnsConfig, DnsRequire, WorkspaceConfig};
use toq_net::neighbours::{Announcement, Neighbours};
use toq_net::resolve::{Dns, Rigour, Settings};
use toq_protocol::PeerKey;

/// Makes the resolver that the configuration describes.
pub fn resolver(config: &DnsConfig) -> Dns {
    let rigour = match config.require {
        DnsRequire::Agreement => Rigour::Agreement,
        DnsRequire::Any => Rigour::Any,
        DnsRequire::Dnssec => Rigour::Dnssec,
    };
    Dns::new(Settings { servers: config.resolvers.clone(), rigour, allow_private: config.allow_private, trust_anchor: None })
}

/// Tells neighbours of every key that this agent has from now on.
pub async fn follow(neighbours: Arc<Neighbours>, mut keys: watch::Receiver<PeerKey>) {
    while keys.changed().await.is_ok() {
        let key = *keys.borrow_and_update();
        if let Err(error) = neighbours.announce(key) {
            tracing::error!(%error, "the new key is not announced on the local network");
        }
    }
}

/// Joins the local network, if the configuration says so. Without it the daemon runs all the same: no message depends on it.
pub fn neighbours(config: &WorkspaceConfig, key: PeerKey, port: u16) -> Option<Arc<Neighbours>> {
    if !config.mdns_enabled {
        return None;
    }
    let absent = toq_net::neighbours::absent(&config.mdns.interfaces);
    if !absent.is_empty() {
        tracing::warn!(interfaces = ?absent, "mdns.interfaces names what this machine does not have; nobody is announced or found there until it has");
    }
    let announcement = Announcement { agent: config.agent_name.clone(), key, port, bind: config.bind };
    match Neighbours::join(&announcement, &config.mdns.interfaces) {
        Ok(neighbours) => Some(Arc::new(neighbours)),
        Err(error) => {
            tracing::error!(%error, "this agent is not announced on the local network");
            None
        }
    }
}
