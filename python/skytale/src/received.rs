//! Messages, members and events as the classes of `skytale_sdk.message`.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList};
use toq_member::{Happening, Member, Message, Role};
use toq_protocol::key::PeerKey;

use crate::channel::Inbox;
use crate::waiting::Answer;

/// Messages on their way from a channel's inbox to a caller. If they do not get there, they go back.
pub struct Taken {
    inbox: Arc<Inbox>,
    messages: Vec<Message>,
    shape: Shape,
}

/// What a caller is given.
#[derive(Clone, Copy)]
pub enum Shape {
    /// The first message, or None.
    One,
    /// A list of all of them.
    List,
}

impl Taken {
    /// Messages that were taken, in their order.
    pub fn new(inbox: Arc<Inbox>, messages: Vec<Message>, shape: Shape) -> Self {
        Self { inbox, messages, shape }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

impl Answer for Taken {
    fn give(mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let name = self.inbox.name();
        let messages = self.messages.iter().map(|taken| message(py, name, taken)).collect::<PyResult<Vec<_>>>()?;
        for taken in self.messages.drain(..) {
            self.inbox.give(taken.n);
        }
        match self.shape {
            Shape::One => messages.into_iter().next().into_py_any(py),
            Shape::List => messages.into_py_any(py),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.inbox.give_back(std::mem::take(&mut self.messages));
    }
}

/// What an awaited call came to, until its caller goes on and opens it: who is cancelled in the moment between does not have it.
#[pyclass(frozen, module = "skytale_sdk._native")]
pub struct Parcel(Mutex<Option<Taken>>);

impl Parcel {
    /// For messages that were taken.
    pub fn new(taken: Taken) -> Self {
        Self(Mutex::new(Some(taken)))
    }

    fn take(&self) -> Option<Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Parcel {
    /// The message or the list. They are their caller's from here on.
    fn open(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.take().ok_or_else(|| PyRuntimeError::new_err("runtime error: these messages were taken already"))?.give(py)
    }

    /// Nobody has them: they are the next ones.
    fn give_back(&self) {
        drop(self.take());
    }
}

impl Answer for Parcel {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Py::new(py, self).map(Py::into_any)
    }
}

/// A `Message`.
pub fn message(py: Python<'_>, channel: &str, message: &Message) -> PyResult<Py<PyAny>> {
    static MESSAGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = MESSAGE.import(py, "skytale_sdk.message", "Message")?;
    let (payload, sender) = (PyBytes::new(py, &message.payload), PyBytes::new(py, &message.sender));
    Ok(class.call1((payload, channel, sender, message.epoch, message.seq, message.proven.is_some(), octets(py, message.proven)))?.unbind())
}

/// An agent key, where there is one.
fn octets(py: Python<'_>, key: Option<PeerKey>) -> Option<Bound<'_, PyBytes>> {
    key.map(|key| PyBytes::new(py, key.as_bytes()))
}

/// A list of `Member`.
pub struct Members(pub Vec<Member>);

impl Answer for Members {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static MEMBER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let class = MEMBER.import(py, "skytale_sdk.message", "Member")?;
        let members = self.0.iter().map(|member| {
            let identity = PyBytes::new(py, &member.identity);
            let role = match member.role {
                Role::Owner => "owner",
                Role::Member => "member",
            };
            let signature_key = PyBytes::new(py, &member.signature_key);
            class.call1((identity, member.index, role, member.proven.is_some(), member.me, octets(py, member.proven), signature_key))
        });
        PyList::new(py, members.collect::<PyResult<Vec<_>>>()?)?.into_py_any(py)
    }
}

/// A list of `Event`.
pub struct Events {
    /// The channel's name.
    pub channel: String,
    /// In their order.
    pub events: Vec<Happening>,
}

impl Answer for Events {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static EVENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let class = EVENT.import(py, "skytale_sdk.message", "Event")?;
        let events = self.events.iter().map(|event| {
            let (subject, by) = (PyBytes::new(py, &event.subject), PyBytes::new(py, &event.by));
            class.call1((&event.kind, &self.channel, subject, by, event.epoch, &event.detail))
        });
        PyList::new(py, events.collect::<PyResult<Vec<_>>>()?)?.into_py_any(py)
    }
}

/// Bytes for Python.
pub struct Octets(pub Vec<u8>);

impl Answer for Octets {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        PyBytes::new(py, &self.0).into_py_any(py)
    }
}
