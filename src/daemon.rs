//! The composition root: opens what a daemon needs, wires the rooms together, waits for the end, drains.

pub mod announce;
mod callback;
mod descriptors;
mod echo;
pub mod errand;
mod inbox;
mod lines;
pub mod opening;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use actix_rt::{Arbiter, System};
use tokio::sync::mpsc;
use toq_actors::handler::{Bench, FileWorkshop};
use toq_actors::registry::{Open, OpenDoor};
use toq_actors::{Registry, WorkspaceRef, actix::Actor as _};
use toq_config::{Access, Adapter, ConfigError, Loaded};
use toq_http::{Facade, Shutdown, guard};
use toq_kit::{Credit, Drain, Seat};
use toq_net::shell::wait_for_leftovers;
use toq_net::{listen, local_socket, tls};
use toq_store::{Store, StoreError};
use toq_vault::{Keys, VaultError};

use crate::backup::custody::Workshop;
use crate::cli::failure::{CONFIGURATION, ERROR, RUNNING};
use crate::{names, settle, signals, telemetry};

pub use announce::{last_port, protect};

/// The ports that are tried, in order, where the configuration leaves the choice to us.
const AUTOMATIC_PORTS: std::ops::RangeInclusive<u16> = 9009..=9999;

/// How long a start waits for runs of a daemon that was killed. They are killed with it, so this is long.
const LEFTOVERS: Duration = Duration::from_secs(10);

/// The setting that names the address of the peer port.
const BIND: &str = "bind";

/// How many accepted HTTP connections may wait for the HTTP thread.
const HTTP_BACKLOG: usize = 1024;

/// Why the daemon did not start.
#[derive(Debug)]
pub enum DaemonError {
    /// A file or directory of the workspace cannot be used.
    Files(io::Error),
    /// The handlers' definitions cannot be used.
    Handlers(ConfigError),
    /// A port cannot be listened at; which setting names the address.
    Listen(&'static str, SocketAddr, io::Error),
    /// Another process has the workspace.
    Running,
    /// A socket cannot be listened at.
    Socket(PathBuf, io::Error),
    /// The identity key is gone.
    LostKey(PathBuf),
    /// It is not known who may come in.
    Rules(StoreError),
    /// The log cannot be opened.
    Store(StoreError),
    /// TLS cannot be set up.
    Tls(String),
    /// A key cannot be used.
    Vault(VaultError),
}

impl DaemonError {
    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Running => RUNNING,
            Self::Handlers(_) | Self::LostKey(_) | Self::Vault(VaultError::Mode { .. } | VaultError::Owner { .. }) => CONFIGURATION,
            Self::Files(_) | Self::Listen(..) | Self::Rules(_) | Self::Socket(..) | Self::Store(_) | Self::Tls(_) | Self::Vault(_) => ERROR,
        }
    }
}

impl std::error::Error for DaemonError {}

impl std::fmt::Display for DaemonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files(error) => write!(f, "the workspace directory cannot be used: {error}"),
            Self::Handlers(error) => error.fmt(f),
            Self::Listen(setting, address, error) if error.kind() == io::ErrorKind::AddrNotAvailable => write!(
                f,
                "cannot listen at {address}: this machine does not have the address {}; set `{setting}` to one that it has{}",
                address.ip(),
                if *setting == BIND { ", or to all of them: `toq config set bind 0.0.0.0`" } else { "" }
            ),
            Self::Listen(setting, address, error) => {
                let port = if *setting == BIND { "port" } else { setting };
                write!(f, "cannot listen at {address}: {error}; stop what uses it, or choose another port with `toq config set {port}`")
            }
            Self::LostKey(path) => write!(
                f,
                "the identity key is gone; bring its copy back, or `toq import` a backup; or begin as another agent with \
                 `toq up --new-identity` ({})",
                path.display()
            ),
            Self::Rules(error) => write!(
                f,
                "the rules of who may come in cannot be read ({error}); nothing starts, for a block may be among them. Bring back a copy of \
                 the workspace, or move its state.redb away and `toq import` a backup"
            ),
            Self::Running => f.write_str("toq appears to be running in this workspace: its log is open in another process"),
            // The path is last, because a long one is the usual reason and what is shown of a failed start has an end.
            Self::Socket(path, error) => write!(
                f,
                "cannot listen at a socket ({error}); choose another place with `toq config set adapter.unix.socket_path PATH`, instead of {}",
                path.display()
            ),
            Self::Store(error) if error.is_damage() => write!(
                f,
                "cannot open the workspace's log: {error}; bring back a copy of the workspace, or move its state.redb away and `toq import` a \
                 backup; without either its rules are lost, blocks among them"
            ),
            Self::Store(error) => write!(f, "cannot open the workspace's log: {error}"),
            Self::Tls(error) => write!(f, "cannot set up TLS: {error}"),
            Self::Vault(error) => error.fmt(f),
        }
    }
}

