//! Listeners in, a running server out.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use rustls::ServerConfig;
use tokio::task::JoinHandle;

use super::crowd::Crowd;
use super::{Office, guard, routes};
use crate::ends::Ends;

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(75);

/// How long a request's header may take, and a TLS handshake before it.
const HEADER: Duration = Duration::from_secs(10);

/// How many threads serve members.
const WORKERS: usize = 2;

/// How long requests may take to end when the server stops.
const GRACE: u64 = 5;

/// How often it is looked whether the server's threads have let go, and how many times.
const LOOK: Duration = Duration::from_millis(5);
/// See [`LOOK`].
const LETTING_GO: u32 = 400;

/// How often what has ended is removed.
const TIDY: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub struct Running {
    office: Arc<Office>,
    servers: Vec<(ServerHandle, JoinHandle<()>)>,
    tidy: JoinHandle<()>,
    ends: Ends,
}

/// Serves members at `api`, in clear text without `tls`, and the operator's commands at `socket`. To be called on a thread that runs actors.
///
/// # Errors
/// Where a listener cannot be used.
pub fn start(office: Office, api: TcpListener, tls: Option<ServerConfig>, socket: Option<UnixListener>) -> io::Result<Running> {
    let office = web::Data::new(office);
    let shared = office.clone();
    let crowd = Crowd::new(office.settings.most_connections);
    let members = HttpServer::new(move || App::new().app_data(shared.clone()).wrap(from_fn(guard::guard)).configure(routes::members));
    let members = members
        .workers(WORKERS)
        .on_connect(move |connection, kept| crowd.meet(connection, kept))
        .max_connections(office.settings.most_connections / WORKERS)
        .keep_alive(IDLE)
        .client_request_timeout(HEADER)
        .tls_handshake_timeout(HEADER)
        .shutdown_timeout(GRACE)
        .disable_signals();
    let members = match tls {
        None => members.listen(api)?,
        Some(tls) => members.listen_rustls_0_23(api, tls)?,
    };
    let ends = Ends::default();
    let mut servers = vec![run(&ends, "the API server", members.run())];
    if let Some(socket) = socket {
        let shared = office.clone();
        let operator = HttpServer::new(move || App::new().app_data(shared.clone()).configure(routes::operator));
        let operator = operator.workers(1).max_connections(64).client_request_timeout(HEADER).shutdown_timeout(GRACE).disable_signals();
        servers.push(run(&ends, "what answers the operator's commands", operator.listen_uds(socket)?.run()));
    }
    let tidy = ends.spawn("what removes what has ended", tidy(office.clone().into_inner()));
    Ok(Running { office: office.into_inner(), servers, tidy, ends })
}

fn run(ends: &Ends, what: &'static str, server: Server) -> (ServerHandle, JoinHandle<()>) {
    let handle = server.handle();
    let ending = ends.spawn(what, async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the API server ended");
        }
    });
    (handle, ending)
}

async fn tidy(office: Arc<Office>) {
    loop {
        tokio::time::sleep(TIDY).await;
        if let Err(error) = office.trim().await {
            tracing::warn!(%error, "what has ended could not be removed; it is tried again");
        }
    }
}

impl Running {
    /// What is served.
    #[must_use]
    pub fn office(&self) -> &Arc<Office> {
        &self.office
    }

    /// What is told where something of it has ended.
    pub(crate) const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Takes no more requests and lets those that run end, for a few seconds.
    pub async fn stop(self) {
        let Self { office, servers, tidy, .. } = self;
        tidy.abort();
        office.bells.close();
        for (handle, ending) in servers {
            handle.stop(true).await;
            drop(ending.await);
        }
        // The threads that served let go a moment after they have said that they ended; until then the database stays open.
        for _ in 0..LETTING_GO {
            if Arc::strong_count(&office) == 1 {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        tracing::warn!("the API server has ended and something still uses it");
    }
}
