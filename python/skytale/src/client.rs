//! The client: settings in, channels out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use toq_member::{Admission, Relay, Settings, Standing, State, mock};
use toq_protocol::key::{PeerKey, Signature};

use crate::channel::{Channel, Inbox};
use crate::failure::Failure;
use crate::owned::Owned;
use crate::received::Octets;
use crate::waiting::{Answer, Plain, promise, seconds, wait};

/// One member: an identity, a data directory, a connection to the relay.
#[pyclass(frozen, weakref, module = "skytale_sdk._native")]
pub struct Client {
    identity: Vec<u8>,
    open: Arc<Open>,
}

/// An open client and the channels that Python has of it.
struct Open {
    engine: Owned<toq_member::Client>,
    closed: Arc<AtomicBool>,
    inboxes: Mutex<HashMap<String, Arc<Inbox>>>,
}

impl Open {
    fn engine(&self) -> Result<&toq_member::Client, Failure> {
        self.engine.get()
    }

    /// The channel for Python. All who ask for the same name share what comes.
    fn channel(&self, engine: toq_member::Channel) -> Channel {
        let mut inboxes = self.inboxes();
        let inbox = inboxes.entry(engine.name().to_owned()).or_insert_with(|| Arc::new(Inbox::new(engine, self.closed.clone())));
        Channel::new(inbox.clone())
    }

    fn inboxes(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Inbox>>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Client {
    /// Opens the directory and the connection.
    #[staticmethod]
    #[pyo3(signature = (**settings))]
    fn open(py: Python<'_>, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Py<PyAny>> {
        wait(py, open(read(settings)?))?.give(py)
    }

    #[staticmethod]
    #[pyo3(signature = (**settings))]
    fn open_async<'py>(py: Python<'py>, settings: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        promise(py, open(read(settings)?))
    }

    #[getter]
    fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// Names of the channels that this client is a member of.
    fn channels(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let open = &self.open;
        wait(py, async { open.engine().map(joined) })
    }

    #[pyo3(signature = (name, proven = false))]
    fn create_channel(&self, py: Python<'_>, name: String, proven: bool) -> PyResult<Py<PyAny>> {
        wait(py, create(self.open.clone(), name, proven))?.give(py)
    }

    #[pyo3(signature = (name, proven = false))]
    fn create_channel_async<'py>(&self, py: Python<'py>, name: String, proven: bool) -> PyResult<Bound<'py, PyAny>> {
        promise(py, create(self.open.clone(), name, proven))
    }

    fn generate_key_package(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wait(py, key_package(self.open.clone()))?.give(py)
    }

    fn generate_key_package_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        promise(py, key_package(self.open.clone()))
    }

    fn join_channel(&self, py: Python<'_>, name: String, welcome: PyBackedBytes) -> PyResult<Py<PyAny>> {
        wait(py, join(self.open.clone(), name, welcome))?.give(py)
    }

    fn join_channel_async<'py>(&self, py: Python<'py>, name: String, welcome: PyBackedBytes) -> PyResult<Bound<'py, PyAny>> {
        promise(py, join(self.open.clone(), name, welcome))
    }

    fn open_channel(&self, py: Python<'_>, name: String) -> PyResult<Py<PyAny>> {
        wait(py, reopen(self.open.clone(), name))?.give(py)
    }

    fn open_channel_async<'py>(&self, py: Python<'py>, name: String) -> PyResult<Bound<'py, PyAny>> {
        promise(py, reopen(self.open.clone(), name))
    }

    fn invite(&self, py: Python<'_>, name: String, max_uses: &Bound<'_, PyAny>, ttl: &Bound<'_, PyAny>) -> PyResult<String> {
        let (max_uses, ttl) = (count(max_uses, "max_uses")?, count(ttl, "ttl")?);
        Ok(wait(py, invite(self.open.clone(), name, max_uses, ttl))?.0)
    }

    fn invite_async<'py>(
        &self,
        py: Python<'py>,
        name: String,
        max_uses: &Bound<'py, PyAny>,
        ttl: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        promise(py, invite(self.open.clone(), name, count(max_uses, "max_uses")?, count(ttl, "ttl")?))
    }

    fn join_with_token(&self, py: Python<'_>, name: String, token: String, timeout: f64) -> PyResult<Py<PyAny>> {
        wait(py, join_with_token(self.open.clone(), name, token, seconds(timeout)?))?.give(py)
    }

    fn join_with_token_async<'py>(&self, py: Python<'py>, name: String, token: String, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        promise(py, join_with_token(self.open.clone(), name, token, seconds(timeout)?))
    }

    fn withdraw_join(&self, py: Python<'_>, name: String, token: String) -> PyResult<bool> {
        Ok(wait(py, withdraw_join(self.open.clone(), name, token))?.0)
    }

    fn withdraw_join_async<'py>(&self, py: Python<'py>, name: String, token: String) -> PyResult<Bound<'py, PyAny>> {
        promise(py, withdraw_join(self.open.clone(), name, token))
    }

    fn statement<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.open.engine()?.statement()))
    }

    fn prove(&self, py: Python<'_>, key: [u8; 32], signature: [u8; 64]) -> PyResult<()> {
        wait(py, prove(self.open.clone(), PeerKey::from_bytes(key), Signature::from_bytes(signature)))
    }

    fn prove_async<'py>(&self, py: Python<'py>, key: [u8; 32], signature: [u8; 64]) -> PyResult<Bound<'py, PyAny>> {
        let proof = prove(self.open.clone(), PeerKey::from_bytes(key), Signature::from_bytes(signature));
        promise(py, async { proof.await.map(Plain) })
    }

    fn flush(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        Ok(wait(py, flush(self.open.clone(), seconds(timeout)?))?.0)
    }

    fn flush_async<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        promise(py, flush(self.open.clone(), seconds(timeout)?))
    }

    #[pyo3(signature = (timeout = 5.0))]
    fn close(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        wait(py, close(self.open.clone(), seconds(timeout)?)).map(drop)
    }

    #[pyo3(signature = (timeout = 5.0))]
    fn close_async<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        promise(py, close(self.open.clone(), seconds(timeout)?))
    }
}

