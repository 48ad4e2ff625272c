//! What a backup holds.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::policy::{Pattern, Ruling, Subject};
use toq_protocol::time::Timestamp;
use zeroize::Zeroizing;

use super::BackupError;
use super::form::position;
use super::trust::{Trust, TrustEntry};

/// What makes an agent. The secrets in it are wiped when it is dropped, and it has no printable form.
pub struct Bundle {
    /// The seed of the identity.
    pub seed: Zeroizing<[u8; 32]>,
    /// The listener's certificate, PEM.
    pub tls_cert: String,
    /// Its private key, PEM.
    pub tls_key: Zeroizing<String>,
    /// The text of `config.toml`.
    pub config: Zeroizing<String>,
    /// The text of `handlers.toml`, if there is one.
    pub handlers: Option<Zeroizing<String>>,
    /// The rules; `None` where the form of the backup has no place for them.
    pub rules: Option<Vec<(Subject, Ruling)>>,
    /// The peers that have proven themselves.
    pub peers: Vec<KnownPeer>,
    /// What is known of those and other peers' keys.
    pub trust: Trust,
    /// The text of `keys/rotations.json`, if there is one: how the agent came by its key, and how often it has changed it.
    pub rotations: Option<String>,
    /// Rows of the log by the name of their table, as the log writes them.
    pub log: Vec<LogRecord>,
}

/// A peer that has proven itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its key.
    pub key: PeerKey,
    /// The address that it claimed last.
    pub address: String,
    /// When it was first here.
    pub first_seen: Timestamp,
    /// When it was last here.
    pub last_seen: Timestamp,
}

/// A row of the log in the log's own versioned form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRecord {
    /// Which kind of row it is.
    pub table: String,
    /// Its parts, each base64 in the file.
    #[serde(with = "base64_list")]
    pub parts: Vec<Vec<u8>>,
}

/// The names of the entries, as they are shown to an owner who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// Who the agent is.
    Identity,
    /// The listener's certificate and key.
    Tls,
    /// `config.toml`.
    Config,
    /// `handlers.toml`.
    Handlers,
    /// The rules.
    Rules,
    /// Known peers.
    Peers,
    /// What is known of peers' keys.
    Trust,
    /// How the agent came by its key.
    Rotations,
    /// Rows of the log.
    Log,
}

impl Entry {
    /// The member's name in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Entry::Identity => "identity_key",
            Entry::Tls => "tls_key",
            Entry::Config => "config",
            Entry::Handlers => "handlers",
            Entry::Rules => "rules",
            Entry::Peers => "peers",
            Entry::Trust => "trust",
            Entry::Rotations => "rotations",
            Entry::Log => "log",
        }
    }

    fn wrong(self, why: impl Into<String>) -> BackupError {
        BackupError::Entry { entry: self.as_str(), why: why.into() }
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bundle(…)")
    }
}

/// Our entries. What is not named here is not read; what is named twice is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    identity_key: Zeroizing<String>,
    tls_cert: String,
    tls_key: Zeroizing<String>,
    config: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handlers: Option<Zeroizing<String>>,
    rules: Vec<RuleEntry>,
    peers: Peers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<TrustEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotations: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log: Vec<LogRecord>,
}

/// The published entries, all of them texts.
#[derive(Deserialize)]
struct Published {
    identity_key: Option<Zeroizing<String>>,
    tls_cert: Option<String>,
    tls_key: Option<Zeroizing<String>>,
    config: Option<Zeroizing<String>>,
    peers: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    ruling: RulingName,
    kind: SubjectKind,
    value: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RulingName {
    Approve,
    Block,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SubjectKind {
    Address,
    Key,
}

type Peers = BTreeMap<String, PeerEntry>;

#[derive(Serialize, Deserialize)]
struct PeerEntry {
    address: String,
    first_seen: String,
    last_seen: String,
}

impl Bundle {
    /// The identity of this bundle.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_seed(&self.seed)
    }

    pub(super) fn read_ours(bytes: &[u8]) -> Result<Self, BackupError> {
        let entries: Ours = serde_json::from_slice(bytes).map_err(|error| BackupError::Malformed(position(&error)))?;
        let rules = entries.rules.into_iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Self {
            seed: seed(&entries.identity_key)?,
            tls_cert: entries.tls_cert,
            tls_key: entries.tls_key,
            config: entries.config,
            handlers: entries.handlers,
            rules: Some(rules),
            peers: peers(entries.peers)?,
            trust: Trust::try_from(entries.trust.unwrap_or_default()).map_err(|why| Entry::Trust.wrong(why))?,
            rotations: entries.rotations,
            log: entries.log,
        })
    }

