//! What all parts of a client share.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use toq_api::relay::RelayApi;
use toq_channels::group::Agent;
use toq_store::member::{MemberStore, WriteSlot};

use crate::core::{Core, Step};
use crate::driver::Routes;
use crate::error::Error;
use crate::line::Line;
use crate::seat::Seat;
use crate::settings::Settings;

/// How the client stands with its relay.
#[derive(Clone, Debug)]
pub enum State {
    /// It was not tried yet.
    Starting,
    /// There is a connection.
    Connected {
        /// Whether the relay answers and resumes, as ours does and published ones do not.
        is_extended: bool,
    },
    /// There is none, and why. It is tried again.
    Away(Error),
}

/// What an answer of the relay is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    Publication([u8; 32]),
    Subscription([u8; 32]),
}

/// A channel, and the hash of an invite to it.
pub(crate) type RequestKey = ([u8; 32], [u8; 32]);

pub(crate) type Seats = HashMap<[u8; 32], Arc<Seat>>;

/// What all parts of a client share.
pub(crate) struct Inner {
    pub settings: Settings,
    pub api: Option<RelayApi>,
    pub state: watch::Sender<State>,
    pub closing: watch::Sender<bool>,
    pub moved: Notify,
    /// Channels were created here, or other ones than before.
    pub created: Notify,
    /// Whose turn it is to begin a channel here.
    pub beginning: tokio::sync::Mutex<()>,
    /// Who is just coming in by which invite, or withdraws: one at a time.
    joining: Mutex<HashMap<RequestKey, Weak<tokio::sync::Mutex<()>>>>,
    /// Why the client came to an end by itself, if it did.
    failure: OnceLock<Error>,
    agent: RwLock<Agent>,
    store: Mutex<Option<MemberStore>>,
    seats: RwLock<Seats>,
    line: Mutex<Option<Line>>,
    routes: Mutex<Routes>,
    dirty: Mutex<HashSet<[u8; 32]>>,
}

impl Inner {
    pub(crate) fn new(settings: Settings, api: Option<RelayApi>, agent: Agent, store: MemberStore, seats: Seats) -> Self {
        Self {
            settings,
            api,
            state: watch::Sender::new(State::Starting),
            closing: watch::Sender::new(false),
            moved: Notify::new(),
            created: Notify::new(),
            beginning: tokio::sync::Mutex::default(),
            joining: Mutex::default(),
            failure: OnceLock::new(),
            agent: RwLock::new(agent),
            store: Mutex::new(Some(store)),
            seats: RwLock::new(seats),
            line: Mutex::new(None),
            routes: Mutex::default(),
            dirty: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> Result<MemberStore, Error> {
        locked(&self.store).clone().ok_or_else(|| self.failure.get().cloned().unwrap_or_else(Error::closed))
    }

    /// Ends the client: a part of it is broken, and without it nothing would move any more though everything looked well.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(%error, "a member ends");
        self.state.send_replace(State::Away(error.clone()));
        drop(self.failure.set(error));
        let store = self.take_store();
        self.closing.send_replace(true);
        for seat in self.seats().values() {
            seat.arrived.notify_waiters();
            seat.happened.notify_waiters();
        }
        drop(store);
    }

    /// Takes the store away from everybody.
    pub(crate) fn take_store(&self) -> Option<MemberStore> {
        locked(&self.store).take()
    }

    pub(crate) fn agent(&self) -> Agent {
        self.agent.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_agent(&self, agent: Agent) {
        *self.agent.write().unwrap_or_else(PoisonError::into_inner) = agent;
    }

    pub(crate) fn seats(&self) -> RwLockReadGuard<'_, Seats> {
        self.seats.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn seats_mut(&self) -> RwLockWriteGuard<'_, Seats> {
        self.seats.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to hold while something is done about the request of this key.
    pub(crate) fn turn_of(&self, key: &RequestKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut joining = locked(&self.joining);
        joining.retain(|_, turn| turn.strong_count() > 0);
        let turn = joining.get(key).and_then(Weak::upgrade).unwrap_or_default();
        joining.insert(*key, Arc::downgrade(&turn));
        turn
    }

    pub(crate) fn line(&self) -> MutexGuard<'_, Option<Line>> {
        locked(&self.line)
    }

    pub(crate) fn routes(&self) -> MutexGuard<'_, Routes> {
        locked(&self.routes)
    }

    /// There is something to do for a channel.
    pub(crate) fn nudge(&self, id: [u8; 32]) {
        locked(&self.dirty).insert(id);
        self.moved.notify_one();
    }

    pub(crate) fn nudge_all(&self) {
        let ids: Vec<_> = self.seats().keys().copied().collect();
        locked(&self.dirty).extend(ids);
        self.moved.notify_one();
    }

    pub(crate) fn take_dirty(&self) -> Vec<[u8; 32]> {
        locked(&self.dirty).drain().collect()
    }

    /// Queues what was decided under the lock of the core, and sees it through to its end, even if whoever asked for it goes away
    /// meanwhile: a step whose changes are on disk and whose promises are not kept would leave the channel between two states.
    #[allow(clippy::disallowed_methods, reason = "the caller holds the handle; this room has no actors")]
    pub(crate) fn keep(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        slot: WriteSlot,
        core: MutexGuard<'_, Core>,
        mut step: Step,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let fuse = core.fuse.clone();
        let committed = slot.commit(step.take_changes(), fuse.clone());
        drop(core);
        let (inner, seat) = (self.clone(), seat.clone());
        let end: JoinHandle<Result<(), Error>> = tokio::spawn(async move {
            committed.await?;
            crate::fault::point("committed");
            seat.settle(step, &fuse);
            inner.nudge(seat.id);
            Ok(())
        });
        async move { end.await.map_err(|_| Error::closed())? }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
