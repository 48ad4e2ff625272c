//! Asking name servers: those of the configuration, or those that the system names.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::{join_all, try_join_all};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver as Asker, TokioResolver, system_conf};
use tokio::sync::Semaphore;
use toq_protocol::PeerKey;
use toq_protocol::address::AgentName;
use toq_protocol::dns::reach::{all_public, is_private_name};
use toq_protocol::dns::{self, Answer, DnsProof, MAX_RECORDS};

use super::hosts::{HostsFile, written};
use super::{Asked, LookupError, Resolver, judge, system};

/// Where the system names its name servers.
const SYSTEM: &str = "/etc/resolv.conf";

/// How long one question may take altogether.
const LIMIT: Duration = Duration::from_secs(3);

/// How long one try at one server may take; there are two within [`LIMIT`].
const TRY: Duration = Duration::from_millis(1400);

/// How many questions that strangers cause may be open. They wait for each other and never for us.
const STRANGERS: usize = 32;

/// How many other questions may be open.
const OWN: usize = 256;

/// A record that was taken back must not be believed for longer than this, whatever its TTL says.
const BELIEVED: Duration = Duration::from_secs(3600);

/// A record that is published now shall be found soon.
const MISSING_FOR: Duration = Duration::from_secs(300);

/// What must be true of an answer before it proves something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rigour {
    /// Every configured resolver that answers must say the same, and at least two must answer.
    Agreement,
    /// Any one answer will do.
    #[default]
    Any,
    /// The answer must be signed and the signatures lead to the root.
    Dnssec,
}

/// How names are asked.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The name servers; none for those of the system.
    pub servers: Vec<SocketAddr>,
    /// What must be true of an answer.
    pub rigour: Rigour,
    /// Whether public names may have private addresses.
    pub allow_private: bool,
    /// The keys of the root for [`Rigour::Dnssec`], as DNSKEY records in a zone file; those of the Internet where none is given.
    pub trust_anchor: Option<PathBuf>,
}

/// Asks name servers.
pub struct Dns {
    settings: Settings,
    hosts: HostsFile,
    /// One for each configured server where they must agree, else one for all. Those of the system are made
    /// anew when the system changes its mind, as it does when the network changes.
    askers: Mutex<(Option<SystemTime>, Vec<TokioResolver>)>,
    own: Semaphore,
    strangers: Semaphore,
}

