//! Two agents in one process: local task set, paused clock, memory for disk and wire.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use toq_actors::actix::{Actor as _, Addr};
use toq_actors::connection::Link;
use toq_actors::handler::{NoHandlers, Workshop};
use toq_actors::registry::Open;
use toq_actors::workspace::{Accepted, Arrived, Origin, Patience, Send, WorkspaceError};
use toq_actors::{Home, Registry, Seed, WorkspaceRef};
use toq_config::{ConnectionMode, WorkspaceConfig};
use toq_kit::{Clock, Seat};
use toq_net::SecureIo;
use toq_net::dial::{DialError, Dialer};
use toq_net::resolve::{Asked, LookupError, Resolver, Route};
use toq_protocol::address::Address;
use toq_protocol::binding::Exporter;
use toq_protocol::canonical::Json;
use toq_protocol::dns::Answer;
use toq_protocol::envelope::Kind;
use toq_protocol::key::Identity;
use toq_protocol::session::Greeting;
use toq_store::Store;
use toq_store::record::{Direction, MessageRow};

/// A name about which nobody ever answers.
pub const SILENT: &str = "silent.example";

/// The wire between the agents: memory, which can be cut.
#[derive(Default)]
pub struct Wire {
    ends: Mutex<HashMap<String, WorkspaceRef>>,
    is_cut: AtomicBool,
    /// The TXT records of each domain.
    records: Mutex<HashMap<String, Vec<String>>>,
}

impl Wire {
    /// Makes every dial fail, or work again.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }

    /// Publishes a TXT record.
    pub fn announce(&self, domain: &str, record: String) {
        self.records.lock().expect("not poisoned").entry(domain.to_owned()).or_default().push(record);
    }
}

impl Dialer for Wire {
    fn dial<'a>(
        &'a self,
        target: &'a Address,
        _: &'a Route,
    ) -> Pin<Box<dyn Future<Output = Result<SecureIo, DialError>> + std::marker::Send + 'a>> {
        let end = self.ends.lock().expect("not poisoned").get(&target.key()).cloned();
        let refused = || DialError::Connect {
            host: target.host().to_owned(),
            port: target.port(),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        };
        let result = match end.filter(|_| !self.is_cut.load(Ordering::SeqCst)) {
            None => Err(refused()),
            Some(end) => {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                let exporter = Exporter::new([9; 32]);
                toq_kit::spawn(greet(theirs, exporter, end));
                Ok(SecureIo { io: Box::new(ours), exporter })
            }
        };
        Box::pin(async { result })
    }
}

/// Nobody in the house has a domain.
impl Resolver for Wire {
    fn agents<'a>(&'a self, domain: &'a str) -> Asked<'a, Result<Answer, LookupError>> {
        let records = self.records.lock().expect("not poisoned").get(domain).cloned();
        Box::pin(async { Ok(Answer::read(records.ok_or_else(|| LookupError::NoName(domain.to_owned()))?)?) })
    }

    fn addresses<'a>(&'a self, host: &'a str) -> Asked<'a, Result<Vec<IpAddr>, LookupError>> {
        Box::pin(async move {
            if host == SILENT {
                std::future::pending::<()>().await;
            }
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        })
    }
}

/// What a door does, over memory.
async fn greet(mut io: tokio::io::DuplexStream, exporter: Exporter, end: WorkspaceRef) {
    use tokio::io::AsyncReadExt as _;
    let mut greeting = Greeting::new();
    let mut buffer = [0; 2048];
    loop {
        let read = io.read(&mut buffer).await.expect("memory");
        match greeting.read(&buffer[..read]).expect("a greeting") {
            Err(more) => greeting = more,
            Ok(greeted) => {
                let io = SecureIo { io: Box::new(io), exporter };
                let link = Link { io, greeted, local_host: "127.0.0.1".to_owned(), remote: "memory".to_owned() };
                end.address().do_send(Arrived(Box::new(link)));
                return;
            }
        }
    }
}

/// How many messages an agent keeps however old they are.
pub const NEWEST: usize = 20;

/// One agent.
pub struct Agent {
    pub workspace: WorkspaceRef,
    pub address: Address,
    _dir: TempDir,
}

/// Two agents and the wire between them.
pub struct House {
    clock: Clock,
    pub wire: Arc<Wire>,
    pub registry: Addr<Registry>,
    pub alice: Agent,
    pub bob: Agent,
}

impl House {
    /// Opens two agents that let everybody in.
    pub async fn with_two_agents() -> Self {
        Self::with_bob_in(ConnectionMode::Open).await
    }

