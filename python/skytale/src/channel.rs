//! Channels and their iterators.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use tokio::sync::Notify;
use toq_member::{Happening, Message, Who};

use crate::failure::Failure;
use crate::owned::Owned;
use crate::received::{Events, Members, Octets, Parcel, Shape, Taken};
use crate::waiting::{Answer as _, Plain, promise, seconds, wait};

/// How many pauses are made while messages go on coming.
const LONGEST: usize = 10;
/// After so many halvings nothing is left of a pause of a quarter of a second.
const MOST_HALVED: u32 = 8;

/// A channel of a client, shared by all who opened it: what comes on it is for whoever asks next.
pub struct Inbox {
    engine: Owned<toq_member::Channel>,
    name: String,
    /// Whether the client was closed.
    closed: Arc<AtomicBool>,
    /// The number of the last event of an earlier run.
    since: u64,
    /// Who has which message.
    hands: Mutex<Hands>,
    /// Who asks the engine: one at a time, so that nobody is given a message before who asked earlier has the one before it.
    turn: tokio::sync::Mutex<()>,
    /// How often in a row the pause for more messages was in vain.
    in_vain: AtomicU32,
    /// Told when a message has reached its caller, or has come back.
    moved: Notify,
}

/// Which messages of the engine's are where, by their numbers. The engine forgets none of them before it is told to.
#[derive(Default)]
struct Hands {
    /// Taken for callers who were cancelled before they had them.
    returned: BTreeMap<u64, Message>,
    /// On their way to callers.
    outstanding: BTreeSet<u64>,
    /// The last that a caller was given.
    given: u64,
    /// Up to where the engine was told that they are done with.
    settled: u64,
}

impl Hands {
    /// Up to where callers are done with messages: none that nobody has is among them.
    fn done(&self) -> u64 {
        let held = self.outstanding.first().into_iter().chain(self.returned.keys().next()).min();
        held.map_or(self.given, |held| self.given.min(held.saturating_sub(1)))
    }
}

impl Inbox {
    /// The engine's channel, for Python.
    pub fn new(engine: toq_member::Channel, closed: Arc<AtomicBool>) -> Self {
        let (name, since) = (engine.name().to_owned(), engine.happened_before());
        Self {
            engine: Owned::new(engine),
            name,
            closed,
            since,
            hands: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            in_vain: AtomicU32::new(0),
            moved: Notify::new(),
        }
    }

    /// The channel's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A caller has the message of this number.
    pub fn give(&self, n: u64) {
        let mut hands = self.hands();
        hands.outstanding.remove(&n);
        hands.given = hands.given.max(n);
        drop(hands);
        self.moved.notify_waiters();
    }

    /// What callers were given counts as read, also the last of it.
    pub async fn settle(&self) -> Result<(), Failure> {
        let done = self.hands().done();
        if done > 0 {
            self.engine.get()?.settle(done).await?;
        }
        Ok(())
    }

    /// Messages did not reach their caller: the next one gets them.
    pub fn give_back(&self, messages: Vec<Message>) {
        let mut hands = self.hands();
        for message in messages {
            hands.outstanding.remove(&message.n);
            hands.returned.insert(message.n, message);
        }
        drop(hands);
        self.moved.notify_waiters();
    }

    /// Waits until no message is on its way to a caller; those that came back are taken before any other.
    async fn settled(&self) {
        loop {
            let moved = self.moved.notified();
            let mut moved = pin!(moved);
            moved.as_mut().enable();
            if self.hands().outstanding.is_empty() {
                return;
            }
            moved.await;
        }
    }

    /// Waits until there is a message that nobody has, or none can come any more; `false` where the client was closed.
    async fn arrived(&self) -> Result<bool, Failure> {
        loop {
            self.settled().await;
            let moved = self.moved.notified();
            let mut moved = pin!(moved);
            moved.as_mut().enable();
            if !self.hands().returned.is_empty() {
                return Ok(true);
            }
            tokio::select! {
                biased;
                has_come = self.engine.get()?.arrived(Duration::MAX) => return Ok(has_come),
                () = moved => {}
            }
        }
    }

