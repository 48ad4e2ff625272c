//! The configuration of one workspace, checked and typed.
//!
//! Field names are the keys; `default.toml` says what each is for. Seconds have become durations.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use toq_protocol::{Address, AgentName};

/// The configuration of one workspace.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct WorkspaceConfig {
    /// The agent's name.
    #[serde(deserialize_with = "agent_name")]
    pub agent_name: AgentName,
    /// The host in the agent's address.
    pub host: String,
    /// The peer port; 0 takes a free one.
    pub port: u16,
    /// Where the peer port listens.
    pub bind: IpAddr,
    /// The host, or host and port, to give to peers instead.
    pub advertise: Option<String>,
    /// Other addresses that mean this agent.
    #[serde(deserialize_with = "addresses")]
    pub aliases: Vec<Address>,
    /// Who may connect.
    pub connection_mode: ConnectionMode,
    /// How many unknown agents may wait for an answer.
    pub max_pending_approvals: usize,
    /// Whether a session must be bound to its TLS channel.
    pub require_channel_binding: ChannelBinding,
    /// How much `toq status` shows.
    pub verbosity: Verbosity,
    /// What is logged.
    pub log_level: LogLevel,
    /// How long log files are kept.
    pub log_retention_days: u32,
    /// How large log files may become together.
    pub log_max_size_mb: u32,
    /// The largest body of a message that is sent or taken, in bytes; never more than a frame has room for.
    pub max_message_size: usize,
    /// Whether files of peers are taken.
    pub accept_files: bool,
    /// The largest of them, in bytes.
    pub max_file_size: u64,
    /// How many messages the history shows at most.
    pub message_history_limit: usize,
    /// When idle conversations are closed.
    pub thread_cleanup_days: u32,
    /// How long peers may take to learn of a new key of ours, and the old one is good for.
    #[serde(rename = "key_rotation_grace_days", deserialize_with = "days")]
    pub key_rotation_grace: Duration,
    /// Open sessions with peers, altogether.
    pub max_connections: usize,
    /// Conversations in progress with one peer.
    pub max_threads_per_connection: usize,
    /// Messages that may wait for delivery.
    pub max_message_queue: usize,
    /// From the first byte to a proven identity.
    #[serde(deserialize_with = "seconds")]
    pub handshake_timeout: Duration,
    /// From there to agreed features.
    #[serde(deserialize_with = "seconds")]
    pub negotiation_timeout: Duration,
    /// How long a written message may stay unacknowledged.
    #[serde(deserialize_with = "seconds")]
    pub ack_timeout: Duration,
    /// How often an idle session is checked.
    #[serde(deserialize_with = "seconds")]
    pub heartbeat_interval: Duration,
    /// How long it may then stay silent.
    #[serde(deserialize_with = "seconds")]
    pub heartbeat_timeout: Duration,
    /// How long a lost session can be taken up again.
    #[serde(deserialize_with = "seconds")]
    pub session_resume_timeout: Duration,
    /// How long a drain lets work in progress finish.
    #[serde(deserialize_with = "seconds")]
    pub graceful_shutdown_timeout: Duration,
    /// How messages reach local programs.
    pub adapter: Adapter,
    /// Messages for a program that is called.
    #[serde(default)]
    pub adapter_http: AdapterHttp,
    /// The API at a place of the file system.
    #[serde(default)]
    pub adapter_unix: AdapterUnix,
    /// Whether agents on the local network are found and find this one.
    pub mdns_enabled: bool,
    /// The API for local programs.
    pub api: ApiConfig,
    /// Delivery of outgoing messages.
    pub delivery: DeliveryConfig,
    /// How names are asked for.
    pub dns: DnsConfig,
    /// Where agents on the local network are looked for.
    pub mdns: MdnsConfig,
    /// The log on disk.
    pub store: StoreConfig,
    /// What strangers and single peers may take up.
    pub limits: LimitsConfig,
    /// The process.
    pub runtime: RuntimeConfig,
}

impl WorkspaceConfig {
    /// Returns the address to give to peers while the peer port is this one.
    pub fn address(&self, port: u16) -> Address {
        let advertised =
            self.advertise.as_ref().and_then(|authority| Address::parse_strict(&format!("toq://{authority}/{}", self.agent_name)).ok());
        advertised.unwrap_or_else(|| Address::new(self.host.clone(), port, self.agent_name.clone()))
    }
}

/// Who may connect without having been approved.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConnectionMode {
    /// Nobody.
    Allowlist,
    /// Nobody, but they may ask.
    Approval,
    /// Whoever's key DNS names for the address that it claims.
    DnsVerified,
    /// Anyone.
    Open,
}

impl ConnectionMode {
    /// Returns the mode as it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowlist => "allowlist",
            Self::Approval => "approval",
            Self::DnsVerified => "dns-verified",
            Self::Open => "open",
        }
    }
}

/// How much `toq status` shows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verbosity {
    /// What everybody understands.
    NonTechnical,
    /// Ports and process ids too.
    Technical,
}

/// Whether a session must be bound to its TLS channel.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelBinding {
    /// Always, which published peers cannot.
    Always,
    /// Where both sides can, and always with a key that has done so before.
    Prefer,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// What was lost.
    Error,
    /// What somebody should look at.
    Warn,
    /// What an operator did or must know.
    Info,
    /// What a developer follows.
    Debug,
}

