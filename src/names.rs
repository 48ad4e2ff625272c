//! How this program asks names: from the configuration to a resolver.

use toq_config::{DnsConfig, DnsRequire};
use toq_net::resolve::{Dns, Rigour, Settings};

/// Makes the resolver that the configuration describes.
pub fn resolver(config: &DnsConfig) -> Dns {
    let rigour = match config.require {
        DnsRequire::Agreement => Rigour::Agreement,
        DnsRequire::Any => Rigour::Any,
        DnsRequire::Dnssec => Rigour::Dnssec,
    };
    Dns::new(Settings { servers: config.resolvers.clone(), rigour, allow_private: config.allow_private, trust_anchor: None })
}
