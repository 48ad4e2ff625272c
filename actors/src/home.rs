//! What all actors of one workspace share. None of them changes it, but for the key, which a rotation replaces.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{broadcast, watch};
use toq_config::{ChannelBinding, ConnectionMode, WorkspaceConfig};
use toq_kit::{Clock, fault};
use toq_net::SecureIo;
use toq_net::dial::{DialError, Dialer};
use toq_net::resolve::{Pinned, Resolver, Route, Routes};
use toq_protocol::address::Address;
use toq_protocol::card::Card;
use toq_protocol::delivery::Schedule;
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::message::MessageId;
use toq_protocol::policy::{Mode, Policy};
use toq_protocol::rotation::RotationProof;
use toq_protocol::session::{Deadlines, Entropy, Expected, Local, Locality};
use toq_protocol::time::{Now, Timestamp};
use toq_store::Store;

use crate::handler::Workshop;
use crate::live::{BEHIND, LiveChunk};

/// What a workspace is made of.
pub struct Seed {
    /// Its name among the workspaces of this process.
    pub id: String,
    /// Its configuration.
    pub config: Arc<WorkspaceConfig>,
    /// Its key.
    pub identity: Identity,
    /// How it came to it, oldest first.
    pub rotations: Vec<RotationProof>,
    /// Where its key files are.
    pub keys: PathBuf,
    /// Its open store.
    pub store: Store,
    /// The port that peers really reach.
    pub port: u16,
    /// How it dials.
    pub dialer: Arc<dyn Dialer>,
    /// Its handlers.
    pub workshop: Arc<dyn Workshop>,
    /// What it asks names of.
    pub resolver: Arc<dyn Resolver>,
    /// Its clock.
    pub clock: Clock,
}

/// What happened since the start, counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages that came in and were stored.
    pub messages_in: AtomicU64,
    /// Messages that were accepted to be sent.
    pub messages_out: AtomicU64,
    /// Messages that came in again and were acknowledged again.
    pub duplicates: AtomicU64,
    /// Messages and sessions that were refused.
    pub refused: AtomicU64,
    /// Commits that failed.
    pub failed_commits: AtomicU64,
    /// Actors that panicked.
    pub panics: AtomicU64,
    /// How often somebody else was meant, and who the last time. One address is kept, whatever strangers send.
    misaddressed: Mutex<Option<(u64, Address)>>,
}

impl Counters {
    /// Adds one.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message or session that was refused because it was meant for this address.
    pub(crate) fn note_misaddressed(&self, address: &Address) {
        let mut noted = self.misaddressed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = noted.as_ref().map_or(0, |(count, _)| *count);
        *noted = Some((count.saturating_add(1), address.clone()));
    }

