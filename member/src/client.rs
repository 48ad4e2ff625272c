//! A member: its identity, its directory, its connection, its channels.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use toq_api::relay::{Credential, RelayApi, Target};
use toq_channels::ChannelName;
use toq_channels::group::{Admission, Agent, Group, KeyPackageKind, Rows, Shelf};
use toq_protocol::key::{PeerKey, Signature};
use toq_store::member::{Change, ChannelRow, MemberStore, Standing};

use crate::chance::Now;
use crate::channel::Channel;
use crate::core::LAST_PLACE;
use crate::error::{Error, Kind};
use crate::home::{self, Kept, changes};
use crate::inner::{Inner, Seats, State};
use crate::seat::Seat;
use crate::settings::Settings;
use crate::{driver, invites, joining};

/// How long opening waits for the first answer of the relay.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// A member of channels. Clones are the same member, which is closed when the last of them and of its channels is gone.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Handle>);

/// Ends the tasks with the last one who could use them.
pub(crate) struct Handle {
    pub inner: Arc<Inner>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.closing.send_replace(true);
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        drop(self.inner.take_store());
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("settings", &self.0.inner.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// Opens a member, on the runtime of the caller, and connects. A relay that is away is no error: what is said
    /// meanwhile is kept and sent later.
    ///
    /// # Errors
    /// [`Kind::Storage`] where the directory cannot be used, is in use, or belongs to another identity; [`Kind::Auth`] where the API
    /// server or the relay does not take the credentials.
    pub async fn open(settings: Settings) -> Result<Self, Error> {
        let api = match (&settings.api_key, &settings.api_url) {
            (Some(key), Some(url)) => {
                let target = Target { authorities: settings.ca.clone(), ..Target::at(url.clone()) };
                Some(RelayApi::new(&target, Credential::Bearer(key.clone()))?)
            }
            _ => None,
        };
        let dir = settings.data_dir.clone();
        let opened = async move {
            let store = home::open(&settings).await?;
            let begun = Self::begin(settings, api, store.clone()).await;
            if begun.is_err() {
                store.close();
            }
            begun
        };
        // Rows that contradict each other make the database panic where it meets them.
        AssertUnwindSafe(opened).catch_unwind().await.unwrap_or_else(|_| Err(damaged(dir.as_deref())))
    }

    async fn begin(settings: Settings, api: Option<RelayApi>, store: MemberStore) -> Result<Self, Error> {
        let agent = agent(&settings, &store).await?;
        forget_ended(&store, Now::look()).await?;
        joining::forget_old(&store, Now::look()).await?;
        let mut seats: Seats = HashMap::new();
        for (id, row) in store.channels()? {
            seats.insert(id, Arc::new(Seat::load(&settings, &agent, &store, row)?));
        }
        let inner = Arc::new(Inner::new(settings, api, agent, store, seats));
        let tasks = vec![
            spawn(driver::supervise(inner.clone(), driver::connect(inner.clone()))),
            spawn(driver::supervise(inner.clone(), driver::run(inner.clone()))),
            spawn(driver::supervise(inner.clone(), invites::answer(inner.clone()))),
        ];
        let client = Self(Arc::new(Handle { inner, tasks: Mutex::new(tasks) }));
        let mut state = client.0.inner.state.subscribe();
        let first = tokio::time::timeout(FIRST_ANSWER, state.wait_for(|state| !matches!(state, State::Starting))).await;
        if let Ok(Ok(state)) = first
            && let State::Away(error) = &*state
            && error.kind() == Kind::Auth
        {
            return Err(error.clone());
        }
        Ok(client)
    }

    /// Makes a channel, with this member as its only one. A channel of that name that was here is replaced.
    ///
    /// # Errors
    /// [`Kind::ChannelName`], [`Kind::Refused`] for [`Admission::Proven`] without a proof, [`Kind::Storage`].
    pub async fn create_channel(&self, name: &str, admission: Admission) -> Result<Channel, Error> {
        let name = ChannelName::parse(name)?;
        let make = move |agent: &Agent, _: &MemberStore, name: &ChannelName| {
            let now = Now::look();
            let (_, rows) = Group::create(agent, name, admission, now.unsigned_seconds())?;
            Ok((ChannelRow { proven: admission == Admission::Proven, answers_joins: true, ..blank(name, now) }, rows))
        };
        self.enter(name, make, Vec::new()).await
    }

    /// Joins a channel by a Welcome that was made for a key package of this member. Nothing that is said from the moment of the
    /// Welcome on is missed.
    ///
    /// # Errors
    /// [`Kind::ChannelName`]; [`Kind::Mls`] for a Welcome that is damaged, for somebody else, or for another channel;
    /// [`Kind::Refused`] where one of its members is pinned to another key;
    /// [`Kind::Storage`].
    pub async fn join_channel(&self, name: &str, welcome: &[u8]) -> Result<Channel, Error> {
        self.come_in(ChannelName::parse(name)?, welcome, Vec::new()).await
    }

    /// Joins by a Welcome, and makes these changes in the same transaction.
    pub(crate) async fn come_in(&self, name: ChannelName, welcome: &[u8], more: Vec<Change>) -> Result<Channel, Error> {
        let (welcome, pins) = (welcome.to_vec(), self.0.inner.settings.pins.clone());
        let make = move |agent: &Agent, store: &MemberStore, name: &ChannelName| {
            let (group, rows) = Group::join(agent, name, &welcome, &Kept(store))?;
            crate::pins::check_members(&pins, group.members())?;
            let mut row = ChannelRow { proven: group.admission() == Admission::Proven, ..blank(name, Now::look()) };
            // Without a place everything is read that the relay has; what was said before does not open.
            let place = group.joined_at().filter(|head| head.seq <= LAST_PLACE);
            row.chain = place.map(|head| head.hash);
            row.cursor = place.map_or(0, |head| head.seq);
            row.was_numbered = place.is_some();
            Ok((row, rows))
        };
        self.enter(name, make, more).await
    }

    /// A channel that is here.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none, [`Kind::ChannelName`].
    pub fn channel(&self, name: &str) -> Result<Channel, Error> {
        let id = ChannelName::parse(name)?.id();
        let seat = self.0.inner.seats().get(&id).cloned().ok_or_else(|| Error::no_channel(name))?;
        Ok(Channel::new(self.clone(), seat))
    }

    /// The names of the channels that are here, sorted.
    #[must_use]
    pub fn channels(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.inner.seats().values().map(|seat| seat.name.as_str().to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Makes an offer to be added to a channel. It is for one group: its private half is kept until a Welcome uses it.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn key_package(&self) -> Result<Vec<u8>, Error> {
        let (package, rows) = self.0.inner.agent().key_package(Now::look().unsigned_seconds(), KeyPackageKind::OneTime)?;
        self.0.inner.store()?.commit(changes(rows).collect()).await?;
        Ok(package.message)
    }

    /// Who this member says to be.
    #[must_use]
    pub fn identity(&self) -> Vec<u8> {
        self.0.inner.settings.identity.clone()
    }

    /// What an agent key has to sign for [`Client::prove`].
    #[must_use]
    pub fn statement(&self) -> Vec<u8> {
        self.0.inner.agent().statement()
    }

    /// Adds the proof that this member belongs to an agent key. Channels that it was in before do not see it.
    ///
    /// # Errors
    /// [`Kind::Mls`] where the signature is not that of [`Client::statement`], [`Kind::Storage`].
    pub async fn prove(&self, key: PeerKey, signature: Signature) -> Result<(), Error> {
        let mut agent = self.0.inner.agent();
        let rows = agent.prove(key, signature)?;
        self.0.inner.store()?.commit(changes(rows).collect()).await?;
        self.0.inner.set_agent(agent);
        Ok(())
    }

    /// How this member stands with its relay.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.inner.state.borrow().clone()
    }

    /// Waits until there is a connection; `false` where there is none in time.
    pub async fn connected(&self, timeout: Duration) -> bool {
        let mut state = self.0.inner.state.subscribe();
        let connected = state.wait_for(|state| matches!(state, State::Connected { .. }));
        matches!(tokio::time::timeout(timeout, connected).await, Ok(Ok(_)))
    }

    /// Waits until the relay has everything that was said; `false` where it has not in time, or will not get it from a channel as this member
    /// stands in it.
    pub async fn flush(&self, timeout: Duration) -> bool {
        let seats: Vec<_> = self.0.inner.seats().values().cloned().collect();
        let all = async {
            let mut has_all = true;
            for seat in seats {
                has_all &= seat.flushed().await;
            }
            has_all
        };
        tokio::time::timeout(timeout, all).await.unwrap_or(false)
    }

    /// Ends the member: after this the directory can be opened again, and its channels answer with an error. What the
    /// relay does not have yet stays for the next opening.
    pub async fn close(&self) {
        self.0.inner.closing.send_replace(true);
        let tasks: Vec<_> = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for task in tasks {
            if task.await.is_err() {
                tracing::error!("a task of a member panicked");
            }
        }
        *self.0.inner.line() = None;
        for seat in self.0.inner.seats().values() {
            seat.arrived.notify_waiters();
            seat.happened.notify_waiters();
        }
        if let Some(store) = self.0.inner.take_store() {
            drop(tokio::task::spawn_blocking(|| store.close()).await);
        }
    }

    /// Writes a channel that begins here, and subscribes to it; to its end, also where the caller stops waiting. A channel that is on
    /// the disk and not here, or the other way round, would be of neither group.
    #[allow(clippy::disallowed_methods, reason = "the handle is waited for; this room has no actors")]
    async fn enter<M: Make>(&self, name: ChannelName, make: M, more: Vec<Change>) -> Result<Channel, Error> {
        let client = self.clone();
        tokio::spawn(async move { client.begin_channel(name, make, more).await }).await.map_err(|_| Error::closed())?
    }

    async fn begin_channel<M: Make>(&self, name: ChannelName, make: M, more: Vec<Change>) -> Result<Channel, Error> {
        let inner = &self.0.inner;
        let turn = inner.beginning.lock().await;
        let (store, agent, id) = (inner.store()?, inner.agent(), name.id());
        // Not before it is our turn: of two who come in by one Welcome the second would begin again with keys that the first has used.
        let (row, rows) = make(&agent, &store, &name)?;
        let mut all: Vec<Change> = changes(rows).collect();
        // By which invite a member came into the group before is of no interest any more.
        let over = store.requests()?.into_iter().filter(|(of, _, request)| *of == id && request.is_in);
        all.extend(over.map(|(of, invite, _)| Change::Unask(of, invite)));
        all.extend(more);
        let earlier = inner.seats().get(&id).cloned();
        let seat = match earlier {
            Some(seat) => {
                // What could not be written of the group before is not carried on.
                seat.mend(&inner.settings, &agent, &store, None)?;
                let slot = store.slot().await?;
                crate::fault::point("replacing");
                let committed = {
                    let mut core = seat.core();
                    core.give_way(row, &mut all);
                    slot.commit(all, core.fuse.clone())
                };
                let committed = committed.await;
                crate::fault::point("replaced");
                seat.succeed(&inner.settings, &agent, &store)?;
                committed?;
                seat
            }
            None => {
                all.push(Change::Channel(id, row.clone()));
                store.commit(all).await?;
                let seat = Arc::new(Seat::load(&inner.settings, &agent, &store, row)?);
                inner.seats_mut().insert(id, seat.clone());
                seat
            }
        };
        // Whoever begins another channel does not wait until the relay takes what it is asked about this one.
        drop(turn);
        let line = inner.line().clone();
        match line {
            // What is said until it was asked comes when it was.
            Some(line) if line.is_extended() => seat.core().resubscribe = true,
            Some(line) => {
                if let Err(error) = driver::subscribe(inner, &line, &seat).await {
                    tracing::debug!(%error, "the relay went away; the channel is asked for when it is back");
                }
            }
            None => {}
        }
        inner.created.notify_waiters();
        inner.nudge(id);
        Ok(Channel::new(self.clone(), seat))
    }
}

/// Makes or joins a group: the channel's row, and what is kept of the group.
trait Make: FnOnce(&Agent, &MemberStore, &ChannelName) -> Result<(ChannelRow, Rows), Error> + Send + 'static {}

impl<F: FnOnce(&Agent, &MemberStore, &ChannelName) -> Result<(ChannelRow, Rows), Error> + Send + 'static> Make for F {}

/// The agent of this directory, made at its first opening.
async fn agent(settings: &Settings, store: &MemberStore) -> Result<Agent, Error> {
    if let Some(agent) = Agent::load(&Kept(store))? {
        if agent.identity() != settings.identity {
            let there = String::from_utf8_lossy(agent.identity()).escape_debug().to_string();
            let text = format!("this directory belongs to the identity \"{there}\"; open it as that, or take another directory");
            return Err(Error::new(Kind::Storage, text));
        }
        return Ok(agent);
    }
    let (agent, rows) = Agent::create(&settings.identity)?;
    store.commit(changes(rows).collect()).await?;
    Ok(agent)
}

/// Deletes what is left of offers to be added that nobody took in time. There is no stock of them to be filled up: each is made when it is
/// asked for, and is for one group.
async fn forget_ended(store: &MemberStore, now: Now) -> Result<(), Error> {
    let references = store.keys(Shelf::KeyPackage as u8, &[])?;
    let ended = Agent::forget_ended(&references, &Kept(store), now.unsigned_seconds())?;
    if ended.is_empty() { Ok(()) } else { Ok(store.commit(changes(ended).collect()).await?) }
}

fn damaged(dir: Option<&Path>) -> Error {
    let place = dir.map_or_else(|| "what is kept".to_owned(), |dir| dir.join("member.redb").display().to_string());
    let text = format!("{place} is damaged; bring back a copy of the directory, or move it away and ask to be added again");
    Error::new(Kind::Storage, text)
}

pub(crate) fn blank(name: &ChannelName, now: Now) -> ChannelRow {
    ChannelRow {
        name: name.as_str().to_owned(),
        proven: false,
        standing: Standing::Member,
        cursor: 0,
        chain: Some([0; 32]),
        next_in: 1,
        next_happening: 1,
        answers_joins: false,
        rotated_at: now.seconds(),
        heads: Vec::new(),
        was_numbered: false,
        has_skipped: false,
        octets_in: 0,
    }
}

#[allow(clippy::disallowed_methods, reason = "the client holds the handles of its tasks; this room has no actors")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
