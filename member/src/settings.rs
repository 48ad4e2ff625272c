//! What a client is opened with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use toq_protocol::key::PeerKey;
use zeroize::Zeroizing;

use crate::mock;

/// How the relay is reached.
#[derive(Clone, Debug)]
pub enum Relay {
    /// Over gRPC, at `http://host:port` or `https://host:port`.
    Endpoint(String),
    /// Inside this process.
    InProcess(mock::Relay),
}

/// What a client is opened with.
#[derive(Clone)]
pub struct Settings {
    /// Where the relay is.
    pub relay: Relay,
    /// Where the state is kept; made if it is missing. `None` keeps it in memory, and it is lost with the client.
    pub data_dir: Option<PathBuf>,
    /// What this member is called; may be empty. The same for every opening of a directory.
    pub identity: Vec<u8>,
    /// The API key, `sk_live_...`. Used where there is an `api_url` as well.
    pub api_key: Option<String>,
    /// Where the API server is.
    pub api_url: Option<String>,
    /// A token for the relay, where it does not come from the API server.
    pub token: Option<String>,
    /// Certificates to trust besides those of the system, in PEM.
    pub ca: Option<Vec<u8>>,
    /// The passphrase that keeps the state; `None` uses a key file beside it.
    pub passphrase: Option<Zeroizing<String>>,
    /// Whether messages are padded to few lengths, as members since 0.5.2 read. Earlier ones cannot read padded messages.
    pub padding: bool,
    /// Whether members may join by an invite without binding their key package to it, as published members do. The API server could
    /// then put another key package in its place. Never in channels whose members are proven.
    pub unbound_joins: bool,
    /// Agent keys that are known already: who is called so must be vouched for by that key, in order to be added by this member
    /// and for this member to join a channel with it.
    pub pins: HashMap<Vec<u8>, PeerKey>,
    /// How many bytes of messages may wait to be read in one channel, about: 128 are counted for each beside its own. Nothing more is
    /// taken from the relay then, and nothing sent in that channel, until half of them were read.
    pub max_unread: u64,
    /// How old the own keys in a group may become. Longer than ever is `Duration::MAX`.
    pub rotate_after: Duration,
    /// How long to wait for the relay to settle a change of members.
    pub commit_timeout: Duration,
}

impl Settings {
    /// The usual settings for a relay and an identity, in memory.
    #[must_use]
    pub fn new(relay: Relay, identity: &[u8]) -> Self {
        Self {
            relay,
            data_dir: None,
            identity: identity.to_vec(),
            api_key: None,
            api_url: None,
            token: None,
            ca: None,
            passphrase: None,
            padding: false,
            unbound_joins: false,
            pins: HashMap::new(),
            max_unread: 256 << 20,
            rotate_after: Duration::from_secs(7 * 24 * 3600),
            commit_timeout: Duration::from_secs(30),
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { relay, data_dir, .. } = self;
        f.debug_struct("Settings").field("relay", relay).field("data_dir", data_dir).finish_non_exhaustive()
    }
}
