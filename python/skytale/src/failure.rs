//! What went wrong, as one of the exceptions of `skytale_sdk.errors`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use toq_member::{Error, Kind};

/// A failure on its way to Python.
pub enum Failure {
    /// The engine's.
    Engine(Error),
    /// A client was used in a process that was forked from its own.
    Forked {
        /// The process that opened it.
        owner: u32,
    },
    /// An invite cannot have these terms.
    Terms(String),
    /// Nobody has this identity, or several have.
    Member(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        let (kind, text, code, status) = match &failure {
            Failure::Engine(error) => (class(error.kind()), error.to_string(), error.code().or(code(error.kind())), error.http_status()),
            Failure::Forked { owner } => (
                "runtime",
                format!("runtime error: the client belongs to process {owner}; open another one, on another data_dir, after a fork"),
                Some("forked"),
                None,
            ),
            Failure::Terms(text) => ("channel", text.clone(), Some("bad_request"), None),
            Failure::Member(text) => ("channel", text.clone(), Some("no_such_member"), None),
        };
        Python::attach(|py| exception(py, kind, &text, code, status).unwrap_or_else(|error| error))
    }
}

/// The kind by which `skytale_sdk.errors` chooses the class.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Auth => "auth",
        Kind::Transport => "transport",
        Kind::ChannelName | Kind::TooLarge | Kind::NotFound | Kind::Refused => "channel",
        Kind::Quota => "quota",
        Kind::Mls | Kind::Storage => "mls",
        _ => "runtime",
    }
}

/// A word for programs, where the API server gave none.
fn code(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Auth => "unauthorized",
        Kind::Transport => "transport",
        Kind::ChannelName => "channel_name",
        Kind::TooLarge => "message_too_large",
        Kind::NotFound => "not_found",
        Kind::Refused => "refused",
        Kind::Quota => "quota_exceeded",
        Kind::Mls => "mls",
        Kind::Storage => "storage",
        Kind::TimedOut => "timed_out",
        _ => return None,
    })
}

fn exception(py: Python<'_>, kind: &str, text: &str, code: Option<&str>, status: Option<u16>) -> PyResult<PyErr> {
    static OF_KIND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let of_kind = OF_KIND.import(py, "skytale_sdk.errors", "of_kind")?;
    Ok(PyErr::from_value(of_kind.call1((kind, text, code, status))?))
}