/// What a daemon takes from the process that it is.
pub struct Surroundings {
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The environment: keys and places of model providers, and what commands are allowed of it.
    pub variables: Vec<(String, String)>,
}

/// Runs a daemon until it is told to stop. `echo` shows on the terminal what happens.
pub fn run(surroundings: Surroundings, mut loaded: Loaded, echo: bool) -> Result<(), DaemonError> {
    telemetry::start(&loaded, echo).map_err(DaemonError::Files)?;
    let most = descriptors::fit(&mut loaded.config, telemetry::harden());
    let done = Workspace::open(&loaded).and_then(|workspace| System::new().block_on(workspace.serve(surroundings, loaded, most, echo)));
    if let Err(error) = &done {
        tracing::error!(%error, "the daemon did not start");
    }
    done
}

/// What one workspace has before anything runs.
struct Workspace {
    store: Store,
    keys: Keys,
    listener: TcpListener,
    port: u16,
    sockets: Vec<(PathBuf, UnixListener)>,
}

impl Workspace {
    /// Opens the log first: its lock is what makes this the only daemon of the workspace.
    fn open(loaded: &Loaded) -> Result<Self, DaemonError> {
        let now = toq_kit::Clock::system().wall_nanos() / 1_000_000_000;
        let store = opening::log(loaded)?.with_files(&loaded.dir.join("files"), now);
        let store = store.map_err(|error| DaemonError::Files(io::Error::other(error)))?;
        toq_actors::workspace::are_rules_readable(store.reader()).map_err(DaemonError::Rules)?;
        let keys = opening::keys(loaded, &store)?;
        let (listener, port) = bind(loaded)?;
        let sockets = sockets(loaded)?;
        Ok(Self { store, keys, listener, port, sockets })
    }