impl Dns {
    /// Makes a resolver; nothing is asked and no file is read yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (own, strangers) = (Semaphore::new(OWN), Semaphore::new(STRANGERS));
        Self { settings, hosts: HostsFile::default(), askers: Mutex::default(), own, strangers }
    }

    fn askers(&self) -> Result<Vec<TokioResolver>, NetError> {
        let mut made = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        let written = if self.settings.servers.is_empty() { written(SYSTEM) } else { None };
        if made.1.is_empty() || made.0 != written {
            *made = (written, self.make_askers()?);
        }
        Ok(made.1.clone())
    }

    fn make_askers(&self) -> Result<Vec<TokioResolver>, NetError> {
        let servers = &self.settings.servers;
        let configs = match self.settings.rigour {
            _ if servers.is_empty() => vec![system_conf::read_system_conf()?.0],
            Rigour::Agreement => servers.iter().map(|server| config(&[*server])).collect(),
            Rigour::Any | Rigour::Dnssec => vec![config(servers)],
        };
        configs.into_iter().map(|config| self.asker(config)).collect()
    }

    fn asker(&self, config: ResolverConfig) -> Result<TokioResolver, NetError> {
        let mut builder = Asker::builder_with_config(config, TokioRuntimeProvider::default());
        let is_validating = self.settings.rigour == Rigour::Dnssec;
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = TRY;
        options.attempts = 1;
        // The hosts file was looked at before.
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 1024;
        options.positive_max_ttl = Some(BELIEVED);
        options.negative_max_ttl = Some(MISSING_FOR);
        options.validate = is_validating;
        if is_validating && let Some(path) = &self.settings.trust_anchor {
            let anchors = TrustAnchors::from_file(path).map_err(|error| NetError::Msg(format!("{}: {error}", path.display())))?;
            builder = builder.with_trust_anchor(Arc::new(anchors));
        }
        builder.build()
    }

    /// Asks for the agents of a domain within one of the two limits.
    async fn announced(&self, domain: &str, limit: &Semaphore) -> Result<Answer, LookupError> {
        let name = dns::query_name(domain).ok_or_else(|| LookupError::NoName(domain.to_owned()))?;
        let asking = async {
            let _place = limit.acquire().await;
            let askers = self.askers().map_err(|error| failed(domain, &error))?;
            if self.settings.rigour == Rigour::Agreement {
                return agreed(domain, join_all(askers.iter().map(|asker| self.records(asker, domain, &name))).await);
            }
            let mut answers = try_join_all(askers.iter().map(|asker| self.records(asker, domain, &name))).await?;
            answers.pop().ok_or_else(|| silent(domain))
        };
        tokio::time::timeout(LIMIT, asking).await.unwrap_or_else(|_| Err(silent(domain)))
    }

    async fn records(&self, asker: &TokioResolver, domain: &str, name: &str) -> Result<Answer, LookupError> {
        let found = match asker.lookup(name, RecordType::TXT).await {
            Ok(found) => found,
            Err(error) if is_nothing(&error) => return Ok(Answer::default()),
            Err(error) => return Err(failed(domain, &error)),
        };
        let records = || {
            found.answers().iter().filter_map(|record| match &record.data {
                RData::TXT(text) => Some((record, text)),
                _ => None,
            })
        };
        // The library has read a message of at most 64 KiB; nothing more is made of it than what is within the limits.
        let answer = Answer::read(records().take(MAX_RECORDS + 1).map(|(_, text)| text.txt_data.concat()))?;
        if self.settings.rigour == Rigour::Dnssec && !records().all(|(record, _)| record.proof.is_secure()) {
            return Err(LookupError::Unsigned(domain.to_owned(), Box::new(answer)));
        }
        Ok(answer)
    }

    async fn host(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![ip]);
        }
        let Some(name) = dns::name(host).filter(|name| name.contains('.')) else {
            return system::addresses(host).await;
        };
        let written_down = self.hosts.find(&name);
        if !written_down.is_empty() {
            return Ok(written_down);
        }
        let found = if self.settings.servers.is_empty() { system::addresses(&name).await? } else { self.asked(&name).await? };
        if !self.settings.allow_private && !is_private_name(&name) {
            all_public(&found).map_err(|private| LookupError::Private(name, private))?;
        }
        Ok(found)
    }

    /// The addresses that the configured servers have for a name; any of them is asked, since an address proves nothing.
    async fn asked(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let asking = async {
            let _place = self.own.acquire().await;
            let askers = self.askers().map_err(|error| failed(name, &error))?;
            let mut result = Err(silent(name));
            for asker in &askers {
                result = match asker.lookup_ip(format!("{name}.")).await {
                    Ok(found) => return Ok(found.iter().take(MAX_RECORDS).collect::<Vec<_>>()),
                    Err(error) if is_nothing(&error) => Err(LookupError::NoAddress(name.to_owned())),
                    Err(error) => Err(failed(name, &error)),
                };
            }
            result
        };
        tokio::time::timeout(LIMIT, asking).await.unwrap_or_else(|_| Err(silent(name)))
    }
}

impl Resolver for Dns {
    fn agents<'a>(&'a self, domain: &'a str) -> Asked<'a, Result<Answer, LookupError>> {
        Box::pin(self.announced(domain, &self.own))
    }

    fn addresses<'a>(&'a self, host: &'a str) -> Asked<'a, Result<Vec<IpAddr>, LookupError>> {
        Box::pin(self.host(host))
    }

    fn prove<'a>(&'a self, domain: &'a str, agent: &'a AgentName, key: &'a PeerKey) -> Asked<'a, DnsProof> {
        Box::pin(async move { judge(domain, agent, key, self.announced(domain, &self.strangers).await) })
    }
}

fn config(servers: &[SocketAddr]) -> ResolverConfig {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    ResolverConfig::from_name_servers(servers.collect())
}

/// One answer of all, where at least two came and none differs from another.
fn agreed(domain: &str, answers: Vec<Result<Answer, LookupError>>) -> Result<Answer, LookupError> {
    let mut first: Option<Answer> = None;
    let (mut count, mut failure) = (0, silent(domain));
    for answer in answers {
        match answer {
            Ok(answer) => {
                count += 1;
                let differs = first.as_ref().is_some_and(|first| first.clone().sorted() != answer.clone().sorted());
                if differs {
                    return Err(LookupError::Disagreement(domain.to_owned()));
                }
                first.get_or_insert(answer);
            }
            Err(error @ LookupError::Answer(_)) => return Err(error),
            Err(error) => failure = error,
        }
    }
    first.filter(|_| count >= 2).ok_or(failure)
}

/// True where the servers answered that there is nothing, which is not the same as no answer.
fn is_nothing(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(nothing)) => matches!(nothing.response_code, ResponseCode::NXDomain | ResponseCode::NoError),
        NetError::Dns(DnsError::Nsec { proof, .. }) => !proof.is_bogus(),
        _ => false,
    }
}

fn failed(name: &str, error: &NetError) -> LookupError {
    LookupError::Failed { name: name.to_owned(), why: error.to_string() }
}

fn silent(name: &str) -> LookupError {
    LookupError::Failed { name: name.to_owned(), why: "no resolver answered in time".to_owned() }
}
