//! One conversation: who talks, how far it got, whether it is closed.
//!
//! A conversation belongs to a principal (a peer's key for what comes in, an address for what we send), so
//! that a stranger who uses a known thread id gets a conversation of its own.

use crate::envelope::Kind;
use crate::time::Timestamp;

/// Whether a conversation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ThreadState {
    /// Messages are expected.
    #[default]
    Open,
    /// Somebody has closed it. A later message opens it again.
    Closed,
}

/// The head of a conversation: what is stored beside its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Head {
    /// Whether it goes on.
    pub state: ThreadState,
    /// How many messages it has, both directions.
    pub messages: u64,
    /// When the last one came or went.
    pub last: Timestamp,
}

/// What a message changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The conversation goes on.
    Continued,
    /// This message opened it again.
    Reopened,
    /// This message closed it.
    Closed,
}

/// Follows one conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conversation {
    head: Head,
}

impl Conversation {
    /// Goes on from a stored head.
    #[must_use]
    pub const fn resume(head: Head) -> Self {
        Self { head }
    }

    /// The head as it stands.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Counts a message in either direction.
    pub fn step(&mut self, kind: Kind, at: Timestamp) -> Change {
        let was = self.head.state;
        self.head.messages += 1;
        self.head.last = self.head.last.max(at);
        if kind == Kind::ThreadClose {
            self.head.state = ThreadState::Closed;
            return Change::Closed;
        }
        self.head.state = ThreadState::Open;
        if was == ThreadState::Closed { Change::Reopened } else { Change::Continued }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_closes_and_a_later_message_opens_again() {
        let mut conversation = Conversation::default();

        assert_eq!(conversation.step(Kind::MessageSend, Timestamp::from_nanos(5)), Change::Continued);
        assert_eq!(conversation.step(Kind::ThreadClose, Timestamp::from_nanos(7)), Change::Closed);
        assert_eq!(conversation.step(Kind::MessageSend, Timestamp::from_nanos(6)), Change::Reopened);
        assert_eq!(conversation.head(), Head { state: ThreadState::Open, messages: 3, last: Timestamp::from_nanos(7) });
    }
}
