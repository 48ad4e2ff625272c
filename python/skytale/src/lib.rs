//! The native half of `skytale_sdk`.
//!
//! `client` and `channel` are the classes of Python, `received` what they hand over, `failure` what they raise. All of them do what
//! the engine in `toq_member` does, and `text` what `toq_channels` does; this crate decides nothing. `waiting` is how a caller
//! waits, and `owned` what a fork may not touch.

mod channel;
mod client;
mod failure;
mod owned;
mod received;
mod text;
mod waiting;

#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::channel::{Channel, MessageIterator};
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::received::Parcel;
    #[pymodule_export]
    use crate::text::{envelope_decode, envelope_encode, translate};
}
