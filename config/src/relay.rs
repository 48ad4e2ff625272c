//! The settings of a relay: `relay.toml`.
//!
//! A relay is no workspace and has a file of its own. What is said of a workspace's settings holds here too: unknown keys are errors, and
//! the built-in text is the documentation of every key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::LogLevel;
use crate::error::{ConfigError, Fault, Place};

/// The name of the file in a relay's data directory.
pub const FILE: &str = "relay.toml";

/// The built-in layer, which is also the documentation of every key.
pub const DEFAULTS: &str = include_str!("../relay.toml");

/// The most days that anything is kept.
const MAX_DAYS: u64 = 3_650;
/// The largest message that a relay can be told to take, in bytes.
pub const MAX_MESSAGE: usize = 16 << 20;

/// The settings of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RelayConfig {
    /// Where members connect.
    pub grpc: SocketAddr,
    /// Where the API server listens.
    pub api: SocketAddr,
    /// Whether everybody is let in without a token.
    pub anonymous: bool,
    /// What is logged.
    pub log_level: LogLevel,
    /// A connection that says nothing for so long is asked whether it is there, and has as long again to answer, in seconds.
    pub keepalive_s: u64,
    /// Where a secret is that tokens may be signed with.
    pub hs256_secret_file: Option<PathBuf>,
    /// How much.
    pub limits: RelayLimits,
    /// How long.
    pub retention: RelayRetention,
    /// The certificate.
    pub tls: RelayTls,
    /// The database.
    pub store: RelayStoreConfig,
    /// The API server.
    pub accounts: RelayAccounts,
}

/// How much anybody may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RelayLimits {
    /// The largest message, in bytes.
    pub max_message: usize,
    /// Connections altogether.
    pub connections: usize,
    /// Connections of one account.
    pub connections_per_account: usize,
    /// Channels that one connection listens to.
    pub subscriptions: usize,
    /// Channels that one account may begin.
    pub channels_per_account: u64,
    /// Messages in a month for each plan; 0 is no limit.
    pub messages_per_month: BTreeMap<String, u64>,
}

/// How long what was published is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RelayRetention {
    /// Days from publication.
    pub days: u64,
    /// Mebibytes of one channel.
    pub channel_mib: u64,
    /// How far back a published member that joins is given commits, in seconds.
    pub joiner_replay_s: u64,
}

/// The certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RelayTls {
    /// The chain, in PEM.
    pub certificate: Option<PathBuf>,
    /// The private key, in PEM.
    pub key: Option<PathBuf>,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RelayStoreConfig {
    /// The page cache, in mebibytes.
    pub cache_mib: usize,
    /// What the file may take up, in mebibytes; 0 is whatever the disk has.
    pub max_mib: u64,
}

/// The API server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RelayAccounts {
    /// Who may open an account.
    pub opening: Opening,
    /// How long a token is good, in seconds.
    pub token_lifetime_s: u64,
}

/// Who may open an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Opening {
    /// Whoever reaches the API.
    Open,
    /// Programs on this machine.
    Local,
    /// Nobody.
    Closed,
}

impl Default for RelayConfig {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            grpc: loopback(5000),
            api: loopback(8080),
            anonymous: false,
            log_level: LogLevel::Info,
            keepalive_s: 25,
            hs256_secret_file: None,
            limits: RelayLimits::default(),
            retention: RelayRetention::default(),
            tls: RelayTls::default(),
            store: RelayStoreConfig::default(),
            accounts: RelayAccounts::default(),
        }
    }
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            connections: 10_000,
            connections_per_account: 256,
            subscriptions: 1024,
            channels_per_account: 1024,
            messages_per_month: BTreeMap::from([("free".to_owned(), 100_000), ("pro".to_owned(), 1_000_000)]),
        }
    }
}

impl Default for RelayRetention {
    fn default() -> Self {
        Self { days: 7, channel_mib: 1024, joiner_replay_s: 3600 }
    }
}

impl Default for RelayStoreConfig {
    fn default() -> Self {
        Self { cache_mib: 64, max_mib: 0 }
    }
}

impl Default for RelayAccounts {
    fn default() -> Self {
        Self { opening: Opening::Local, token_lifetime_s: 3600 }
    }
}

