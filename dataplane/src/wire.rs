//! Messages, client and server of `proto/dataplane.proto`.
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, reason = "generated")]

include!("wire/dataplane.rs");
