//! What the root is told.

use std::net::TcpListener;
use std::sync::Arc;

use actix::{Addr, Message};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use toq_kit::Seat;

use super::{WorkspaceId, WorkspaceRef};
use crate::home::Home;
use crate::workspace::Workspace;

/// Open a workspace on this seat.
#[derive(Message)]
#[rtype(result = "WorkspaceRef")]
pub struct Open {
    /// What it is made of.
    pub home: Arc<Home>,
    /// Where it runs.
    pub seat: Seat,
}

/// Drain a workspace and forget it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Close(pub WorkspaceId);

/// Which workspaces are open?
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<WorkspaceRef>")]
pub struct Workspaces;

/// Listen at an address for all workspaces.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OpenDoor {
    /// A bound listener.
    pub listener: TcpListener,
    /// How it speaks TLS.
    pub acceptor: TlsAcceptor,
    /// Where connections go that speak plain HTTP.
    pub plain: mpsc::Sender<std::net::TcpStream>,
    /// Where it runs.
    pub seat: Seat,
    /// How many connections may be without a proven identity.
    pub seats: usize,
    /// How many of them may come from one source.
    pub seats_per_source: usize,
}

impl OpenDoor {
    /// The same door once more: the listener is duplicated, the socket is one.
    ///
    /// # Errors
    /// Where the process has no descriptor left.
    pub(crate) fn again(&self) -> std::io::Result<Self> {
        Ok(Self {
            listener: self.listener.try_clone()?,
            acceptor: self.acceptor.clone(),
            plain: self.plain.clone(),
            seat: self.seat.clone(),
            seats: self.seats,
            seats_per_source: self.seats_per_source,
        })
    }
}

/// Which workspace does this initiator want?
#[derive(Clone, Debug, Message)]
#[rtype(result = "Found")]
pub struct Find {
    /// The agent's name; `None` means the only one there is.
    pub target: Option<String>,
}

/// The workspace that an initiator wants.
#[derive(Clone, Debug, actix::MessageResponse)]
pub enum Found {
    /// This one.
    Workspace(Addr<Workspace>),
    /// None; an agent that is here instead, for the refusal's words.
    Nobody(String),
}
