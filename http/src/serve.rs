//! Connections in, whichever listener accepted them.
//!
//! There is no HTTP listener here: doors accept, look at the first byte and hand over what is not TLS and comes from
//! loopback. They turn away any other: a stranger holds nothing here that the owner's programs need, and no mistake in a
//! handler can open the API to it. One that came by another way is closed.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_rt::net::{TcpStream, UnixStream};
use actix_service::{IntoServiceFactory as _, Service, ServiceFactory as _, fn_factory, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tokio::sync::mpsc;
use toq_kit::spawn;
use toq_net::listen::source;

use crate::facade::Facade;
use crate::guard::{self, AtSocket, Ends};
use crate::routes;

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(60);

/// How long a request's header may take.
const HEADER: Duration = Duration::from_secs(10);

/// How long to wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many HTTP connections may be open where the system allows that many.
pub const MAX_CONNECTIONS: usize = 8192;

/// Serves connections until none come any more, and those that come in at sockets of the file system. Runs on the thread that
/// awaits it.
pub async fn serve(mut connections: mpsc::Receiver<std::net::TcpStream>, sockets: Vec<UnixListener>, facade: Facade) {
    let most = facade.connections;
    let app = App::new().app_data(web::Data::new(facade)).wrap(from_fn(guard::guard)).configure(routes::local);
    let app: Result<_, ()> = map_config(app.into_factory(), |()| AppConfig::default()).new_service(()).await;
    let Ok(app) = app else {
        tracing::error!("the HTTP service cannot be made");
        return;
    };
    // Both kinds of listeners share one table of routes: to make it is a good part of a start.
    let app = Rc::new(app);
    let shared = || fn_factory(|| ready(Ok::<_, ()>(app.clone())));
    let local = HttpService::build()
        .keep_alive(KeepAlive::Timeout(IDLE))
        .client_request_timeout(HEADER)
        .on_connect_ext(|stream: &TcpStream, extensions| {
            if let (Ok(client), Ok(server)) = (stream.peer_addr(), stream.local_addr()) {
                extensions.insert(Ends::new(client, server));
            }
        })
        .h1(shared());
    let at_socket = HttpService::build()
        .keep_alive(KeepAlive::Timeout(IDLE))
        .client_request_timeout(HEADER)
        .on_connect_ext(|stream: &UnixStream, extensions| {
            extensions.insert(AtSocket { user: stream.peer_cred().ok().map(|credentials| credentials.uid()) });
        })
        .h1(shared());
    let local: Result<_, ()> = local.new_service(()).await;
    let at_socket: Result<_, ()> = at_socket.new_service(()).await;
    let (Ok(local), Ok(at_socket)) = (local, at_socket) else {
        tracing::error!("the HTTP service cannot be made");
        return;
    };
    let open = toq_kit::Credit::new(most);
    let at_socket = Rc::new(at_socket);
    for socket in sockets {
        spawn(accept(socket, at_socket.clone(), open.clone()));
    }
    while let Some(stream) = connections.recv().await {
        let Some(permit) = open.try_take() else {
            tracing::warn!(open = most, "too many HTTP connections; one was closed");
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
            Ok((_, client)) => tracing::warn!(%client, "a connection from elsewhere came as far as the API; it was closed"),
            Err(error) => tracing::debug!(%error, "a connection could not be taken over"),
        }
    }
}

/// Serves the connections of one socket of the file system.
async fn accept<S>(socket: UnixListener, service: Rc<S>, open: toq_kit::Credit)
where
    S: Service<(UnixStream, Option<SocketAddr>), Error = DispatchError> + 'static,
    S::Future: 'static,
{
    let socket = match actix_rt::net::UnixListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "a socket cannot be taken over"),
    };
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                let Some(permit) = open.try_take() else { continue };
                let serving = service.call((stream, None));
                spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%error, "a connection at a socket ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed at a socket; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes a connection over to this thread.
fn adopt(stream: std::net::TcpStream) -> io::Result<(TcpStream, SocketAddr)> {
    let client = stream.peer_addr()?;
    Ok((TcpStream::from_std(stream)?, client))
}
