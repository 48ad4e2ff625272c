//! Doors to the outside: TLS for toq connections, listening and dialling, and who is on the other end of
//! a loopback socket.
//!
//! - [`tls`]: TLS 1.3 only, on ring. Certificates carry a key exchange and nothing else; who a peer is, is
//!   proven inside by its Ed25519 key.
//! - [`listen`], [`dial`]: sockets, each step with a deadline of its own.
//! - [`llm`]: asking language models: OpenAI and what speaks as it does, Anthropic, Ollama, Bedrock.
//! - [`resolve`]: which agents a domain announces, and which addresses a host has.
//! - [`neighbours`]: agents on the local network, by multicast DNS.
//! - [`shell`]: commands and what they start, ended to the last process.
//! - [`local_user`]: which user owns the other end of a loopback connection.
//!
//! What this room is not: it knows no actors, keeps no state between calls but what names were found to
//! mean, and decides nothing about retries.

pub mod broken;
pub mod dial;
pub mod listen;
pub mod llm;
pub mod local_socket;
pub mod local_user;
pub mod neighbours;
pub mod resolve;
pub mod shell;
pub mod tls;

pub use rustls::Error as TlsError;
use tokio::io::{AsyncRead, AsyncWrite};
use toq_protocol::binding::Exporter;

/// A byte stream between two agents: TLS over TCP, or memory between two workspaces of one process.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Any byte stream.
pub type BoxedIo = Box<dyn Io>;

/// A byte stream and the value that only its two ends know.
pub struct SecureIo {
    /// The bytes.
    pub io: BoxedIo,
    /// What its channel is recognised by. Over memory, whoever makes the pair gives both ends the same.
    pub exporter: Exporter,
}
