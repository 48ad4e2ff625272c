//! How many connections there are to the API, and from where.
//!
//! What an attacker would try is to open connections and to keep them, with a request now and then, until there are no more. A
//! connection for which there is no place is closed before anything of it is read.

use std::any::Any;
use std::net::IpAddr;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rustix::net::{Shutdown, shutdown};

use super::pace::source;
use crate::seats::{Seats, Taken};

/// Everybody who is connected.
#[derive(Clone, Debug)]
pub(crate) struct Crowd(Seats);

impl Crowd {
    /// Makes so many places.
    pub(crate) fn new(most: usize) -> Self {
        Self(Seats::new(most, usize::MAX))
    }

    /// Gives a connection a place, which is with `kept` until it ends, or closes it.
    pub(crate) fn meet(&self, connection: &dyn Any, kept: &mut Extensions) {
        let encrypted = || connection.downcast_ref::<TlsStream<TcpStream>>().map(|stream| stream.get_ref().0);
        let Some(stream) = connection.downcast_ref::<TcpStream>().or_else(encrypted) else { return };
        match self.place(stream) {
            Ok(place) => drop(kept.insert(place)),
            Err(why) => {
                tracing::debug!(why, "a connection to the API is closed");
                if let Err(error) = shutdown(stream, Shutdown::Both) {
                    tracing::debug!(%error, "it has gone by itself");
                }
            }
        }
    }

    fn place(&self, stream: &TcpStream) -> Result<Taken, String> {
        // One that has gone already has no address.
        let from = stream.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |from| from.ip());
        self.0.take(&"".into(), source(from))
    }
}