impl RelayConfig {
    /// Loads a file; without `explicit` the one in the data directory, which need not be there.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn load(data: &Path, explicit: Option<&Path>) -> Result<Self, ConfigError> {
        let path = explicit.map_or_else(|| data.join(FILE), Path::to_owned);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self::read(&text, &path)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && explicit.is_none() => Ok(Self::default()),
            Err(error) => Err(ConfigError::read(&path, error)),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn read(text: &str, path: &Path) -> Result<Self, Fault> {
        let config: Self = toml_edit::de::from_str(text).map_err(|error| {
            let (line, column) = error.span().map_or((1, 1), |span| position(text, span.start));
            fault(Place::File { path: path.to_owned(), line, column }, "", error.message())
        })?;
        match config.disagreement() {
            None => Ok(config),
            Some((key, complaint)) => {
                let leaf = key.rsplit('.').next().unwrap_or(key);
                let at = text.lines().position(|line| line.trim_start().starts_with(leaf)).map_or(1, |line| line + 1);
                Err(fault(Place::File { path: path.to_owned(), line: at, column: 1 }, key, &format!("`{key}` {complaint}")))
            }
        }
    }

    /// What no type shows.
    fn disagreement(&self) -> Option<(&'static str, &'static str)> {
        let Self { keepalive_s, limits, retention, tls, store, accounts, .. } = self;
        let wrong = [
            (!(1..=3600).contains(keepalive_s), "keepalive_s", "must be between 1 and 3600"),
            (!(1024..=MAX_MESSAGE).contains(&limits.max_message), "limits.max_message", "must be between 1024 and 16777216"),
            (limits.connections == 0, "limits.connections", "must be at least 1"),
            (limits.connections_per_account == 0, "limits.connections_per_account", "must be at least 1"),
            (limits.subscriptions == 0, "limits.subscriptions", "must be at least 1"),
            (limits.channels_per_account == 0, "limits.channels_per_account", "must be at least 1"),
            (!(1..=MAX_DAYS).contains(&retention.days), "retention.days", "must be between 1 and 3650"),
            (retention.channel_mib == 0, "retention.channel_mib", "must be at least 1"),
            (tls.certificate.is_some() && tls.key.is_none(), "tls.certificate", "needs `tls.key` beside it"),
            (tls.key.is_some() && tls.certificate.is_none(), "tls.key", "needs `tls.certificate` beside it"),
            (!(1..=65_536).contains(&store.cache_mib), "store.cache_mib", "must be between 1 and 65536"),
            (!(10..=30 * 24 * 3600).contains(&accounts.token_lifetime_s), "accounts.token_lifetime_s", "must be between 10 and 2592000"),
        ];
        wrong.into_iter().find(|(is_wrong, ..)| *is_wrong).map(|(_, key, complaint)| (key, complaint))
    }
}

fn fault(place: Place, key: &str, message: &str) -> Fault {
    Fault { place, key: key.to_owned(), message: message.to_owned(), nearest: None }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RelayConfig, String> {
        RelayConfig::read(text, Path::new("relay.toml")).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        assert_eq!(read(DEFAULTS), Ok(RelayConfig::default()));
        assert_eq!(read(""), Ok(RelayConfig::default()));
    }

    #[test]
    fn every_key_is_documented_and_every_example_is_valid() {
        let uncommented: String = DEFAULTS
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)))
            .collect();

        let config = read(&uncommented).expect("every example value is valid");

        assert!(config.hs256_secret_file.is_some() && config.tls.certificate.is_some() && config.tls.key.is_some());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        for text in ["grpc = \"127.0.0.1:0\"\nanonymus = true\n", "\n[limits]\nmax_mesage = 1"] {
            let fault = read(text).expect_err("no such key");

            assert!(fault.contains("unknown field") && fault.contains("relay.toml:"), "{fault}");
        }
        assert!(read("a = 1\n").expect_err("no such key").starts_with("relay.toml:1:1: "));
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for text in [
            "grpc = \"nowhere\"",
            "anonymous = 1",
            "[retention]\ndays = 0",
            "[tls]\nkey = \"k\"",
            "[limits]\nmax_message = 1",
            "keepalive_s = 0",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
