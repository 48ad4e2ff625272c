//! The receiver's first step: magic and credentials, before it is known which agent is meant.

use super::End;
use crate::frame::{Decoder, MAX_HANDSHAKE};
use crate::handshake::{Credentials, MAGIC, parse_hello};

/// Reads an initiator's magic and credentials.
#[derive(Debug, Default)]
pub struct Greeting {
    decoder: Decoder,
    has_magic: bool,
}

/// An initiator that has greeted us. It has proven nothing yet but that its key once signed this
/// challenge.
#[derive(Debug)]
pub struct Greeted {
    /// What it showed.
    pub credentials: Credentials,
    /// What it sent behind its credentials.
    pub rest: Decoder,
}

impl Greeting {
    /// Makes a greeting that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that were read; answers once the credentials are complete.
    ///
    /// # Errors
    /// [`End`] where they are not a greeting. Nothing is to be said to such a peer.
    pub fn read(mut self, bytes: &[u8]) -> Result<Result<Greeted, Self>, End> {
        self.decoder.push(bytes);
        if !self.has_magic {
            match self.decoder.take::<4>() {
                None => return Ok(Err(self)),
                Some(MAGIC) => self.has_magic = true,
                Some(_) => return Err(End::Violation("the magic bytes are wrong")),
            }
        }
        match self.decoder.next_frame(MAX_HANDSHAKE)? {
            None => Ok(Err(self)),
            Some(payload) => Ok(Ok(Greeted { credentials: parse_hello(&payload)?, rest: self.decoder })),
        }
    }
}
