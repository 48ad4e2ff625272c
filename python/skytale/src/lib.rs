//! The native half of `skytale_sdk`.

mod text;

#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::text::{envelope_decode, envelope_encode, translate};
}