/// An opened client that Python does not have yet.
struct Opened(toq_member::Client);

impl Answer for Opened {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let identity = self.0.identity();
        let open = Open { engine: Owned::new(self.0), closed: Arc::default(), inboxes: Mutex::default() };
        Py::new(py, Client { identity, open: Arc::new(open) }).map(Py::into_any)
    }
}

impl Answer for Channel {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Py::new(py, self).map(Py::into_any)
    }
}

/// The settings that `_settings.py` has resolved.
fn read(settings: Option<&Bound<'_, PyDict>>) -> PyResult<Settings> {
    let Some(given) = settings else { return Err(PyTypeError::new_err("open() needs settings")) };
    let item = |name: &str| given.get_item(name)?.ok_or_else(|| PyTypeError::new_err(format!("open() needs {name}")));
    let relay = match item("mock_group")?.extract::<Option<String>>()? {
        Some(group) => Relay::InProcess(mock::Relay::shared(&group)),
        None => Relay::Endpoint(item("endpoint")?.extract()?),
    };
    let mut settings = Settings::new(relay, item("identity")?.extract::<PyBackedBytes>()?.as_ref());
    settings.data_dir = item("data_dir")?.extract::<Option<PathBuf>>()?;
    settings.api_key = item("api_key")?.extract()?;
    settings.api_url = item("api_url")?.extract()?;
    settings.ca = item("ca")?.extract()?;
    settings.passphrase = item("passphrase")?.extract::<Option<String>>()?.map(Into::into);
    settings.padding = item("padding")?.extract()?;
    settings.unbound_joins = item("unbound_joins")?.extract()?;
    if let Some(octets) = item("max_unread")?.extract::<Option<u64>>()? {
        settings.max_unread = octets;
    }
    let pins = item("pins")?.extract::<HashMap<Vec<u8>, [u8; 32]>>()?;
    settings.pins = pins.into_iter().map(|(identity, key)| (identity, PeerKey::from_bytes(key))).collect();
    Ok(settings)
}