impl LogLevel {
    /// Returns the level as it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// How messages reach local programs, beside the API, which is always there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Adapter {
    /// By requests to a URL, if one is given.
    Http,
    /// By the standard input and output of a daemon in the foreground.
    Stdin,
    /// By the API at another Unix socket.
    Unix,
}

impl Adapter {
    /// Returns the adapter as it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stdin => "stdin",
            Self::Unix => "unix",
        }
    }
}

/// Messages for a program that is called.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct AdapterHttp {
    /// Where each message is posted to.
    pub callback_url: Option<String>,
}

/// The API at a place of the file system.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct AdapterUnix {
    /// The socket's path.
    pub socket_path: Option<std::path::PathBuf>,
}

/// The API for local programs.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct ApiConfig {
    /// How a local program proves that it may use it.
    pub access: Access,
    /// A listener of its own; the peer port serves the API otherwise.
    pub listen: Option<SocketAddr>,
    /// Host names under which it may be called, beyond the loopback ones.
    pub allowed_hosts: Vec<String>,
    /// Whether other machines may call it.
    pub allow_remote: bool,
    /// Calls in progress.
    pub max_concurrent_requests: usize,
}

/// How a local program proves that it may use the API.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It runs as the same user.
    SameUser,
    /// It has the token.
    Token,
}

impl Access {
    /// Returns the mode as it is written in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SameUser => "same-user",
            Self::Token => "token",
        }
    }
}

/// Delivery of outgoing messages.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct DeliveryConfig {
    /// When a failed delivery is tried again first.
    #[serde(rename = "retry_initial_ms", deserialize_with = "milliseconds")]
    pub retry_initial: Duration,
    /// How far retries move apart.
    #[serde(rename = "retry_max_s", deserialize_with = "seconds")]
    pub retry_max: Duration,
    /// When an undelivered message expires.
    #[serde(rename = "message_ttl_s", deserialize_with = "seconds")]
    pub message_ttl: Duration,
    /// How many attempts are made; 0 as many as the time allows.
    pub max_attempts: u32,
    /// Unacknowledged messages at one peer.
    pub window: u32,
}

/// How names are asked for.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct DnsConfig {
    /// The name servers; none for those of the system.
    #[serde(deserialize_with = "servers")]
    pub resolvers: Vec<SocketAddr>,
    /// What must be true of an answer before it proves an agent's key.
    pub require: DnsRequire,
    /// Whether public names may have private addresses.
    pub allow_private: bool,
}

/// Where agents on the local network are looked for.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct MdnsConfig {
    /// Names or addresses of interfaces; none for all that lead to others.
    pub interfaces: Vec<String>,
}

/// What must be true of a DNS answer before it proves an agent's key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsRequire {
    /// All resolvers that answer say the same, at least two do.
    Agreement,
    /// Nothing.
    Any,
    /// It is signed.
    Dnssec,
}

/// The log on disk.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct StoreConfig {
    /// Memory for its pages, in MiB.
    pub cache_mib: usize,
    /// What the log may take up, in MiB; 0 is whatever the disk has.
    pub max_mib: u64,
}

/// What strangers and single peers may take up.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// Connections without a proven identity, altogether.
    pub handshake_seats: usize,
    /// Connections without a proven identity, from one network address.
    pub handshakes_per_source: usize,
    /// Open sessions of one key.
    pub connections_per_key: usize,
    /// Open streams of one peer.
    pub max_streams_per_peer: usize,
    /// How long a stream may be idle.
    #[serde(rename = "stream_idle_s", deserialize_with = "seconds")]
    pub stream_idle: Duration,
    /// How long the text of a stream may become.
    pub stream_max_bytes: usize,
    /// Messages in a second from one peer.
    pub messages_per_second_per_peer: u64,
    /// Bytes of message bodies in a second from one peer.
    pub bytes_per_second_per_peer: u64,
    /// Messages in a second from one network.
    pub messages_per_second_per_source: u64,
    /// Bytes of message bodies in a second from one network.
    pub bytes_per_second_per_source: u64,
    /// Messages in a second from all peers together.
    pub messages_per_second: u64,
    /// Bytes of message bodies in a second from all peers together.
    pub bytes_per_second: u64,
    /// Conversations that one peer may begin in an hour.
    pub new_threads_per_hour_per_peer: u64,
    /// How long a peer is not heard that keeps sending too fast.
    #[serde(rename = "mute_s", deserialize_with = "seconds")]
    pub mute: Duration,
    /// Runs of handlers at a time, altogether.
    pub max_runs: usize,
    /// Messages that may wait for one address before automatic answers to it are set aside.
    pub answers_per_address: usize,
}

/// The process.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct RuntimeConfig {
    /// Threads that run workspaces; 0 takes one for each processor.
    pub arbiters: usize,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(|days| Duration::from_secs(days * 86_400))
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn agent_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AgentName, D::Error> {
    AgentName::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| crate::value::server(text).ok_or_else(|| D::Error::custom("not the address of a name server"))).collect()
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| Address::parse_strict(text).map_err(D::Error::custom)).collect()
}
