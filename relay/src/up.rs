//! A whole relay: its log, its tree, its API server, its listeners.
//!
//! Everything of a relay that runs in a process hangs on a [`Relay`]. It is made on the thread of an actix system, where its actors
//! and its streams run; the log's writer has a thread of its own, because it blocks on the disk.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor as _, Addr};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::InterceptorLayer;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Status};
use toq_channels::ChannelName;
use toq_kit::{Clock, Drain, Seat};
use toq_store::relay::RelayStore;
use toq_store::{Options, StoreError};

use crate::begun::Begun;
use crate::bus::ProcessBus;
use crate::guests::Guests;
use crate::home::{Home, Limits, Retention};
use crate::keep;
use crate::lobby::{Lobby, Visit};
use crate::office::{self, Office, Running, SOCKET, Settings};
use crate::plane::{Admission, DataPlane};
use crate::registry::{Registry, Revoke};
use crate::revoked::{News, Revoked};
use crate::socket;
use crate::tls::Tls;
use crate::token::{Check, Mint};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many streams one socket may carry.
const STREAMS: u32 = 16;
/// What a member may send before we have looked at it, in bytes, for one stream and for all of a socket.
const STREAM_WINDOW: u32 = 256 << 10;
/// See [`STREAM_WINDOW`].
const SOCKET_WINDOW: u32 = 1 << 20;

/// The largest question about health, in bytes: it names a service.
const HEALTH: usize = 4 << 10;

/// How long what was taken away gathers after some of it was told of.
const PAUSE: Duration = Duration::from_millis(50);

/// What a relay is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Where the data plane listens; port 0 is any that is free.
    pub grpc: SocketAddr,
    /// Where the API server listens.
    pub api: SocketAddr,
    /// Whether everybody is let in without a token.
    pub anonymous: bool,
    /// A secret that tokens may be signed with besides the relay's own key.
    pub hs256: Option<Vec<u8>>,
    /// What both servers show; clear text without it.
    pub tls: Option<Tls>,
    /// How much.
    pub limits: Limits,
    /// How long.
    pub retention: Retention,
    /// The API server.
    pub office: Settings,
    /// A connection that says nothing for so long is asked whether it is there, and has as long again to answer.
    pub keepalive: Duration,
    /// What the database may take up, in bytes; 0 is whatever the disk has.
    pub quota: u64,
    /// The page cache of the database, in bytes.
    pub cache: usize,
}

/// Why a relay did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpError {
    /// The data directory cannot be used.
    #[error("cannot use {}: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody listens there already, or nobody may.
    #[error("cannot listen at {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the relay's database: {0}")]
    Store(#[from] StoreError),
    /// The certificate or its key is not one.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// A relay that runs.
#[derive(Debug)]
pub struct Relay {
    /// Where the data plane listens.
    pub grpc: SocketAddr,
    /// Where the API server listens.
    pub api: SocketAddr,
    socket: PathBuf,
    office: Running,
    revocations: JoinHandle<()>,
    home: Arc<Home>,
    begun: Begun,
    registry: Addr<Registry>,
    store: RelayStore,
    server: JoinHandle<()>,
    accepting: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// Starts a relay; it serves when this returns.
///
/// # Errors
/// [`UpError`] says what is wrong and where; nothing runs then.
pub async fn up(config: Config) -> Result<Relay, UpError> {
    keep::prepare(&config.data).map_err(|error| UpError::Directory { path: config.data.clone(), error })?;
    // Opening the database is what makes a second relay on this directory impossible.
    let store = RelayStore::open(&config.data, Options { cache: config.cache, quota: config.quota }).await?;
    let mint = keep::mint(&config.data).map_err(|error| UpError::Directory { path: config.data.clone(), error })?;
    let admission = admission(&config, &mint);
    let (listener, grpc) = listen(config.grpc)?;
    let (api_listener, api) = listen(config.api)?;
    let server = server(&config)?;

    let log = Arc::new(store.log().clone());
    let clock = Clock::system();
    let revoked = Revoked::load(store.accounts())?;
    let mut home = Home::new(log, Arc::new(ProcessBus::default()), clock, config.limits.clone(), config.retention);
    if !config.anonymous {
        home = home.with_guests(Guests::new(store.accounts().clone(), revoked.clone()));
    }
    let home = Arc::new(home);
    let registry = Registry::new(home.clone(), Seat::Here).start();
    let plane = DataPlane::new(admission, home.clone(), registry.clone());
    let begun = plane.begun();
    let revocations = end_revoked(revoked.clone(), registry.clone());

    let settings = Settings { messages_per_month: config.limits.messages_per_month.clone(), ..config.office.clone() };
    let office = Office::new(store.clone(), mint, revoked, settings, clock).beside(home.clone());
    let operator = office::bind_socket(&config.data);
    if let Err(error) = &operator {
        // A path that is too long for a socket is no reason not to start.
        tracing::warn!(%error, "the operator's commands do not reach this relay while it runs");
    }
    let tls = config.tls.as_ref().map(Tls::config);
    let office = office::start(office, api_listener, tls, operator.ok()).map_err(|error| UpError::Listen { address: api, error })?;
    let ends = office.ends().clone();
    let revocations = ends.spawn("what ends connections whose key was revoked", revocations);

    let (accepted, sockets) = mpsc::channel(1);
    let listener = TcpListener::from_std(listener).map_err(|error| UpError::Listen { address: grpc, error })?;
    let accepting = ends.spawn("what lets members connect", socket::accept(listener, Lobby::new(config.limits.newcomers), accepted));
    let (reporter, health) = tonic_health::server::health_reporter();
    let health = health.max_decoding_message_size(HEALTH);
    reporter.set_serving::<DataPlane>().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = server.layer(InterceptorLayer::new(noted)).add_service(health).add_service(plane).serve_with_incoming_shutdown(
        ReceiverStream::new(sockets),
        async move {
            // Dropping the other end is an order to stop as well.
            let _dropped = stopped.await;
        },
    );
    let server = ends.spawn("the data plane", async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the data plane has ended");
        }
    });
    Ok(Relay { grpc, api, socket: config.data.join(SOCKET), office, revocations, home, begun, registry, store, server, accepting, stop })
}