    /// How often somebody else was meant, and who the last time.
    #[must_use]
    pub fn misaddressed(&self) -> Option<(u64, Address)> {
        self.misaddressed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads one.
    #[must_use]
    pub fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// The surroundings of a workspace's actors.
pub struct Home {
    /// Its name among the workspaces of this process.
    pub id: String,
    /// Its configuration.
    pub config: Arc<WorkspaceConfig>,
    /// Who it is in sessions that begin now.
    local: RwLock<Arc<Local>>,
    /// Where its key files are.
    pub keys: PathBuf,
    /// Its open store.
    pub store: Store,
    /// How it dials.
    pub dialer: Arc<dyn Dialer>,
    /// Its handlers.
    pub workshop: Arc<dyn Workshop>,
    /// What it asks names of.
    pub resolver: Arc<dyn Resolver>,
    /// How it finds agents.
    pub routes: Routes,
    /// Its clock.
    pub clock: Clock,
    /// Chunks as they come.
    pub live: broadcast::Sender<Arc<LiveChunk>>,
    /// The policy in force, for everybody who offers messages: what a blocked peer has sent is not offered. It knows which keys of peers
    /// were followed by others.
    pub policy: watch::Sender<Policy>,
    /// The key in sessions that begin now, for whoever tells others of it.
    pub key: watch::Sender<PeerKey>,
    /// What happened since the start.
    pub counters: Counters,
}

impl Home {
    /// Furnishes a workspace.
    #[must_use]
    pub fn new(seed: Seed) -> Arc<Self> {
        let config = seed.config;
        let address = config.address(seed.port);
        let hosts = std::iter::once(config.host.as_str()).chain(config.aliases.iter().map(|alias| alias.host())).chain([address.host()]);
        let ports = config.aliases.iter().map(|alias| alias.port()).chain([seed.port, address.port()]);
        let mut locality = Locality::new(config.agent_name.clone(), hosts, ports);
        if fault::is_broken("no-to-check") {
            locality = locality.unchecked();
        }
        let card = Card {
            name: config.agent_name.to_string(),
            description: None,
            public_key: seed.identity.public().to_string(),
            protocol_version: toq_protocol::envelope::VERSION.to_owned(),
            capabilities: Vec::new(),
            accept_files: config.accept_files,
            max_file_size: config.accept_files.then_some(config.max_file_size),
            max_message_size: u64::try_from(config.max_message_size).ok(),
            connection_mode: Some(config.connection_mode.as_str().to_owned()),
        };
        let deadlines = Deadlines {
            handshake: config.handshake_timeout,
            negotiation: config.negotiation_timeout,
            heartbeat: config.heartbeat_interval,
            silence: config.heartbeat_timeout,
        };
        let requires_binding = config.require_channel_binding == ChannelBinding::Always;
        let mode = mode(config.connection_mode);
        let local =
            Arc::new(Local { identity: seed.identity, address, locality, card, deadlines, requires_binding, rotations: seed.rotations });
        let (live, _) = broadcast::channel(BEHIND);
        let key = local.identity.public();
        Arc::new(Self {
            id: seed.id,
            config,
            local: RwLock::new(local),
            keys: seed.keys,
            store: seed.store,
            dialer: seed.dialer,
            workshop: seed.workshop,
            routes: Routes::new(seed.resolver.clone()),
            resolver: seed.resolver,
            clock: seed.clock,
            live,
            policy: watch::Sender::new(Policy::new(mode)),
            key: watch::Sender::new(key),
            counters: Counters::default(),
        })
    }

    /// Finds the way to an agent and opens a connection there. The route tells which key the agent must show.
    ///
    /// # Errors
    /// [`DialError`] says which step failed.
    pub async fn reach(&self, target: &Address) -> Result<(Route, SecureIo), DialError> {
        // A pin that cannot be read stands for a key that nobody has.
        let pinned = if matches!(self.store.reader().pin(target), Ok(None)) { Pinned::No } else { Pinned::Yes };
        let route = self.routes.find(target, pinned).await?;
        let io = self.dialer.dial(target, &route).await?;
        Ok((route, io))
    }

    /// Who it is in sessions that begin now.
    #[must_use]
    pub fn local(&self) -> Arc<Local> {
        self.local.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Speaks with another key from now on; sessions that are open keep theirs.
    pub(crate) fn speak_with(&self, identity: Identity, rotations: Vec<RotationProof>) {
        let mut local = self.local.write().unwrap_or_else(PoisonError::into_inner);
        let card = Card { public_key: identity.public().to_string(), ..local.card.clone() };
        let (address, locality) = (local.address.clone(), local.locality.clone());
        let (deadlines, requires_binding) = (local.deadlines, local.requires_binding);
        *local = Arc::new(Local { identity, address, locality, card, deadlines, requires_binding, rotations });
        self.key.send_replace(local.identity.public());
    }

    /// What is known of the agent at an address before it is dialled: the pinned key, else the one that DNS
    /// announces.
    #[must_use]
    pub fn expected(&self, target: &Address, announced: Option<PeerKey>) -> Expected {
        let reader = self.store.reader();
        let pinned = match reader.pin(target) {
            Ok(pin) => pin.map(|pin| pin.peer()),
            Err(error) => {
                // A key that cannot be read must not make room for any other.
                tracing::error!(%error, "a pin cannot be read; the agent is not met");
                Some(PeerKey::from_bytes([0; 32]))
            }
        };
        let key = pinned.or(announced);
        let binds = key.and_then(|key| reader.peer(&key).ok().flatten()).and_then(|peer| peer.binds);
        Expected { key, binding: binds == Some(true) }
    }

    /// Both clocks now.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { wall: self.wall(), monotonic: self.clock.monotonic() }
    }

    /// The wall clock now.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_nanos(self.clock.wall_nanos())
    }

    /// The mode in the configuration.
    #[must_use]
    pub fn mode(&self) -> Mode {
        mode(self.config.connection_mode)
    }

    /// How deliveries are spaced.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        let delivery = &self.config.delivery;
        Schedule { initial: delivery.retry_initial, max: delivery.retry_max, max_attempts: delivery.max_attempts }
    }

    /// Random bytes.
    ///
    /// The system's source is read without blocking once it is seeded, which it is long before a daemon
    /// starts; a system without one cannot run this program safely.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        toq_vault::random().expect("the operating system gives random bytes")
    }

    /// A new id for a message or a thread.
    #[must_use]
    pub fn new_id(&self) -> MessageId {
        MessageId::ordered(self.wall(), self.random())
    }

    /// A random number, for jitter.
    #[must_use]
    pub fn jitter(&self) -> u64 {
        u64::from_ne_bytes(self.random())
    }

    /// The random bytes of a session.
    #[must_use]
    pub fn entropy(&self) -> Entropy {
        Entropy { challenge: self.random(), ids: self.random() }
    }
}

const fn mode(configured: ConnectionMode) -> Mode {
    match configured {
        ConnectionMode::Open => Mode::Open,
        ConnectionMode::Allowlist => Mode::Allowlist,
        ConnectionMode::DnsVerified => Mode::DnsVerified,
        _ => Mode::Approval,
    }
}