    /// The next messages, waited for as long as it takes.
    async fn next(&self, most: usize) -> Result<Vec<Message>, Failure> {
        let _turn = self.turn.lock().await;
        self.settled().await;
        let returned: Vec<_> = {
            let mut hands = self.hands();
            std::iter::from_fn(|| hands.returned.pop_first()).take(most).map(|(_, message)| message).collect()
        };
        let messages = if returned.is_empty() { self.ask(most).await? } else { returned };
        self.hands().outstanding.extend(messages.iter().map(|message| message.n));
        Ok(messages)
    }

    /// The engine's next messages, after it was told which earlier ones are done with.
    async fn ask(&self, most: usize) -> Result<Vec<Message>, Failure> {
        let engine = self.engine.get()?;
        let found = async {
            let done = self.hands().done();
            if done > self.hands().settled {
                engine.settle_soon(done).await?;
                self.hands().settled = done;
            }
            engine.take(most).await
        };
        match found.await {
            // Whoever waits when the client is closed has not done anything wrong.
            Err(_) if self.closed.load(Ordering::SeqCst) => Ok(Vec::new()),
            found => Ok(found?),
        }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes all messages that wait once none has come for as long as the pause; nothing is taken before. The pause is halved each time that
/// it was in vain, so that who asks and answers one by one soon does not wait for it.
async fn gather(inbox: Arc<Inbox>, timeout: Duration, most: usize, pause: Duration) -> Result<Taken, Failure> {
    if pause.is_zero() {
        return take(inbox, Some(timeout), most, Shape::List).await;
    }
    let mut end = pin!(tokio::time::sleep(timeout));
    loop {
        let engine = inbox.engine.get()?;
        let has_come = tokio::select! {
            biased;
            has_come = inbox.arrived() => has_come?,
            () = end.as_mut() => false,
        };
        if has_come {
            let halved = inbox.in_vain.load(Ordering::SeqCst);
            let more_came = still(engine, most, pause / (1 << halved)).await;
            inbox.in_vain.store(if more_came { 0 } else { (halved + 1).min(MOST_HALVED) }, Ordering::SeqCst);
        }
        let taken = take(inbox.clone(), Some(Duration::ZERO), most, Shape::List).await?;
        // What has come may have been taken by another caller.
        if !has_come || !taken.is_empty() {
            return Ok(taken);
        }
    }
}

/// Waits until no message has come for as long as the pause; says whether any came. Who sends without end is not waited for.
async fn still(engine: &toq_member::Channel, most: usize, pause: Duration) -> bool {
    let first = engine.waiting();
    let mut before = first;
    // No timer is finer.
    if pause >= Duration::from_millis(1) {
        for _ in 0..LONGEST {
            tokio::time::sleep(pause).await;
            let now = engine.waiting();
            if now <= before || now >= most {
                break;
            }
            before = now;
        }
    }
    engine.waiting() > first
}

/// Waits for the first message only, and takes up to `most`.
async fn take(inbox: Arc<Inbox>, timeout: Option<Duration>, most: usize, shape: Shape) -> Result<Taken, Failure> {
    // What is here is given even where there is no time to wait. Nobody who stops waiting takes a message with him.
    let messages = match timeout {
        None => inbox.next(most).await?,
        Some(timeout) => tokio::time::timeout(timeout, inbox.next(most)).await.unwrap_or_else(|_| Ok(Vec::new()))?,
    };
    Ok(Taken::new(inbox, messages, shape))
}

/// An encrypted channel.
///
/// All methods may be called from any thread; sending does not wait for who iterates.
#[pyclass(frozen, weakref, module = "skytale_sdk")]
pub struct Channel {
    inbox: Arc<Inbox>,
}

impl Channel {
    /// A channel for Python.
    pub fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }

    fn engine(&self) -> Result<toq_member::Channel, Failure> {
        self.inbox.engine.get().cloned()
    }
}

#[pymethods]
impl Channel {
    /// The channel's name.
    #[getter]
    fn name(&self) -> &str {
        &self.inbox.name
    }

    /// The group's epoch. It grows with every change of members or keys.
    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<u64> {
        let engine = self.engine()?;
        wait(py, async { Ok::<_, Failure>(engine.epoch()) })
    }