    async fn serve(self, surroundings: Surroundings, loaded: Loaded, most: usize, echo: bool) -> Result<(), DaemonError> {
        let Surroundings { home: home_dir, variables } = surroundings;
        let tls_error = |error: toq_net::TlsError| DaemonError::Tls(error.to_string());
        let acceptor = tls::acceptor(&self.keys.certificate).map_err(tls_error)?;
        let config = Arc::new(loaded.config.clone());
        let (http, connections) = mpsc::channel(HTTP_BACKLOG);
        let api_port = api_listener(&loaded, &http)?.unwrap_or(self.port);
        let bench = bench(&loaded, variables, api_port)?;
        wait_for_leftovers(&bench.lock(), LEFTOVERS).await.map_err(DaemonError::Files)?;
        let home = opening::home(&loaded, self.store, self.keys.identity, self.port, Arc::new(FileWorkshop::new(bench)))?;
        let registry = Registry::new(home.clock).start();
        let workspace_arbiter = arbiter();
        let seat = Seat::Arbiter(workspace_arbiter.clone());
        let open = Open { home: home.clone(), seat: seat.clone() };
        let workspace = registry.send(open).await.map_err(|_| DaemonError::Tls("the registry ended".to_owned()))?;

        let (stop, stopped) = mpsc::channel(1);
        let mut keys = home.key.subscribe();
        let neighbours = names::neighbours(&config, *keys.borrow_and_update(), self.port);
        if let Some(neighbours) = neighbours.clone() {
            toq_kit::spawn(names::follow(neighbours, keys));
        }
        let mut facade = facade(&loaded, home.store.reader().clone(), workspace.clone(), registry.clone(), most, api_port, stop)?;
        facade.neighbours.clone_from(&neighbours);
        // The HTTP service shares the workspace's thread: a request then costs no wake-up of another one.
        let (paths, sockets): (Vec<_>, Vec<_>) = self.sockets.into_iter().unzip();
        workspace_arbiter.spawn_fn(move || {
            toq_kit::spawn(toq_http::serve::serve(connections, sockets, facade));
        });
        // With a listener of its own, the API is never served on the peer port.
        let plain = if loaded.config.api.listen.is_some() { mpsc::channel(1).0 } else { http };
        registry.do_send(OpenDoor {
            listener: self.listener,
            acceptor,
            plain,
            seat,
            seats: config.limits.handshake_seats,
            seats_per_source: config.limits.handshakes_per_source,
        });

        let announcement = announce::Announcement { dir: loaded.dir.clone(), home: home_dir, api_port, peer_port: self.port };
        announcement.publish(&home).map_err(DaemonError::Files)?;
        if let Some(url) = config.adapter_http.callback_url.clone() {
            toq_kit::spawn(callback::run(workspace.clone(), url));
        }
        if echo && config.adapter == Adapter::Stdin {
            let token = matches!(config.api.access, Access::Token).then(|| announce::token(&loaded.dir)).transpose();
            let client = toq_api::Client::local(api_port).map_err(|error| DaemonError::Files(io::Error::other(error)))?;
            toq_kit::spawn(lines::read(client.with_token(token.map_err(DaemonError::Vault)?)));
            toq_kit::spawn(lines::write(workspace.clone()));
        } else if echo {
            echo::greet(&home, self.port);
            toq_kit::spawn(echo::messages(home.clone()));
        }
        settle::soon();
        ended(stopped).await;
        let grace = config.graceful_shutdown_timeout;
        toq_kit::spawn(signals::at_once());
        let drained = registry.send(Drain { grace });
        if tokio::time::timeout(grace + Duration::from_secs(1), drained).await.is_err() {
            tracing::warn!("the daemon stops with work in progress; it is on disk and goes on at the next start");
        }
        if let Some(neighbours) = neighbours {
            neighbours.leave().await;
        }
        announcement.withdraw(&home);
        for path in paths {
            // Gone is gone, whoever removed it.
            let _gone = std::fs::remove_file(path);
        }
        Ok(())
    }
}

/// What handlers work with. Their definitions are read once here, so that a mistake in them is told by whoever starts us.
fn bench(loaded: &Loaded, variables: Vec<(String, String)>, api_port: u16) -> Result<Bench, DaemonError> {
    toq_config::handlers::load(&loaded.dir).map_err(DaemonError::Handlers)?;
    let dir = loaded.dir.canonicalize().map_err(DaemonError::Files)?;
    // This very program, even if its file was replaced meanwhile.
    Ok(Bench { dir, program: PathBuf::from("/proc/self/exe"), variables, api_port })
}

#[allow(clippy::disallowed_methods, reason = "the composition root is where arbiters are made")]
fn arbiter() -> actix_rt::ArbiterHandle {
    Arbiter::new().handle()
}

/// Listens at the configured port, at the one of the last run, or at the first that is free.
fn bind(loaded: &Loaded) -> Result<(TcpListener, u16), DaemonError> {
    let config = &loaded.config;
    let candidates: Vec<u16> = match config.port {
        0 => announce::last_port(&loaded.dir).into_iter().chain(AUTOMATIC_PORTS).collect(),
        port => vec![port],
    };
    let mut failure = None;
    for port in candidates {
        let address = SocketAddr::new(config.bind, port);
        match listen::bind(address) {
            Ok(listener) => return Ok((listener, port)),
            Err(error) => failure = Some((address, error)),
        }
    }
    let (address, error) = failure.unwrap_or_else(|| (SocketAddr::new(config.bind, 0), io::ErrorKind::AddrInUse.into()));
    Err(DaemonError::Listen(BIND, address, error))
}

