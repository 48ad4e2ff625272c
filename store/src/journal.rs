//! The one writer of a workspace: a thread that turns whatever waits into one durable commit.
//!
//! It takes the first waiting batch, then everything else already queued up to [`MAX_BATCHES`] or
//! [`MAX_BYTES`], writes them in one transaction and answers all of them. A hundred waiting peers cost one
//! flush. It is a thread and not an actor because a flush blocks.
//!
//! After a failed write nothing is assumed to be on disk. The database is closed and opened again, and
//! until that works every batch is answered with the failure, so nothing is acknowledged without a commit.
//! A full disk heals by itself once there is space.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::batch::{Batch, Outcome};
use crate::error::StoreError;
use crate::open::{Shared, Tail};
use crate::writer::Writer;

/// The most batches in one transaction.
pub const MAX_BATCHES: usize = 128;

/// The most bytes in one transaction, save that a single batch may be larger.
pub const MAX_BYTES: usize = 1 << 20;

/// How many batches may wait before [`Journal::commit`] does.
pub const QUEUE: usize = 256;

/// How long a batch that nobody waits for may wait for one to ride with.
pub const LINGER: Duration = Duration::from_millis(3);

/// How long the journal leaves a failed disk alone before it tries again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Whether the journal can write.
#[derive(Clone, Debug, Default)]
pub enum Health {
    /// It can.
    #[default]
    Writing,
    /// The last write failed for this reason; it will be tried again.
    Failed(StoreError),
}

/// A handle to a workspace's writer.
#[derive(Clone, Debug)]
pub struct Journal {
    engine: Engine,
    health: watch::Receiver<Health>,
}

#[derive(Clone, Debug)]
enum Engine {
    Thread { jobs: SyncSender<Job>, room: Arc<Semaphore>, thread: Arc<Mutex<Option<JoinHandle<()>>>> },
    Inline(Arc<Mutex<Scribe>>),
}

/// Whether somebody waits for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    Now,
    /// It rides with the next urgent one, or goes after [`LINGER`].
    Soon,
}

#[derive(Debug)]
struct Job {
    batch: Batch,
    urgency: Urgency,
    answer: oneshot::Sender<Result<Outcome, StoreError>>,
    _room: OwnedSemaphorePermit,
}

impl Journal {
    pub(crate) fn threaded(shared: Arc<Shared>, writer: Writer, tail: Tail) -> Result<Self, StoreError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let room = Arc::new(Semaphore::new(QUEUE));
        let (scribe, health) = Scribe::new(shared, writer, tail);
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || scribe.run(queue)).map_err(|error| StoreError::from_io(&error))?;
        Ok(Self { engine: Engine::Thread { jobs, room, thread: Arc::new(Mutex::new(Some(thread))) }, health })
    }

    pub(crate) fn inline(shared: Arc<Shared>, writer: Writer, tail: Tail) -> Self {
        let (scribe, health) = Scribe::new(shared, writer, tail);
        Self { engine: Engine::Inline(Arc::new(Mutex::new(scribe))), health }
    }

    /// Commits a batch; answers once it is on disk or certainly is not.
    ///
    /// Waits while [`QUEUE`] batches are ahead. Batches take effect in the order in which these futures are
    /// first polled.
    ///
    /// # Errors
    /// [`StoreError`] where the disk failed; nothing of the batch took effect then.
    pub async fn commit(&self, batch: Batch) -> Result<Outcome, StoreError> {
        self.hand_over(batch, Urgency::Now).await
    }

    /// Commits a batch that nobody waits for: in the transaction of the next one, or after [`LINGER`].
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub async fn commit_soon(&self, batch: Batch) -> Result<Outcome, StoreError> {
        self.hand_over(batch, Urgency::Soon).await
    }

    async fn hand_over(&self, batch: Batch, urgency: Urgency) -> Result<Outcome, StoreError> {
        match &self.engine {
            Engine::Inline(scribe) => {
                let mut scribe = scribe.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let mut outcomes = scribe.write(std::slice::from_ref(&batch))?;
                outcomes.pop().ok_or(StoreError::Closed)
            }
            Engine::Thread { jobs, room, .. } => {
                let (answer, answered) = oneshot::channel();
                let room = Arc::clone(room).acquire_owned().await.map_err(|_| StoreError::Closed)?;
                // There is a place in the channel for every permit, so this does not block.
                jobs.send(Job { batch, urgency, answer, _room: room }).map_err(|_| StoreError::Closed)?;
                answered.await.map_err(|_| StoreError::Closed)?
            }
        }
    }

    /// Waits until everything that was handed over before is on disk, or certainly is not.
    ///
    /// # Errors
    /// [`StoreError`] where the disk failed.
    pub async fn barrier(&self) -> Result<(), StoreError> {
        self.commit(Batch::new(Vec::new())).await.map(drop)
    }

    /// Lets go of the journal and, if nobody else holds it, waits until its thread has let go of the file.
    pub(crate) fn close(self) {
        let Engine::Thread { jobs, thread, .. } = self.engine else { return };
        drop(jobs);
        let last = Arc::into_inner(thread).and_then(|thread| thread.into_inner().ok().flatten());
        if let Some(Err(_panicked)) = last.map(JoinHandle::join) {
            tracing::error!("the journal's thread panicked");
        }
    }

    /// Whether the journal can write now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }
}