    /// Adds a member and returns the Welcome message with which it joins. Returns when the group has it.
    fn add_member(&self, py: Python<'_>, key_package: PyBackedBytes) -> PyResult<Py<PyAny>> {
        wait(py, add(self.engine()?, key_package))?.give(py)
    }

    fn add_member_async<'py>(&self, py: Python<'py>, key_package: PyBackedBytes) -> PyResult<Bound<'py, PyAny>> {
        promise(py, add(self.engine()?, key_package))
    }

    /// Sends a message to all members. It is on disk when this returns, and goes out as soon as the relay is there.
    fn send(&self, py: Python<'_>, payload: PyBackedBytes) -> PyResult<()> {
        wait(py, send(self.engine()?, payload)).map(drop)
    }

    fn send_async<'py>(&self, py: Python<'py>, payload: PyBackedBytes) -> PyResult<Bound<'py, PyAny>> {
        promise(py, send(self.engine()?, payload))
    }

    /// An iterator over what comes; it waits for the next message, and ends when the client is closed.
    fn messages(&self) -> MessageIterator {
        MessageIterator { inbox: self.inbox.clone() }
    }

    /// The next message; None if there is none within `timeout` seconds, or the client is closed. None waits for ever.
    #[pyo3(signature = (timeout = None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let timeout = timeout.map(seconds).transpose()?;
        wait(py, take(self.inbox.clone(), timeout, 1, Shape::One))?.give(py)
    }

    #[pyo3(signature = (timeout = None))]
    fn next_async<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let timeout = timeout.map(seconds).transpose()?;
        let taken = take(self.inbox.clone(), timeout, 1, Shape::One);
        promise(py, async { taken.await.map(Parcel::new) })
    }

    /// All messages that wait, up to `most`; waits up to `timeout` seconds for the first one, and `pause` for those right behind it.
    #[pyo3(signature = (timeout, most, pause = 0.0))]
    fn drain(&self, py: Python<'_>, timeout: f64, most: usize, pause: f64) -> PyResult<Py<PyAny>> {
        let (timeout, pause) = (seconds(timeout)?, seconds(pause)?);
        wait(py, gather(self.inbox.clone(), timeout, most, pause))?.give(py)
    }

    #[pyo3(signature = (timeout, most, pause = 0.0))]
    fn drain_async<'py>(&self, py: Python<'py>, timeout: f64, most: usize, pause: f64) -> PyResult<Bound<'py, PyAny>> {
        let (timeout, pause) = (seconds(timeout)?, seconds(pause)?);
        let taken = gather(self.inbox.clone(), timeout, most, pause);
        promise(py, async { taken.await.map(Parcel::new) })
    }

    /// Who is in the channel.
    fn members(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wait(py, members(self.engine()?))?.give(py)
    }

    fn members_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        promise(py, members(self.engine()?))
    }

    /// Removes a member: an identity, a leaf, or a `Member`. It can read nothing that is sent from then on.
    fn remove_member(&self, py: Python<'_>, member: &Bound<'_, PyAny>) -> PyResult<()> {
        wait(py, remove(self.engine()?, Named::from(member)?)).map(drop)
    }

    fn remove_member_async<'py>(&self, py: Python<'py>, member: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        promise(py, remove(self.engine()?, Named::from(member)?))
    }

    /// Leaves the channel for good.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, leave(self.engine()?)).map(drop)
    }

    fn leave_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        promise(py, leave(self.engine()?))
    }

    /// Replaces this member's key: who copied its state until now can read nothing that is sent from then on.
    fn rotate_key(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, rotate(self.engine()?)).map(drop)
    }

    fn rotate_key_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        promise(py, rotate(self.engine()?))
    }

    /// A secret of 32 bytes that is the same for all members of this epoch.
    fn export_audit_key(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wait(py, audit_key(self.engine()?))?.give(py)
    }

    fn export_audit_key_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        promise(py, audit_key(self.engine()?))
    }

    /// What happened since the last call, other than messages; waits up to `timeout` seconds for the first.
    #[pyo3(signature = (timeout = 0.0))]
    fn events(&self, py: Python<'_>, timeout: f64) -> PyResult<Py<PyAny>> {
        let timeout = seconds(timeout)?;
        wait(py, events(self.inbox.clone(), timeout))?.give(py)
    }

    #[pyo3(signature = (timeout = 0.0))]
    fn events_async<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        let timeout = seconds(timeout)?;
        promise(py, events(self.inbox.clone(), timeout))
    }

    fn __repr__(&self) -> String {
        format!("Channel({:?})", self.inbox.name)
    }
}

