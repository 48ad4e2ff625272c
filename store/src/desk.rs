//! One writer thread for a database whose rows are not the mailbox's.
//!
//! The relay's log and a channel member's state are databases of their own, with tables of their own. What they share with
//! the [`Journal`](crate::Journal) is its manner: one thread writes, whatever waits becomes one durable transaction, and
//! nobody is answered before the flush. A [`Task`] is a closure over the open transaction: it reads, decides, and writes.
//!
//! A task that returns [`StoreError`] aborts the whole transaction and everybody in it is told. A refusal (a name that is
//! taken, an invite that is used up) is an ordinary answer, decided before the task's first write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use redb::{Database, Durability, ReadTransaction, ReadableDatabase as _, WriteTransaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::contained::{contained, contradiction};
use crate::error::StoreError;
use crate::open::Source;

/// The most tasks in one transaction.
const MAX_TASKS: usize = 512;

/// How many tasks may wait before [`Desk::run`] does.
const QUEUE: usize = 1024;

/// What tells a task's caller how the transaction ended.
type Tell = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// One piece of work inside a transaction.
type Task = Box<dyn FnOnce(&WriteTransaction) -> Result<Tell, StoreError> + Send>;

/// What a file needs after a kill, and what that costs before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// It opens at once, however large it is: each commit is flushed twice and writes down which pages are free.
    Quick,
    /// It is read through once: for files that stay small, whose commits are many.
    Whole,
}

/// A handle to a writer thread.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    jobs: SyncSender<Job>,
    room: Arc<Semaphore>,
    shelf: Arc<Shelf>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Job {
    task: Task,
    _room: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Desk {
    /// Opens or makes the database and starts its thread, named `name`.
    ///
    /// # Errors
    /// [`StoreError`] where the file is locked, damaged or cannot be made.
    pub(crate) fn open(name: &str, source: Source, repair: Repair) -> Result<Self, StoreError> {
        let database = Arc::new(source.open()?);
        let shelf = Arc::new(Shelf { source, repair, database: RwLock::new(Some(database)) });
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let writer = shelf.clone();
        let thread = thread.spawn(move || work(&writer, &queue)).map_err(|error| StoreError::from_io(&error))?;
        Ok(Self { jobs, room: Arc::new(Semaphore::new(QUEUE)), shelf, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Runs a task; answers once what it wrote is on disk, or certainly is not.
    ///
    /// Waits while [`QUEUE`] tasks are ahead. Tasks take effect in the order in which these futures are first polled. A
    /// future that is dropped before its answer does not take its task back.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or another task of the transaction failed; nothing of the task took effect then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.slot().await?.run(task).await
    }

    /// The same; `kept` hears what the task decided once that is on disk, also where nobody waits for the answer any more. Where
    /// nothing took effect it is dropped.
    ///
    /// # Errors
    /// As [`Desk::run`].
    pub(crate) async fn run_then<T: Send + 'static>(
        &self,
        task: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
        kept: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, StoreError> {
        self.slot().await?.queue(Arc::default(), task, kept).await
    }

    /// A place in the queue, for a caller who must decide the order of tasks under a lock of its own and may not wait there.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub(crate) async fn slot(&self) -> Result<Slot, StoreError> {
        let room = self.room.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        Ok(Slot { jobs: self.jobs.clone(), room })
    }

    /// The database, for a snapshot. To be held for the length of one read.
    ///
    /// # Errors
    /// [`StoreError`] while it is being opened again after a failure of the disk.
    pub(crate) fn database(&self) -> Result<Arc<Database>, StoreError> {
        self.shelf.database()
    }

    /// Reads in one snapshot.
    ///
    /// # Errors
    /// What `look` says, and [`StoreError::Corrupt`] where it meets pages that contradict each other.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        contained(|| look(&self.database()?.begin_read()?))
    }

    /// Lets go of the desk and, if nobody else holds it, waits until its thread has let go of the file.
    pub(crate) fn close(self) {
        let Self { jobs, thread, shelf, .. } = self;
        drop((jobs, shelf));
        let last = Arc::into_inner(thread).and_then(|thread| thread.into_inner().ok().flatten());
        if let Some(Err(_panicked)) = last.map(JoinHandle::join) {
            tracing::error!("a writer thread panicked");
        }
    }
}

/// A place in the queue of a [`Desk`].
pub(crate) struct Slot {
    jobs: SyncSender<Job>,
    room: OwnedSemaphorePermit,
}

impl Slot {
    /// Queues a task at once; the future tells its end, as that of [`Desk::run`] does. Tasks take effect in the order of these calls.
    pub(crate) fn run<T: Send + 'static>(
        self,
        task: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        self.run_fused(Arc::default(), task)
    }

    /// The same for tasks that build on each other: those that share a fuse. It is blown, before any later task runs, where one of
    /// them did not take effect, and then none after it does.
    pub(crate) fn run_fused<T: Send + 'static>(
        self,
        fuse: Arc<AtomicBool>,
        task: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        self.queue(fuse, task, |_| {})
    }

    fn queue<T: Send + 'static>(
        self,
        fuse: Arc<AtomicBool>,
        task: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
        kept: impl FnOnce(&T) + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let answer = Answer(Some(answer));
        let armed = Armed(Some(fuse));
        let task: Task = Box::new(move |transaction| {
            if armed.is_blown() {
                let end = Err(StoreError::Io("an earlier change, on which this one builds, was not written".to_owned()));
                return Ok(Box::new(move |_| answer.send(end)));
            }
            match task(transaction) {
                Ok(value) => Ok(Box::new(move |end: Result<(), StoreError>| {
                    armed.end(&end);
                    if end.is_ok() {
                        kept(&value);
                    }
                    answer.send(end.map(|()| value));
                })),
                Err(error) => {
                    answer.send(Err(error.clone()));
                    Err(error)
                }
            }
        });
        // There is a place in the channel for every permit, so this does not block.
        let queued = self.jobs.send(Job { task, _room: self.room }).map_err(|_| StoreError::Closed);
        async move {
            queued?;
            answered.await.unwrap_or(Err(StoreError::Closed))
        }
    }
}

