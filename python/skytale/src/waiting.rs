//! Waiting for the engine from Python, without holding the interpreter lock.
//!
//! A blocking call wakes every so often to let Python handle signals, so that Ctrl-C works. An awaited call is a future of
//! asyncio that a task of the engine's runtime settles.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// How long a signal may have to wait for its handler.
const WAKE: Duration = Duration::from_millis(100);
/// Members wait for the network and the disk most of the time; two threads keep one busy channel from holding up the others.
const WORKERS: usize = 2;

static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// Returns the runtime of this process, made when it is first needed. Its threads end with the process.
///
/// A fork has no threads but the caller's, so a child gets a runtime of its own.
pub fn runtime() -> PyResult<&'static Runtime> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, runtime)) = *slot
        && owner == process
    {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).thread_name("skytale").enable_all().build();
    let runtime = runtime.map_err(|error| PyRuntimeError::new_err(format!("runtime error: no threads for the client: {error}")))?;
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    *slot = Some((process, runtime));
    Ok(runtime)
}

/// Waits for an answer. Signals are handled meanwhile; if a handler raises, the waiting ends with that exception.
pub fn wait<T, E>(py: Python<'_>, work: impl Future<Output = Result<T, E>> + Send) -> PyResult<T>
where
    T: Send,
    E: Into<PyErr> + Send,
{
    let runtime = runtime()?;
    let mut work = pin!(work);
    loop {
        let step = py.detach(|| runtime.block_on(async { tokio::time::timeout(WAKE, work.as_mut()).await }));
        match step {
            Ok(answer) => return answer.map_err(Into::into),
            Err(_) => py.check_signals()?,
        }
    }
}

/// What a call came to. One that is dropped instead of given has not reached its caller.
pub trait Answer: Send + 'static {
    /// The value for Python.
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

/// An answer that Python has a type for.
pub struct Plain<T>(pub T);

impl<T> Answer for Plain<T>
where
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.into_py_any(py)
    }
}

/// Returns an `asyncio.Future` of the running loop for the work, which begins at once. Cancelling the future ends the work.
pub fn promise<'py, T, E>(py: Python<'py>, work: impl Future<Output = Result<T, E>> + Send + 'static) -> PyResult<Bound<'py, PyAny>>
where
    T: Answer,
    E: Into<PyErr> + Send + 'static,
{
    let event_loop = py.import("asyncio")?.call_method0("get_running_loop")?;
    let future = event_loop.call_method0("create_future")?;
    let (event_loop, settles) = (event_loop.unbind(), future.clone().unbind());
    let task = runtime()?.spawn(async move {
        // Whoever awaits it would wait for ever if nobody settled it.
        let outcome: Outcome = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(answer) => Box::new(|py| answer.map_err(Into::into)?.give(py)),
            Err(_) => {
                Box::new(|_| Err(PyRuntimeError::new_err("runtime error: a part of the client panicked; close it and open it again")))
            }
        };
        // Nobody is told after the interpreter has ended.
        tokio::task::block_in_place(|| Python::try_attach(|py| deliver(py, &event_loop, settles, outcome)));
    });
    future.call_method1("add_done_callback", (Abort(task.abort_handle()),))?;
    Ok(future)
}

type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

fn deliver(py: Python<'_>, event_loop: &Py<PyAny>, future: Py<PyAny>, outcome: Outcome) {
    let settle = Py::new(py, Settle { future, outcome: Mutex::new(Some(outcome)) });
    // Fails when the loop is closed: then the program does not wait for this any more.
    drop(settle.and_then(|settle| event_loop.call_method1(py, "call_soon_threadsafe", (settle,))));
}

/// Runs on the event loop and gives the future its outcome.
#[pyclass(frozen)]
struct Settle {
    future: Py<PyAny>,
    outcome: Mutex<Option<Outcome>>,
}

#[pymethods]
impl Settle {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(outcome) = outcome else { return Ok(()) };
        if self.future.call_method0(py, "done")?.is_truthy(py)? {
            return Ok(());
        }
        match outcome(py) {
            Ok(value) => self.future.call_method1(py, "set_result", (value,)).map(drop),
            Err(error) => self.future.call_method1(py, "set_exception", (error,)).map(drop),
        }
    }
}

/// Ends the work when its future is done, which is before the work only if it was cancelled.
#[pyclass(frozen)]
struct Abort(tokio::task::AbortHandle);

#[pymethods]
impl Abort {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        self.0.abort();
    }
}

/// Seconds from Python as a duration.
pub fn seconds(given: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(given)
        .map_err(|_| PyValueError::new_err(format!("a timeout must be a number of seconds from 0, not {given}")))
}
