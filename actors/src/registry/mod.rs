//! The root: one per process.
//!
//! Owns the doors, and each workspace's home with its open store, so that a workspace that panicked is
//! started again over the same store and never meets its own lock. Hands out [`WorkspaceRef`]s, which find
//! the workspace's present life.

mod handlers;
mod messages;

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, Addr, Context};
use tokio::sync::watch;
use toq_kit::{Backoff, Clock, Roster, Seat};

pub use messages::{Close, Find, Found, Open, OpenDoor, Workspaces};

use crate::door::{Door, DoorKey};
use crate::home::Home;
use crate::workspace::Workspace;

/// A workspace's name in this process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkspaceId(pub String);

/// A workspace, whichever life it is in.
#[derive(Clone)]
pub struct WorkspaceRef {
    /// What its actors share.
    pub home: Arc<Home>,
    current: watch::Receiver<Addr<Workspace>>,
}

impl WorkspaceRef {
    /// The address of its present life.
    #[must_use]
    pub fn address(&self) -> Addr<Workspace> {
        self.current.borrow().clone()
    }
}

/// The root of the tree.
pub struct Registry {
    clock: Clock,
    pub(crate) doors: Roster<DoorKey, Door>,
    workspaces: Roster<WorkspaceId, Workspace>,
    kept: HashMap<WorkspaceId, Kept>,
    /// What each door listens with. It outlives the door's actor, so that the port is never given up and whoever
    /// connects while a door is started again waits in the kernel's queue.
    listening: HashMap<DoorKey, (OpenDoor, Backoff)>,
    is_draining: bool,
}

/// What outlives a workspace's actor.
struct Kept {
    home: Arc<Home>,
    seat: Seat,
    current: watch::Sender<Addr<Workspace>>,
    backoff: Backoff,
}

impl Registry {
    /// Makes a root without children.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, doors: Roster::new(), workspaces: Roster::new(), kept: HashMap::new(), listening: HashMap::new(), is_draining: false }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;
}
