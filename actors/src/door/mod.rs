//! A listening address: accept, TLS, greeting, and on to the workspace that is meant.
//!
//! Owns the listener and the seats of those who have not shown who they are. Each newcomer is looked after
//! in a task of its own with a deadline for each stage, so one that stays silent delays nobody. There are
//! a fixed number of seats. When they are all taken the one that has been seated longest loses its seat,
//! because an honest peer needs a moment only: a crowd of silent connections cannot keep others out.

mod handlers;
mod seats;

use std::net::SocketAddr;

use actix::{Actor, Addr, Context};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use toq_kit::{Clock, Lifeline};

use crate::registry::{OpenDoor, Registry};
use seats::Seats;

/// A door's name: where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DoorKey(pub SocketAddr);

/// A listening address.
pub struct Door {
    listener: Option<std::net::TcpListener>,
    acceptor: TlsAcceptor,
    plain: mpsc::Sender<std::net::TcpStream>,
    seats: Seats,
    clock: Clock,
    registry: Addr<Registry>,
    accepted: u64,
    lifeline: Lifeline<DoorKey>,
}

impl Door {
    /// Makes a door that listens once it is started.
    #[must_use]
    pub fn new(open: OpenDoor, clock: Clock, registry: Addr<Registry>, lifeline: Lifeline<DoorKey>) -> Self {
        let seats = Seats::new(open.seats, open.seats_per_source);
        Self { listener: Some(open.listener), acceptor: open.acceptor, plain: open.plain, seats, clock, registry, accepted: 0, lifeline }
    }
}

impl Actor for Door {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.listen(ctx);
    }
}
