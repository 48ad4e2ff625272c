//! Who is still heard: what every reader that hands messages to programs asks before it does.
//!
//! An attacker would send, be blocked, and hope that one of the ways to a program does not ask.

use toq_protocol::policy::Policy;
use toq_store::record::MessageRow;

/// What becomes of a message on its way to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It is offered.
    Heard,
    /// It is kept from programs, for this reason: its sender would not get in now.
    Silenced(&'static str),
    /// Nobody can read it.
    Unreadable,
}

impl Hearing {
    /// What becomes of this message under this policy.
    #[must_use]
    pub fn of(policy: &Policy, row: &MessageRow) -> Self {
        let Ok(message) = row.message() else { return Self::Unreadable };
        let silences = |peer| policy.silences(&peer, &message.from, row.proof());
        row.peer().and_then(silences).map_or(Self::Heard, Self::Silenced)
    }
}
