//! Asking names: which agents a domain announces, and which addresses a host has.
//!
//! [`Resolver`] is what the rest of the program knows; [`Dns`] asks name servers. Tests put their own in its place.
//! What the records mean is decided in [`toq_protocol::dns`]; here they are fetched, with a time limit and a
//! limit on how many are asked for at once, and what was fetched is labelled with how far it can be believed.
//!
//! What an attacker would try: answer in place of the domain's servers (so the operator can demand signatures or
//! the agreement of several resolvers), be slow or silent (so there are limits, and silence proves nothing), and
//! point a name of their own into this machine's network (so a public name must have public addresses).

mod hosts;
mod name_server;
mod route;
mod system;

use std::net::IpAddr;
use std::pin::Pin;

pub use name_server::{Dns, Rigour, Settings};
pub use route::{Pinned, Route, Routes};
use toq_protocol::PeerKey;
use toq_protocol::address::AgentName;
use toq_protocol::dns::reach::PrivateAddress;
use toq_protocol::dns::{Answer, AnswerError, DnsProof};

/// Why a question has no answer that can be acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The answer breaks a limit or contradicts itself.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// Resolvers that must agree do not.
    #[error("the configured DNS resolvers disagree about {0}")]
    Disagreement(String),
    /// Nobody answered in time, or with an error.
    #[error("DNS could not be asked about {name}: {why}")]
    Failed {
        /// What was asked for.
        name: String,
        /// Why, in words.
        why: String,
    },
    /// The host has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The host is an IP address, `localhost` or a name of the local network, about which DNS says nothing.
    #[error("{0} is not a name that DNS knows")]
    NoName(String),
    /// A public name leads into a private network.
    #[error("{0}: {1}; if that is meant, set dns.allow_private = true")]
    Private(String, PrivateAddress),
    /// Nobody could be asked which agents a domain announces, and nothing else says where this one is and which key it has.
    #[error(
        "DNS could not be asked about {name}: {why}; which key and port the agent has is not known, so nobody is dialled for it; if they \
         are known otherwise, write the address with its port"
    )]
    Unasked {
        /// What was asked for.
        name: String,
        /// Why, in words.
        why: String,
    },
    /// Signatures are demanded and the domain has none. Its answer may be used for nothing that must be believed.
    #[error("the DNS records of {0} are not signed (DNSSEC)")]
    Unsigned(String, Box<Answer>),
}

/// The answer to a question, later.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that knows names.
pub trait Resolver: Send + Sync {
    /// The agents that a domain announces; none where it has no records.
    fn agents<'a>(&'a self, domain: &'a str) -> Asked<'a, Result<Answer, LookupError>>;

    /// The addresses to connect to for a host, at least one.
    fn addresses<'a>(&'a self, host: &'a str) -> Asked<'a, Result<Vec<IpAddr>, LookupError>>;

    /// Says whether the domain names this key, and no other, for this agent. Whatever goes wrong is
    /// [`DnsProof::NotVerified`].
    fn prove<'a>(&'a self, domain: &'a str, agent: &'a AgentName, key: &'a PeerKey) -> Asked<'a, DnsProof> {
        Box::pin(async move { judge(domain, agent, key, self.agents(domain).await) })
    }
}

/// What an answer proves about an agent's key.
fn judge(domain: &str, agent: &AgentName, key: &PeerKey, answer: Result<Answer, LookupError>) -> DnsProof {
    let found = answer.and_then(|answer| Ok(answer.find(agent)?));
    match found {
        Ok(Some(announced)) if announced.key == *key => DnsProof::Verified,
        Ok(Some(_)) => DnsProof::NotVerified(format!("DNS names another key for {agent} at {domain}")),
        Ok(None) => DnsProof::NotVerified(format!("DNS has no record for {agent} at {domain}")),
        Err(error) => DnsProof::NotVerified(error.to_string()),
    }
}