/// Listens in the workspace directory, and where the configuration says so.
fn sockets(loaded: &Loaded) -> Result<Vec<(PathBuf, UnixListener)>, DaemonError> {
    let mut sockets = Vec::new();
    let always = loaded.dir.join(toq_config::SOCKET);
    let own = loaded.config.adapter_unix.socket_path.as_ref().filter(|path| **path != always);
    let is_needed = loaded.config.adapter == Adapter::Unix && own.is_none();
    match local_socket::bind(&always) {
        Ok(listener) => sockets.push((always, listener)),
        Err(error) if is_needed => return Err(DaemonError::Socket(always, error)),
        // A path that is too long for a socket is no reason not to start, where programs do not rely on it.
        Err(error) => tracing::warn!(path = %always.display(), %error, "the API has no socket in the workspace directory"),
    }
    if let Some(path) = own {
        let listener = local_socket::bind(path).map_err(|error| DaemonError::Socket(path.clone(), error))?;
        sockets.push((path.clone(), listener));
    }
    Ok(sockets)
}

/// Opens the API's own listener, where the configuration asks for one.
fn api_listener(loaded: &Loaded, http: &mpsc::Sender<std::net::TcpStream>) -> Result<Option<u16>, DaemonError> {
    let Some(address) = loaded.config.api.listen else { return Ok(None) };
    let failed = |error| DaemonError::Listen("api.listen", address, error);
    let listener = listen::bind(address).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let http = http.clone();
    toq_kit::spawn(async move {
        loop {
            match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => {
                    if http.send(stream).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(Some(port))
}

fn facade(
    loaded: &Loaded,
    reader: toq_store::Reader,
    workspace: WorkspaceRef,
    registry: toq_actors::actix::Addr<Registry>,
    connections: usize,
    port: u16,
    shutdown: mpsc::Sender<Shutdown>,
) -> Result<Facade, DaemonError> {
    let api = &loaded.config.api;
    let access = match api.access {
        Access::SameUser => guard::Access::SameUser,
        Access::Token => guard::Access::Token(announce::token(&loaded.dir).map_err(DaemonError::Vault)?),
    };
    Ok(Facade {
        workspace,
        registry,
        rules: guard::Rules::new(access, port, &api.allowed_hosts),
        connections,
        credit: Credit::new(api.max_concurrent_requests),
        dir: loaded.dir.clone(),
        config: loaded.clone(),
        in_force: RwLock::new(loaded.to_json()),
        log_level: telemetry::set_level,
        neighbours: None,
        shutdown,
        custody: Arc::new(Workshop::new(loaded.dir.clone(), reader)),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Waits for a signal or for the API to ask for the end.
async fn ended(mut stopped: mpsc::Receiver<Shutdown>) {
    let signalled = async {
        if let Err(error) = signals::ended().await {
            tracing::error!(%error, "signals cannot be listened for; only the API can stop the daemon");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = signalled => {}
        _ = stopped.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_the_machine_does_not_have_is_not_blamed_on_the_port() {
        let address = SocketAddr::from(([10, 9, 8, 7], 9009));
        let told = |setting, kind: io::ErrorKind| DaemonError::Listen(setting, address, kind.into()).to_string();

        let absent = told(BIND, io::ErrorKind::AddrNotAvailable);
        assert!(absent.contains("does not have the address 10.9.8.7") && absent.contains("config set bind"), "{absent}");
        assert!(!absent.contains("another port"), "{absent}");
        assert!(told("api.listen", io::ErrorKind::AddrNotAvailable).contains("set `api.listen`"));
        assert!(told(BIND, io::ErrorKind::AddrInUse).contains("`toq config set port`"));
        assert!(told("api.listen", io::ErrorKind::AddrInUse).contains("`toq config set api.listen`"));
    }
}
