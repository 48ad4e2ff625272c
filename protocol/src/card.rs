//! Agent cards: what an agent says of itself after negotiation.

use serde::{Deserialize, Serialize};

use crate::canonical::Json;
use crate::key::PeerKey;

/// The largest card, serialised, in bytes.
pub const MAX_CARD: usize = 65_536;

/// Why a card is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The card names another key than the handshake proved.
    #[error("card key differs from the handshake key")]
    KeyMismatch,
    /// The body is not a card.
    #[error("malformed card: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The name is empty.
    #[error("card has an empty name")]
    Name,
    /// The card is over [`MAX_CARD`].
    #[error("card of {0} bytes is over the limit of {MAX_CARD}")]
    TooLarge(usize),
}

/// An agent's card. Unknown members are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The agent's name.
    pub name: String,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its key, as text.
    pub public_key: String,
    /// The protocol version it speaks.
    pub protocol_version: String,
    /// Free words for what it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whether files may be sent to it.
    #[serde(default)]
    pub accept_files: bool,
    /// The largest file, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<u64>,
    /// The largest message, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<u64>,
    /// Its connection mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_mode: Option<String>,
}

impl Card {
    /// Reads the card in the body of a `card.exchange` from the peer with `key`.
    ///
    /// # Errors
    /// [`CardError`] names what is wrong.
    pub fn from_body(body: Option<&Json>, key: &PeerKey) -> Result<Self, CardError> {
        let text = body.map_or("null", Json::as_str);
        let card: Self = serde_json::from_str(text)?;
        let size = serde_json::to_vec(&card)?.len();
        if size > MAX_CARD {
            return Err(CardError::TooLarge(size));
        }
        if card.name.is_empty() {
            return Err(CardError::Name);
        }
        if card.public_key != key.to_string() {
            return Err(CardError::KeyMismatch);
        }
        Ok(card)
    }

    /// The card as the body of a `card.exchange`.
    #[must_use]
    pub fn to_body(&self) -> Json {
        Json::from_value(&serde_json::to_value(self).expect("a card is plain data"))
    }
}
