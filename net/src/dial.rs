//! Dialling another agent.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use toq_protocol::address::Address;

use crate::SecureIo;
use crate::broken::told;
use crate::listen::{limit_stall, tune};
use crate::resolve::{LookupError, Route};
use crate::tls::{exporter, server_name};

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Name lookup and TCP.
    pub connect: Duration,
    /// TLS.
    pub tls: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), tls: Duration::from_secs(5) }
    }
}

/// Why an agent could not be dialled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nothing listens there, or the way is blocked.
    #[error("cannot connect to {host}:{port}: {}", told(source))]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no way to it.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It does not speak TLS as we do.
    #[error("TLS with {host}:{port} failed: {}", told(source))]
    Tls {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The reason.
        source: io::Error,
    },
}

/// Something that opens connections to agents: over TLS in a daemon, over memory in a test or between two
/// workspaces of one process.
pub trait Dialer: Send + Sync {
    /// Opens a connection to the agent at `target`, which is found by this route.
    fn dial<'a>(&'a self, target: &'a Address, route: &'a Route) -> Pin<Box<dyn Future<Output = Result<SecureIo, DialError>> + Send + 'a>>;
}

/// Dials over TCP and TLS.
pub struct TlsDialer {
    connector: TlsConnector,
    patience: Patience,
}

impl TlsDialer {
    /// Makes a dialer that gives each step this long.
    #[must_use]
    pub const fn new(connector: TlsConnector, patience: Patience) -> Self {
        Self { connector, patience }
    }
}

impl Dialer for TlsDialer {
    fn dial<'a>(&'a self, target: &'a Address, route: &'a Route) -> Pin<Box<dyn Future<Output = Result<SecureIo, DialError>> + Send + 'a>> {
        Box::pin(async {
            // Exactly the addresses that were looked at are connected to: asking again might give others.
            let port = route.sockets.first().map_or(target.port(), SocketAddr::port);
            let stream = connect(&self.connector, (target.host(), port), &route.sockets[..], self.patience).await?;
            let tls = |error| DialError::Tls { host: target.host().to_owned(), port, source: io::Error::other(error) };
            let exporter = exporter(stream.get_ref().1).map_err(tls)?;
            Ok(SecureIo { io: Box::new(stream), exporter })
        })
    }
}

/// Opens a TLS connection to `host` at `port`, which the system looks up.
///
/// # Errors
/// [`DialError`] says which step failed.
pub async fn dial(connector: &TlsConnector, host: &str, port: u16, patience: Patience) -> Result<TlsStream<TcpStream>, DialError> {
    connect(connector, (host, port), (host.trim_matches(['[', ']']), port), patience).await
}

async fn connect(
    connector: &TlsConnector,
    (host, port): (&str, u16),
    sockets: impl ToSocketAddrs,
    patience: Patience,
) -> Result<TlsStream<TcpStream>, DialError> {
    let connect_error = |source| DialError::Connect { host: host.to_owned(), port, source };
    let connecting = TcpStream::connect(sockets);
    let stream = tokio::time::timeout(patience.connect, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = stream.map_err(connect_error)?;
    tune(&stream);
    limit_stall(&stream);
    let shaking = connector.connect(server_name(), stream);
    let shaken = tokio::time::timeout(patience.tls, shaking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    shaken.map_err(|source| DialError::Tls { host: host.to_owned(), port, source })
}
