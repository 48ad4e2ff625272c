//! The relay as a process: `toq relay up --foreground`.
//!
//! Opens what the settings name, starts the relay, says where it is, waits for the order to stop. What is decided about channels and
//! accounts is decided in `toq-relay`.

use std::fs;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toq_config::relay::RelayConfig;
use toq_protocol::Timestamp;
use toq_relay::home::{Limits, Retention};
use toq_relay::office::{Opening, Settings};
use toq_relay::tls::Tls;
use toq_relay::{Config, UpError};
use toq_vault::write_private;

use crate::telemetry::{self, Bounds};
use crate::{settle, signals};

/// The file in the data directory that says where a running relay is.
const STATE: &str = "relay.json";
/// How long connections have for their last answers.
const GRACE: Duration = Duration::from_secs(10);
/// How much log is kept.
const LOG: Bounds = Bounds { days: 30, bytes: 500 << 20 };
/// The shortest secret that tokens may be signed with, in bytes (RFC 7518, section 3.2).
const MIN_SECRET: usize = 32;

/// The largest secret that is read, in bytes.
const MAX_SECRET: u64 = 1 << 20;

// Members would not take what a relay forwards that takes more.
const _: () = assert!(toq_config::relay::MAX_MESSAGE == toq_relay::MAX_MESSAGE);

/// Where a running relay is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The process.
    pub pid: u32,
    /// Where members connect.
    pub grpc: SocketAddr,
    /// Where the API server listens.
    pub api: SocketAddr,
    /// Whether everybody is let in without a token.
    pub anonymous: bool,
    /// Whether both servers speak TLS.
    pub tls: bool,
    /// Which life of its number the process is, where the system says.
    #[serde(default)]
    pub life: Option<String>,
}

impl State {
    /// What the file in a data directory says, whether its process lives or not.
    pub fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data.join(STATE)).ok()?).ok()
    }

    /// Whether the process of this number is the one that wrote this: after a crash or a new start of the machine another one may have it.
    pub fn is_its_process(&self) -> bool {
        self.life.as_ref().is_none_or(|written| life(self.pid).is_none_or(|now| now == *written))
    }

    fn publish(&self, data: &Path) -> io::Result<()> {
        write_private(&data.join(STATE), serde_json::to_string(self)?.as_bytes()).map_err(io::Error::other)
    }
}

/// Which life of its number a process is: the start of the machine, and when it began since (proc_pid_stat(5), field 22). `None` where the
/// system does not say.
fn life(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses and may contain anything.
    let begun = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.to_owned();
    let machine = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!("{}/{begun}", machine.trim()))
}