    /// Opens two agents, of which bob is in this mode.
    pub async fn with_bob_in(mode: ConnectionMode) -> Self {
        Self::with_workshops(mode, Arc::new(NoHandlers), Arc::new(NoHandlers)).await
    }

    /// Opens two agents with these handlers, of which bob is in this mode.
    pub async fn with_workshops(mode: ConnectionMode, alices: Arc<dyn Workshop>, bobs: Arc<dyn Workshop>) -> Self {
        Self::furnished(mode, alices, bobs, |_| {}, |_| {}).await
    }

    /// Opens two agents, of which bob asks his owner about so many strangers at a time.
    pub async fn with_bob_asking(about: usize) -> Self {
        let short = |config: &mut WorkspaceConfig| config.max_pending_approvals = about;
        Self::furnished(ConnectionMode::Approval, Arc::new(NoHandlers), Arc::new(NoHandlers), |_| {}, short).await
    }

    /// Opens two agents that let everybody in, of which alice tries each message so often.
    pub async fn with_alice_trying(attempts: u32) -> Self {
        let trying = |config: &mut WorkspaceConfig| config.delivery.max_attempts = attempts;
        Self::furnished(ConnectionMode::Open, Arc::new(NoHandlers), Arc::new(NoHandlers), trying, |_| {}).await
    }

    /// Opens two agents that let everybody in, of which bob takes so many messages a second from one peer.
    pub async fn with_bob_taking(messages_per_second: u64) -> Self {
        let slow = |config: &mut WorkspaceConfig| config.limits.messages_per_second_per_peer = messages_per_second;
        Self::furnished(ConnectionMode::Open, Arc::new(NoHandlers), Arc::new(NoHandlers), |_| {}, slow).await
    }

    /// Opens two agents that let everybody in; bob has these handlers and keeps so many of their answers for one address.
    pub async fn with_bob_keeping(answers: usize, bobs: Arc<dyn Workshop>) -> Self {
        let short = |config: &mut WorkspaceConfig| config.limits.answers_per_address = answers;
        Self::furnished(ConnectionMode::Open, Arc::new(NoHandlers), bobs, |_| {}, short).await
    }

    async fn furnished(
        mode: ConnectionMode,
        alices: Arc<dyn Workshop>,
        bobs: Arc<dyn Workshop>,
        alices_way: impl FnOnce(&mut WorkspaceConfig),
        bobs_way: impl FnOnce(&mut WorkspaceConfig),
    ) -> Self {
        let clock = Clock::paused(1_800_000_000_000_000_000);
        let registry = Registry::new(clock).start();
        let wire = Arc::new(Wire::default());
        let alice = open(&registry, &wire, clock, "alice", 9101, alices, alices_way).await;
        let bobs_way = |config: &mut WorkspaceConfig| {
            config.connection_mode = mode;
            bobs_way(config);
        };
        let bob = open(&registry, &wire, clock, "bob", 9102, bobs, bobs_way).await;
        Self { clock, wire, registry, alice, bob }
    }

    /// Opens an agent that calls itself whatever it likes. It dials others; whoever dials its address meets whom
    /// the wire leads to.
    pub async fn impostor(&self, id: &str, claims: &Address, seed: u8) -> Agent {
        let dir = TempDir::new().expect("a directory");
        let config = config(&dir, claims.agent().as_str(), claims.host(), claims.port());
        let home = home(&dir, id, config, [seed; 32], &self.wire, self.clock, Arc::new(NoHandlers));
        let workspace = self.registry.send(Open { home, seat: Seat::Here }).await.expect("the registry lives");
        Agent { workspace, address: claims.clone(), _dir: dir }
    }

    /// Leads everybody who dials `address` to `agent`.
    pub fn lead(&self, address: &Address, agent: &Agent) {
        self.wire.ends.lock().expect("not poisoned").insert(address.key(), agent.workspace.clone());
    }
}

async fn open(
    registry: &Addr<Registry>,
    wire: &Arc<Wire>,
    clock: Clock,
    name: &str,
    port: u16,
    workshop: Arc<dyn Workshop>,
    way: impl FnOnce(&mut WorkspaceConfig),
) -> Agent {
    let dir = TempDir::new().expect("a directory");
    let mut config = config(&dir, name, "127.0.0.1", port);
    way(&mut config);
    let home = home(&dir, name, config, [name.len() as u8; 32], wire, clock, workshop);
    let address = home.local().address.clone();
    let workspace = registry.send(Open { home, seat: Seat::Here }).await.expect("the registry lives");
    wire.ends.lock().expect("not poisoned").insert(address.key(), workspace.clone());
    Agent { workspace, address, _dir: dir }
}

