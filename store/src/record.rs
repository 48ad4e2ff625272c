//! The values of the tables: versioned, compact, decoded without trust.
//!
//! A record is one version byte and a CBOR array. A decoder accepts the versions that it knows; bytes of
//! any other shape are a [`StoreError::Record`], never a panic. Golden bytes of every version are in
//! `tests/golden.rs`.

mod consumer;
mod message;
mod peers;

use minicbor::{Decode, Encode};

pub use consumer::{ConsumerRow, SetAsideRow};
pub use message::{Direction, MessageRow, State, StateRow};
pub use peers::{AlarmRow, ApprovalRow, PeerRow, PinRow, Proof, RotationRow, TurnedAwayRow};

use crate::error::StoreError;

const VERSION: u8 = 1;

/// A value that has a version byte and a CBOR body.
pub trait Record: Sized + Encode<()> + for<'b> Decode<'b, ()> {
    /// The table it lives in, for error texts.
    const TABLE: &'static str;

    /// The bytes of this record.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        minicbor::encode(self, &mut bytes).expect("writing to memory cannot fail");
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`StoreError::Record`] where the bytes are of another version or shape.
    fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Record { table: Self::TABLE };
        match bytes.split_first() {
            Some((&VERSION, body)) => minicbor::decode(body).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }
}

macro_rules! records {
    ($($name:ident = $table:literal),* $(,)?) => {$(impl Record for $name { const TABLE: &'static str = $table; })*};
}

records! {
    MessageRow = "messages", StateRow = "states", EventRow = "events", PeerRow = "peers", PinRow = "pins",
    RotationRow = "rotations", ApprovalRow = "approvals", ConsumerRow = "consumers", IdempotencyRow = "idempotency",
    SetAsideRow = "set_aside", TurnedAwayRow = "turned_away", AlarmRow = "alarms",
}

/// Something that happened and is not a message.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct EventRow {
    /// Its type, such as `message.delivered`.
    #[n(0)]
    pub kind: String,
    /// What it is about: a message id, a key, a stream id.
    #[n(1)]
    pub subject: String,
    /// The address concerned, if there is one.
    #[n(2)]
    pub address: Option<String>,
    /// Why, if there is a reason.
    #[n(3)]
    pub reason: Option<String>,
    /// When, in nanoseconds of Unix time.
    #[n(4)]
    pub timestamp: i64,
}

/// The answer to a request that named an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct IdempotencyRow {
    /// A digest of the request.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub fingerprint: [u8; 32],
    /// The messages that it made, in request order.
    #[n(1)]
    pub messages: Vec<u64>,
    /// When, in nanoseconds of Unix time.
    #[n(2)]
    pub at: i64,
}