/// Yields messages as they come. Blocks until one arrives; ends when the client is closed.
#[pyclass(frozen, module = "skytale_sdk")]
pub struct MessageIterator {
    inbox: Arc<Inbox>,
}

#[pymethods]
impl MessageIterator {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let taken = wait(py, take(self.inbox.clone(), None, 1, Shape::One))?.give(py)?;
        Ok((!taken.is_none(py)).then_some(taken))
    }
}

/// How a caller names a member.
enum Named {
    Identity(Vec<u8>),
    Leaf(u32),
    /// As `members()` gave it.
    Member {
        leaf: u32,
        key: Vec<u8>,
    },
}

impl Named {
    fn from(member: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(leaf) = member.getattr("leaf") {
            let (leaf, key) = (leaf.extract()?, member.getattr("signature_key")?.extract::<PyBackedBytes>()?);
            // One that a program has made itself names a leaf and nothing more.
            return Ok(if key.is_empty() { Self::Leaf(leaf) } else { Self::Member { leaf, key: key.to_vec() } });
        }
        if let Ok(identity) = member.extract::<PyBackedBytes>() {
            return Ok(Self::Identity(identity.to_vec()));
        }
        member
            .extract()
            .map(Self::Leaf)
            .map_err(|_| PyTypeError::new_err("a member is named by its identity (bytes), its leaf (int) or a Member"))
    }

    fn who(self, members: &[toq_member::Member]) -> Result<Who, Failure> {
        let wanted = match self {
            Self::Leaf(leaf) => return Ok(Who::Leaf(leaf)),
            Self::Member { leaf, key } => return Ok(Who::Member { leaf, key }),
            Self::Identity(identity) => identity,
        };
        let shown = String::from_utf8_lossy(&wanted).escape_debug().to_string();
        match members.iter().filter(|member| member.identity == wanted).count() {
            1 => Ok(Who::Identity(wanted)),
            0 => Err(Failure::Member(format!("no member of the channel has the identity \"{shown}\"; see members()"))),
            _ => Err(Failure::Member(format!("several members have the identity \"{shown}\"; name one by its leaf, see members()"))),
        }
    }
}

async fn add(engine: toq_member::Channel, key_package: PyBackedBytes) -> Result<Octets, Failure> {
    Ok(Octets(engine.add_member(&key_package).await?))
}

async fn send(engine: toq_member::Channel, payload: PyBackedBytes) -> Result<Plain<()>, Failure> {
    engine.send(&payload).await?;
    Ok(Plain(()))
}

async fn members(engine: toq_member::Channel) -> Result<Members, Failure> {
    Ok(Members(engine.members()))
}

async fn remove(engine: toq_member::Channel, member: Named) -> Result<Plain<()>, Failure> {
    let who = member.who(&engine.members())?;
    engine.remove_member(&who).await?;
    Ok(Plain(()))
}

async fn leave(engine: toq_member::Channel) -> Result<Plain<()>, Failure> {
    engine.leave().await?;
    Ok(Plain(()))
}

async fn rotate(engine: toq_member::Channel) -> Result<Plain<()>, Failure> {
    engine.rotate_key().await?;
    Ok(Plain(()))
}

async fn audit_key(engine: toq_member::Channel) -> Result<Octets, Failure> {
    Ok(Octets(engine.export_audit_key()?.to_vec()))
}

async fn events(inbox: Arc<Inbox>, timeout: Duration) -> Result<Events, Failure> {
    let engine = inbox.engine.get()?;
    let is_new = |event: &Happening| event.n > inbox.since;
    // What is there at once may all be of an earlier run.
    let mut events: Vec<_> = engine.events(Duration::ZERO).await.into_iter().filter(is_new).collect();
    if events.is_empty() {
        events = engine.events(timeout).await.into_iter().filter(is_new).collect();
    }
    Ok(Events { channel: inbox.name.clone(), events })
}
