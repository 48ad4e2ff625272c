//! Envelopes and their translation for Python: bytes and JSON text in, bytes and JSON text out.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyBytes;
use toq_channels::members::Members;
use toq_channels::translate::{Rules, translate_by};
use toq_channels::{Envelope, EnvelopeError, Protocol};

/// The bytes of an envelope. `metadata` is a JSON object as text. Raises `ValueError` for a protocol that there is not, for metadata
/// that is no JSON object, and for a header over 65,536 bytes.
#[pyfunction]
#[pyo3(signature = (protocol, content_type, payload, metadata=None))]
pub fn envelope_encode<'py>(
    py: Python<'py>,
    protocol: &str,
    content_type: String,
    payload: &[u8],
    metadata: Option<PyBackedStr>,
) -> PyResult<Bound<'py, PyBytes>> {
    let metadata = metadata.map(|text| Members::parse(&text)).transpose();
    let metadata = metadata.map_err(|error| PyValueError::new_err(format!("metadata is not a JSON object: {error}")))?;
    let protocol = Protocol::parse(protocol).map_err(refused)?;
    let envelope = Envelope { protocol, content_type, metadata, payload: payload.to_vec() };
    Ok(PyBytes::new(py, &envelope.encode().map_err(refused)?))
}

/// Protocol, content type, payload and metadata (a JSON object as text, or None) of an envelope. Raises `ValueError` for bytes that are
/// none.
#[pyfunction]
pub fn envelope_decode<'py>(py: Python<'py>, data: &[u8]) -> PyResult<(&'static str, String, Bound<'py, PyBytes>, Option<String>)> {
    let Envelope { protocol, content_type, metadata, payload } = Envelope::decode(data).map_err(refused)?;
    Ok((protocol.as_str(), content_type, PyBytes::new(py, &payload), metadata.map(|metadata| metadata.to_json())))
}

/// The envelope as one of another protocol. With `routed`, ids and errors of MCP are kept in the metadata of A2A messages. Raises
/// `ValueError` for bytes that are no envelope, and where the translation's header would be too long.
#[pyfunction]
#[pyo3(signature = (envelope, protocol, routed=false))]
pub fn translate<'py>(py: Python<'py>, envelope: PyBackedBytes, protocol: &str, routed: bool) -> PyResult<Bound<'py, PyBytes>> {
    let to = Protocol::parse(protocol).map_err(refused)?;
    let rules = if routed { Rules::Routed } else { Rules::Published };
    let translated = py.detach(|| {
        let envelope = Envelope::decode(&envelope)?;
        translate_by(rules, envelope, to, &mut || uuid::Uuid::new_v4().to_string()).encode()
    });
    Ok(PyBytes::new(py, &translated.map_err(refused)?))
}

fn refused(error: EnvelopeError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