    pub(super) fn read_published(bytes: &[u8]) -> Result<Self, BackupError> {
        #[derive(Default, Deserialize)]
        struct PeersFile {
            #[serde(default)]
            peers: Peers,
        }
        let entries: Published = serde_json::from_slice(bytes).map_err(|error| BackupError::Malformed(position(&error)))?;
        let known = match entries.peers {
            None => PeersFile::default(),
            Some(text) => serde_json::from_str(&text).map_err(|error| Entry::Peers.wrong(position(&error)))?,
        };
        Ok(Self {
            seed: seed(&entries.identity_key.ok_or(BackupError::Missing("identity_key"))?)?,
            tls_cert: entries.tls_cert.ok_or(BackupError::Missing("tls_cert"))?,
            tls_key: entries.tls_key.ok_or(BackupError::Missing("tls_key"))?,
            config: entries.config.ok_or(BackupError::Missing("config"))?,
            handlers: None,
            rules: None,
            peers: peers(known.peers)?,
            trust: Trust::default(),
            rotations: None,
            log: Vec::new(),
        })
    }

    pub(super) fn write(&self) -> Zeroizing<Vec<u8>> {
        let peer = |peer: &KnownPeer| {
            let (first_seen, last_seen) = (peer.first_seen.to_string(), peer.last_seen.to_string());
            (peer.key.to_string(), PeerEntry { address: peer.address.clone(), first_seen, last_seen })
        };
        let entries = Ours {
            identity_key: Zeroizing::new(STANDARD.encode(self.seed.as_slice())),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
            config: self.config.clone(),
            handlers: self.handlers.clone(),
            rules: self.rules.iter().flatten().map(rule_entry).collect(),
            peers: self.peers.iter().map(peer).collect(),
            trust: (!self.trust.is_empty()).then(|| self.trust.clone().into()),
            rotations: self.rotations.clone(),
            log: self.log.clone(),
        };
        Zeroizing::new(serde_json::to_vec(&entries).expect("texts always serialise"))
    }
}

fn seed(text: &str) -> Result<Zeroizing<[u8; 32]>, BackupError> {
    let wrong = || Entry::Identity.wrong("it is not base64 of 32 bytes");
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| wrong())?);
    let mut seed = Zeroizing::new([0; 32]);
    if bytes.len() != seed.len() {
        return Err(wrong());
    }
    seed.copy_from_slice(&bytes);
    Ok(seed)
}

fn rule(entry: RuleEntry) -> Result<(Subject, Ruling), BackupError> {
    let subject = match entry.kind {
        SubjectKind::Key => Subject::Key(PeerKey::parse(&entry.value).map_err(|error| Entry::Rules.wrong(error.to_string()))?),
        SubjectKind::Address => Subject::Address(Pattern::new(&entry.value)),
    };
    let ruling = match entry.ruling {
        RulingName::Approve => Ruling::Approve,
        RulingName::Block => Ruling::Block,
    };
    Ok((subject, ruling))
}

fn rule_entry((subject, ruling): &(Subject, Ruling)) -> RuleEntry {
    let ruling = match ruling {
        Ruling::Approve => RulingName::Approve,
        Ruling::Block => RulingName::Block,
    };
    let kind = match subject {
        Subject::Key(_) => SubjectKind::Key,
        Subject::Address(_) => SubjectKind::Address,
    };
    RuleEntry { ruling, kind, value: subject.to_string() }
}

fn peers(entries: Peers) -> Result<Vec<KnownPeer>, BackupError> {
    let peer = |(key, entry): (String, PeerEntry)| {
        let time = |text: &str| Timestamp::parse(text).ok_or_else(|| Entry::Peers.wrong("a time is not RFC 3339"));
        Ok(KnownPeer {
            key: PeerKey::parse(&key).map_err(|error| Entry::Peers.wrong(error.to_string()))?,
            address: entry.address,
            first_seen: time(&entry.first_seen)?,
            last_seen: time(&entry.last_seen)?,
        })
    };
    entries.into_iter().map(peer).collect()
}

/// A list of byte strings, each as padded base64.
mod base64_list {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(parts: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(parts.iter().map(|part| STANDARD.encode(part)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| STANDARD.decode(text).map_err(|_| D::Error::custom("not base64"))).collect()
    }
}