/// How many, as an invite says it; what is negative or beyond all bounds is refused as the API server refuses 0.
fn count(given: &Bound<'_, PyAny>, name: &str) -> PyResult<u32> {
    given.extract().or_else(|error: PyErr| {
        if !error.is_instance_of::<PyOverflowError>(given.py()) {
            return Err(PyTypeError::new_err(format!("{name} is a whole number, not {}", given.get_type().name()?)));
        }
        Err(Failure::Terms(format!("{name} is {given}; it is at least 1, and the API server says how large it may be")).into())
    })
}

async fn open(settings: Settings) -> Result<Opened, Failure> {
    let engine = toq_member::Client::open(settings).await?;
    if let State::Away(error) = engine.state()
        && engine.channels().is_empty()
    {
        // With channels there is something to go on with until the relay is back. Without, the endpoint is likely to be wrong.
        engine.close().await;
        return Err(error.into());
    }
    Ok(Opened(engine))
}

fn joined(engine: &toq_member::Client) -> Vec<String> {
    let is_member = |name: &String| engine.channel(name).is_ok_and(|channel| channel.standing() == Standing::Member);
    engine.channels().into_iter().filter(is_member).collect()
}

async fn create(open: Arc<Open>, name: String, proven: bool) -> Result<Channel, Failure> {
    let admission = if proven { Admission::Proven } else { Admission::Any };
    Ok(open.channel(open.engine()?.create_channel(&name, admission).await?))
}

async fn key_package(open: Arc<Open>) -> Result<Octets, Failure> {
    Ok(Octets(open.engine()?.key_package().await?))
}

async fn join(open: Arc<Open>, name: String, welcome: PyBackedBytes) -> Result<Channel, Failure> {
    Ok(open.channel(open.engine()?.join_channel(&name, &welcome).await?))
}

async fn reopen(open: Arc<Open>, name: String) -> Result<Channel, Failure> {
    Ok(open.channel(open.engine()?.channel(&name)?))
}

async fn invite(open: Arc<Open>, name: String, max_uses: u32, ttl: u32) -> Result<Plain<String>, Failure> {
    let channel = open.engine()?.channel(&name)?;
    Ok(Plain(channel.invite(max_uses, Duration::from_secs(ttl.into())).await?))
}

async fn join_with_token(open: Arc<Open>, name: String, token: String, timeout: Duration) -> Result<Channel, Failure> {
    Ok(open.channel(open.engine()?.join_with_token(&name, &token, timeout).await?))
}

async fn withdraw_join(open: Arc<Open>, name: String, token: String) -> Result<Plain<bool>, Failure> {
    Ok(Plain(open.engine()?.withdraw_join(&name, &token).await?))
}

async fn prove(open: Arc<Open>, key: PeerKey, signature: Signature) -> Result<(), Failure> {
    Ok(open.engine()?.prove(key, signature).await?)
}

async fn flush(open: Arc<Open>, timeout: Duration) -> Result<Plain<bool>, Failure> {
    Ok(Plain(open.engine()?.flush(timeout).await))
}

async fn close(open: Arc<Open>, timeout: Duration) -> Result<Plain<()>, Failure> {
    let engine = open.engine()?;
    let inboxes: Vec<_> = open.inboxes().values().cloned().collect();
    for inbox in inboxes {
        // Fails when the client is closed already; then it was done.
        drop(inbox.settle().await);
    }
    engine.flush(timeout).await;
    open.closed.store(true, Ordering::SeqCst);
    engine.close().await;
    Ok(Plain(()))
}
