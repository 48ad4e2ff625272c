//! The native half of `skytale_sdk`.

#[pyo3::pymodule]
mod _native {}