fn config(dir: &TempDir, name: &str, host: &str, port: u16) -> WorkspaceConfig {
    toq_config::init(dir.path(), name, host, Some(port)).expect("a workspace");
    let mut config = WorkspaceConfig::load(dir.path(), std::iter::empty(), &[]).expect("valid").config;
    config.connection_mode = ConnectionMode::Open;
    config.message_history_limit = NEWEST;
    config.thread_cleanup_days = 1;
    config
}

fn home(
    dir: &TempDir,
    id: &str,
    config: WorkspaceConfig,
    seed: [u8; 32],
    wire: &Arc<Wire>,
    clock: Clock,
    workshop: Arc<dyn Workshop>,
) -> Arc<Home> {
    let seed = toq_vault::Seed::new(seed);
    let keys = dir.path().join("keys");
    toq_vault::make_private_dir(&keys).expect("a directory");
    toq_vault::write_private(&keys.join("identity.key"), toq_vault::seed_text(&seed).as_bytes()).expect("a key");
    Home::new(Seed {
        id: id.to_owned(),
        port: config.port,
        config: Arc::new(config),
        identity: Identity::from_seed(&seed),
        rotations: Vec::new(),
        keys,
        store: Store::in_memory().expect("memory"),
        dialer: wire.clone(),
        workshop,
        resolver: wire.clone(),
        clock,
    })
}

/// Moves the paused clock on while nothing else can happen.
pub async fn later(by: Duration) {
    tokio::time::sleep(by).await;
}

impl Agent {
    /// Sends a text and returns what was accepted.
    pub async fn send(&self, to: &Address, text: &str, patience: Patience) -> Result<Accepted, WorkspaceError> {
        let command = Send {
            to: vec![to.clone()],
            kind: Kind::MessageSend,
            body: Json::parse(&format!(r#"{{"text":"{text}"}}"#)).ok(),
            thread_id: Some("t".to_owned()),
            reply_to: None,
            content_type: None,
            idempotency: None,
            patience,
            origin: Origin::Owner,
        };
        let accepted = self.workspace.address().send(command).await.expect("the workspace lives")?;
        Ok(accepted.into_iter().next().expect("one recipient"))
    }

    /// Sends a text in a conversation of its own.
    pub async fn send_in(&self, to: &Address, thread: &str, text: &str) -> Accepted {
        let command = Send {
            to: vec![to.clone()],
            kind: Kind::MessageSend,
            body: Some(Json::from_text(text)),
            thread_id: Some(thread.to_owned()),
            reply_to: None,
            content_type: None,
            idempotency: None,
            patience: Patience::Settled,
            origin: Origin::Owner,
        };
        let accepted = self.workspace.address().send(command).await.expect("the workspace lives").expect("accepted");
        accepted.into_iter().next().expect("one recipient")
    }

    /// The events that were noted, in order: type, subject, reason.
    pub fn events(&self) -> Vec<(String, String, String)> {
        let rows = self.workspace.home.store.reader().events_after(toq_store::Seq(0), 1000).expect("reads");
        rows.into_iter().map(|(_, row)| (row.kind, row.subject, row.reason.unwrap_or_default())).collect()
    }

    /// The texts that came in, in order.
    pub fn inbox(&self) -> Vec<String> {
        self.inbox_from(toq_store::Seq(0))
    }

    /// How many messages came in and are still there.
    pub fn inbox_len(&self) -> usize {
        self.inbox().len()
    }

    /// The texts that came in after a place, in order.
    pub fn inbox_from(&self, after: toq_store::Seq) -> Vec<String> {
        let rows = self.workspace.home.store.reader().messages_after(after, 10_000).expect("reads");
        let text = |row: MessageRow| row.message().expect("a message").body.and_then(|body| body.text()).unwrap_or_default();
        rows.into_iter().filter(|(_, row)| row.direction() == Direction::In).map(|(_, row)| text(row)).collect()
    }

    /// Waits until this many messages came in. The paused clock moves on while nothing else can happen.
    pub async fn has_received(&self, count: usize) -> Vec<String> {
        let mut tail = self.workspace.home.store.reader().watch();
        loop {
            tail.mark_unchanged();
            let inbox = self.inbox();
            if inbox.len() >= count {
                return inbox;
            }
            let changed = tokio::time::timeout(Duration::from_secs(3600), tail.changed()).await;
            changed.expect("an hour of the paused clock is enough").expect("the store lives");
        }
    }
}

/// Runs a test on a local task set under a paused clock.
pub fn run<F: Future<Output = ()> + 'static>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}