/// Why a relay did not start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Files that the settings name.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The data directory.
    #[error("cannot use {}: {error}", path.display())]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The relay itself.
    #[error(transparent)]
    Up(#[from] UpError),
    /// A part of it, long after the start.
    #[error("{0} has ended, which it never should, so the relay has stopped: its log says why; start it again")]
    Ended(&'static str),
}

/// Runs a relay until it is told to stop; `told` is called when it serves.
pub fn run(data: &Path, config: &RelayConfig, foreground: bool, told: impl FnOnce(&State)) -> Result<(), RelayError> {
    let failed = |error: io::Error| RelayError::Data { path: data.to_owned(), error };
    toq_relay::prepare(data).map_err(failed)?;
    telemetry::begin(&data.join("logs"), LOG, config.log_level, foreground).map_err(failed)?;
    let mut made = made(data, config)?;
    for warning in warnings(data, config)? {
        tracing::warn!("{warning}");
    }
    if let Some(files) = telemetry::harden() {
        within(&mut made, usize::try_from(files).unwrap_or(usize::MAX));
    }
    actix_rt::System::new().block_on(async {
        let relay = toq_relay::up(made).await?;
        let pid = std::process::id();
        let (anonymous, tls) = (config.anonymous, config.tls.key.is_some());
        let state = State { pid, grpc: relay.grpc, api: relay.api, anonymous, tls, life: life(pid) };
        state.publish(data).map_err(failed)?;
        tracing::info!(grpc = %state.grpc, api = %state.api, anonymous = state.anonymous, "the relay is there");
        told(&state);
        settle::soon();
        let broken = tokio::select! {
            () = ended() => None,
            what = relay.ended() => Some(what),
        };
        relay.stop(GRACE).await;
        // Gone is gone, whoever removed it.
        let _gone = fs::remove_file(data.join(STATE));
        if let Some(what) = broken {
            tracing::error!(what, "something has ended that never should; the relay has stopped");
            return Err(RelayError::Ended(what));
        }
        tracing::info!("the relay has stopped");
        Ok(())
    })
}

/// Takes in no more connections than there are descriptors for: some stay for the log, the database and the operator's commands.
fn within(config: &mut Config, files: usize) {
    let wished = config.limits.connections;
    config.limits.connections = wished.min(files / 3).max(1);
    config.limits.newcomers = config.limits.newcomers.min(files / 8).max(1);
    config.office.most_connections = config.office.most_connections.min(files / 4).max(1);
    if config.limits.connections < wished {
        let most = config.limits.connections;
        tracing::warn!(files, most, "fewer connections than `limits.connections` are taken: raise the limit of open files (ulimit -n)");
    }
}

/// What of these settings members or others will suffer from, each with what to do.
///
/// # Errors
/// Where the certificate or its key cannot be read.
pub fn warnings(data: &Path, config: &RelayConfig) -> Result<Vec<String>, RelayError> {
    let tls = tls(config)?;
    let mut warnings: Vec<String> = match &tls {
        Some(tls) => {
            let now = Timestamp::from_nanos(toq_kit::Clock::system().wall_nanos());
            let remedy = tls.remedy(data);
            let certificate = config.tls.certificate.as_deref().unwrap_or(data).display();
            let warn = |flaw| {
                format!(
                    "members will refuse the certificate in {certificate}: {flaw}; take another one, or make one yourself and name its two files under \
                     [tls] in relay.toml: {remedy}"
                )
            };
            tls.flaws(now).into_iter().map(warn).collect()
        }
        None => Vec::new(),
    };
    let mut open: Vec<SocketAddr> =
        [config.grpc, config.api].into_iter().filter(|address| !address.ip().to_canonical().is_loopback()).collect();
    open.dedup();
    if config.anonymous && open.contains(&config.grpc) {
        warnings.push(format!(
            "other machines reach {} and no token is asked for: whoever does can read every channel's ciphertext and write into it; start without \
             --anonymous and make keys with `toq relay key create`, or listen at 127.0.0.1",
            config.grpc
        ));
    }
    if tls.is_none() && !open.is_empty() {
        let open = open.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        warnings.push(format!(
            "other machines reach {open} and there is no certificate: tokens and API keys cross the network in clear text; set `certificate` and `key` \
             under [tls] in relay.toml, or listen at 127.0.0.1"
        ));
    }
    Ok(warnings)
}

fn tls(config: &RelayConfig) -> Result<Option<Tls>, RelayError> {
    let failed = |path: &Path, error| RelayError::File { path: path.to_owned(), error };
    let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else { return Ok(None) };
    let chain = fs::read(certificate).map_err(|error| failed(certificate, error))?;
    let key = kept(key).map_err(|error| failed(key, error))?;
    Ok(Some(Tls::from_pem(chain, key).map_err(UpError::Tls)?))
}

fn made(data: &Path, config: &RelayConfig) -> Result<Config, RelayError> {
    let failed = |path: &Path, error| RelayError::File { path: path.to_owned(), error };
    let tls = tls(config)?;
    let hs256 = config.hs256_secret_file.as_ref().map(|path| secret(path, kept(path).map_err(|error| failed(path, error))?)).transpose()?;
    let limits = &config.limits;
    Ok(Config {
        data: data.to_owned(),
        grpc: config.grpc,
        api: config.api,
        anonymous: config.anonymous,
        hs256,
        tls,
        limits: Limits {
            max_message: limits.max_message,
            connections: limits.connections,
            newcomers: Limits::default().newcomers,
            connections_per_account: limits.connections_per_account,
            subscriptions: limits.subscriptions,
            channels_in_use: Limits::default().channels_in_use,
            channels_per_account: limits.channels_per_account,
            messages_per_month: limits.messages_per_month.clone().into_iter().collect(),
        },
        retention: Retention {
            age: Duration::from_secs(config.retention.days * 24 * 3600),
            bytes_per_channel: config.retention.channel_mib << 20,
            replay: Duration::from_secs(config.retention.joiner_replay_s),
            ..Retention::default()
        },
        office: Settings {
            accounts: match config.accounts.opening {
                toq_config::relay::Opening::Open => Opening::Open,
                toq_config::relay::Opening::Local => Opening::Local,
                toq_config::relay::Opening::Closed => Opening::Closed,
            },
            token_lifetime: Duration::from_secs(config.accounts.token_lifetime_s),
            ..Settings::default()
        },
        keepalive: Duration::from_secs(config.keepalive_s),
        quota: config.store.max_mib << 20,
        cache: config.store.cache_mib << 20,
    })
}

/// Reads a secret that somebody else put into its place: a link and a group of readers are that one's decision, strangers never are.
fn kept(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    let denied = |text| io::Error::new(io::ErrorKind::PermissionDenied, text);
    if owner != user && owner != 0 {
        return Err(denied(format!(
            "it belongs to user {owner}, not to user {user} who runs the relay; run: chown {user} {}",
            path.display()
        )));
    }
    if metadata.mode() & 0o007 != 0 {
        return Err(denied(format!("everybody can reach it (mode {:04o}); run: chmod o= {}", metadata.mode() & 0o777, path.display())));
    }
    let mut secret = Vec::new();
    file.by_ref().take(MAX_SECRET).read_to_end(&mut secret)?;
    Ok(secret)
}

/// A secret as it is in its file, without the line end that an editor leaves.
fn secret(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, RelayError> {
    let secret = bytes.trim_ascii().to_vec();
    if secret.len() < MIN_SECRET {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("a secret has at least {MIN_SECRET} bytes"));
        return Err(RelayError::File { path: path.to_owned(), error });
    }
    Ok(secret)
}

/// Waits for a signal; a second one ends the process at once. What was accepted is on disk in any case.
async fn ended() {
    if let Err(error) = signals::ended().await {
        tracing::error!(%error, "signals cannot be listened for; only a kill can stop the relay");
        return std::future::pending().await;
    }
    toq_kit::spawn(signals::at_once());
}