/// Takes what waits. For a batch that somebody waits for it does not wait for more: what comes during the
/// flush makes the next group, and lingering there was measured to cost more than it saves.
fn gather(first: Job, queue: &Receiver<Job>) -> Vec<Job> {
    let deadline = now() + LINGER;
    let mut bytes = first.batch.weight();
    let mut is_urgent = first.urgency == Urgency::Now;
    let mut jobs = vec![first];
    while jobs.len() < MAX_BATCHES && bytes < MAX_BYTES {
        let next = if is_urgent { queue.try_recv().ok() } else { queue.recv_timeout(deadline.saturating_duration_since(now())).ok() };
        let Some(job) = next else { break };
        bytes += job.batch.weight();
        is_urgent |= job.urgency == Urgency::Now;
        jobs.push(job);
    }
    jobs
}

/// What the journal thread owns.
#[derive(Debug)]
struct Scribe {
    shared: Arc<Shared>,
    writer: Option<Writer>,
    tail: Tail,
    health: watch::Sender<Health>,
    last_failure: Option<Instant>,
}

impl Scribe {
    fn new(shared: Arc<Shared>, writer: Writer, tail: Tail) -> (Self, watch::Receiver<Health>) {
        let (health, watched) = watch::channel(Health::Writing);
        (Self { shared, writer: Some(writer), tail, health, last_failure: None }, watched)
    }

    fn run(mut self, queue: Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let (batches, answers): (Vec<_>, Vec<_>) = gather(first, &queue).into_iter().map(|job| (job.batch, job.answer)).unzip();
            match self.write(&batches) {
                Ok(outcomes) => outcomes.into_iter().zip(answers).for_each(|(outcome, answer)| drop(answer.send(Ok(outcome)))),
                Err(error) => answers.into_iter().for_each(|answer| drop(answer.send(Err(error.clone())))),
            }
        }
    }

    fn write(&mut self, batches: &[Batch]) -> Result<Vec<Outcome>, StoreError> {
        if batches.iter().all(Batch::is_empty) {
            return Ok(batches.iter().map(|_| Outcome::Committed(Vec::new())).collect());
        }
        let mut writer = self.take_writer()?;
        match writer.write(batches.iter()) {
            Ok(outcomes) => {
                self.tail.send_replace(writer.last());
                self.writer = Some(writer);
                Ok(outcomes)
            }
            Err(error) => {
                tracing::error!(%error, batches = batches.len(), "a commit failed; nothing of it is acknowledged");
                self.last_failure = Some(now());
                self.health.send_replace(Health::Failed(error.clone()));
                self.writer = if self.shared.is_memory() { Some(writer) } else { self.shared.reopen(writer).ok() };
                Err(error)
            }
        }
    }

    /// The writer, opened again where the disk had failed and some time has passed.
    fn take_writer(&mut self) -> Result<Writer, StoreError> {
        let failure = match self.health.borrow().clone() {
            Health::Writing => None,
            Health::Failed(error) => Some(error),
        };
        let Some(failure) = failure else { return self.writer.take().ok_or(StoreError::Closed) };
        if self.last_failure.is_some_and(|at| at.elapsed() < REOPEN_PAUSE) {
            return Err(failure);
        }
        self.last_failure = Some(now());
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.shared.reopen_closed()?,
        };
        self.health.send_replace(Health::Writing);
        Ok(writer)
    }
}

/// The time, on a thread of its own where no paused clock runs.
#[allow(clippy::disallowed_methods, reason = "the store depends on no clock; the journal thread times its own disk")]
fn now() -> Instant {
    Instant::now()
}