/// Whom a task's caller hears from, whatever becomes of the task.
struct Answer<T>(Option<oneshot::Sender<Result<T, StoreError>>>);

impl<T> Answer<T> {
    fn send(mut self, end: Result<T, StoreError>) {
        if let Some(answer) = self.0.take() {
            // A caller that has gone asks for nothing.
            drop(answer.send(end));
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let Some(answer) = self.0.take() else { return };
        let end = if std::thread::panicking() {
            contradiction()
        } else {
            // The tasks behind one that failed are dropped unread.
            StoreError::Io("another task of the transaction failed; the log says why".to_owned())
        };
        drop(answer.send(Err(end)));
    }
}

/// Blows its fuse unless it is told that all went well.
struct Armed(Option<Arc<AtomicBool>>);

impl Armed {
    fn is_blown(&self) -> bool {
        self.0.as_ref().is_some_and(|fuse| fuse.load(Ordering::SeqCst))
    }

    fn end(mut self, end: &Result<(), StoreError>) {
        if end.is_ok() {
            self.0 = None;
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        if let Some(fuse) = &self.0 {
            fuse.store(true, Ordering::SeqCst);
        }
    }
}

/// The database, which is closed and opened again after the disk failed.
#[derive(Debug)]
struct Shelf {
    source: Source,
    repair: Repair,
    database: RwLock<Option<Arc<Database>>>,
}

impl Shelf {
    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        guard.clone().ok_or_else(|| StoreError::Io("the database is being reopened".to_owned()))
    }

    /// Closes the database and opens it again; redb refuses every access after a failed one until then.
    fn reopen(&self) -> Result<(), StoreError> {
        if matches!(self.source, Source::Memory) {
            return Ok(());
        }
        let mut guard = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = guard.take() {
            // Readers hold the database for the length of one snapshot; the file stays locked until the last is done.
            while Arc::strong_count(&database) > 1 {
                std::thread::yield_now();
            }
            contained(|| {
                drop(database);
                Ok(())
            })?;
        }
        *guard = Some(Arc::new(self.source.open()?));
        Ok(())
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let database = self.database.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Closing writes down which pages are free, and reads them for that. What it finds then, whoever opens the file next is told.
        let _told_later = contained(|| {
            drop(database);
            Ok(())
        });
    }
}

fn work(shelf: &Shelf, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut jobs = vec![first];
        // What comes during a flush makes the next group; lingering costs more than it saves.
        while jobs.len() < MAX_TASKS
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        if let Err(error) = group(shelf, jobs) {
            tracing::error!(%error, "a commit failed; nothing of it is acknowledged");
            if let Err(error) = shelf.reopen() {
                tracing::error!(%error, "the database could not be opened again; it is tried at the next write");
            }
        }
    }
}

fn group(shelf: &Shelf, jobs: Vec<Job>) -> Result<(), StoreError> {
    let database = match shelf.database() {
        Ok(database) => database,
        Err(_) => {
            shelf.reopen()?;
            shelf.database()?
        }
    };
    let mut tells = Vec::with_capacity(jobs.len());
    // The transaction is inside: unwinding tells it that it has been left in the middle, and the next opening mends that.
    let end = contained(|| {
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(shelf.repair == Repair::Quick);
        transaction.set_durability(Durability::Immediate)?;
        jobs.into_iter().try_for_each(|job| (job.task)(&transaction).map(|tell| tells.push(tell)))?;
        Ok(transaction.commit()?)
    });
    for tell in tells {
        tell(end.clone());
    }
    end
}

#[cfg(test)]
mod tests;