/// Lets connections look again at what they may, as soon as something of it is taken away.
async fn end_revoked(revoked: Revoked, registry: Addr<Registry>) {
    let mut changes = revoked.changes();
    while changes.changed().await.is_ok() {
        let News { keys, channels } = revoked.take_news();
        let channels = channels.iter().filter_map(|name| ChannelName::parse(name).ok()).collect();
        registry.do_send(Revoke { keys, channels });
        // What comes meanwhile is told of at once.
        tokio::time::sleep(PAUSE).await;
    }
}

fn listen(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), UpError> {
    let failed = |error| UpError::Listen { address, error };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn admission(config: &Config, mint: &Mint) -> Admission {
    if config.anonymous {
        return Admission::Anyone;
    }
    Admission::Token([Some(mint.check()), config.hs256.clone().map(Check::Hs256)].into_iter().flatten().collect())
}

/// Notes that a socket has asked for something.
fn noted(request: Request<()>) -> Result<Request<()>, Status> {
    if let Some(visit) = request.extensions().get::<Visit>() {
        visit.ask();
    }
    Ok(request)
}

fn server(config: &Config) -> Result<Server, UpError> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(config.keepalive))
        .http2_keepalive_timeout(Some(config.keepalive))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(SOCKET_WINDOW)
        .max_concurrent_streams(STREAMS);
    let Some((certificate, key)) = config.tls.as_ref().map(Tls::pem) else { return Ok(server) };
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)).timeout(HANDSHAKE);
    server.tls_config(tls).map_err(|error| UpError::Tls(std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)))
}

impl Relay {
    /// What everybody in it knows.
    #[must_use]
    pub const fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// The room for large frames that are on their way in.
    #[must_use]
    pub const fn begun(&self) -> &Begun {
        &self.begun
    }

    /// Makes somebody panic.
    #[cfg(feature = "faults")]
    pub fn drill(&self, drill: crate::drill::Drill) {
        self.registry.do_send(drill);
    }

    /// Its database.
    #[must_use]
    pub const fn store(&self) -> &RelayStore {
        &self.store
    }

    /// Waits until something has ended that was to run as long as the relay; says what. It does not serve as it should then, and is to
    /// be stopped.
    pub async fn ended(&self) -> &'static str {
        self.office.ends().first().await
    }

    /// Stops: nobody comes in, what was published is answered, everybody is told. What was accepted is on disk in any case.
    pub async fn stop(self, grace: Duration) {
        self.accepting.abort();
        self.revocations.abort();
        let drained = self.registry.send(Drain { grace });
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!("some connections did not finish within the grace period");
        }
        let _gone = self.stop.send(());
        let mut server = self.server;
        if tokio::time::timeout(grace, &mut server).await.is_err() {
            server.abort();
        }
        self.office.stop().await;
        // Gone is gone, whoever removed it.
        let _gone = std::fs::remove_file(&self.socket);
        drop((self.home, self.registry));
        self.store.close();
    }
}

#[cfg(test)]
mod tests;
