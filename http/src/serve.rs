//! Connections in, whichever listener accepted them.
//!
//! There is no HTTP listener here: doors accept, look at the first byte and hand over what is not TLS. A
//! connection from loopback meets the API; any other meets a table without routes. The two are different
//! objects, so no mistake in a handler can open one to the other.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_http::{Error, HttpService, KeepAlive, Request, Response};
use actix_rt::net::TcpStream;
use actix_service::{IntoServiceFactory as _, Service, ServiceFactory as _, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tokio::sync::mpsc;
use toq_kit::spawn;
use toq_net::listen::source;

use crate::facade::Facade;
use crate::guard::{self, Ends};
use crate::routes;

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(60);

/// How long a request's header may take.
const HEADER: Duration = Duration::from_secs(10);

/// How many HTTP connections may be open.
pub const MAX_CONNECTIONS: usize = 8192;

/// Serves connections until none come any more. Runs on the thread that awaits it.
pub async fn serve(mut connections: mpsc::Receiver<std::net::TcpStream>, facade: Facade) {
    let facade = web::Data::new(facade);
    let local = HttpService::build()
        .keep_alive(KeepAlive::Timeout(IDLE))
        .client_request_timeout(HEADER)
        .on_connect_ext(|stream: &TcpStream, extensions| {
            if let (Ok(client), Ok(server)) = (stream.peer_addr(), stream.local_addr()) {
                extensions.insert(Ends::new(client, server));
            }
        })
        .h1(map_config(App::new().app_data(facade).wrap(from_fn(guard::guard)).configure(routes::local).into_factory(), |()| {
            AppConfig::default()
        }));
    let foreign = HttpService::build()
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(HEADER)
        .h1(|_: Request| async { Ok::<_, Error>(Response::not_found()) });
    let local: Result<_, ()> = local.new_service(()).await;
    let foreign: Result<_, ()> = foreign.new_service(()).await;
    let (Ok(local), Ok(foreign)) = (local, foreign) else {
        tracing::error!("the HTTP service cannot be made");
        return;
    };
    let open = toq_kit::Credit::new(MAX_CONNECTIONS);
    while let Some(stream) = connections.recv().await {
        let Some(permit) = open.try_take() else {
            tracing::warn!(open = MAX_CONNECTIONS, "too many HTTP connections; one was closed");
            continue;
        };
        match adopt(stream) {
            Ok((stream, client)) if source(client).is_loopback() => {
                let serving = local.call((stream, Some(client)));
                spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%error, "a local connection ended");
                    }
                    drop(permit);
                });
            }
            Ok((stream, client)) => {
                let serving = foreign.call((stream, Some(client)));
                spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%error, "a foreign connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => tracing::debug!(%error, "a connection could not be taken over"),
        }
    }
}

/// Takes a connection over to this thread.
fn adopt(stream: std::net::TcpStream) -> io::Result<(TcpStream, SocketAddr)> {
    let client = stream.peer_addr()?;
    Ok((TcpStream::from_std(stream)?, client))
}
