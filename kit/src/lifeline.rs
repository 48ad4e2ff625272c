//! How a parent learns that a child has gone.

use actix::{Message, Recipient};

/// How an actor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// It had done what it was there for, and said so with [`Lifeline::finish`]. Nothing is wrong and nobody
    /// needs to start it again.
    Finished,
    /// It panicked. Its state is lost; what it had committed is not.
    Panicked,
    /// It stopped for another reason: it was told to, its arbiter died, or it saw no way to go on.
    Stopped,
}

/// A child has gone.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Exited<K: Send + 'static> {
    /// Which child.
    pub key: K,
    /// Which life of it; an answer of an earlier one is to be ignored.
    pub generation: u64,
    /// How it ended.
    pub how: How,
}

/// Tells the parent when it is dropped.
///
/// It is the *last* field of an actor, so that it drops after the actor's sockets and credits. Dropping is
/// what all ends have in common: a normal stop, a panic in a handler, a dying arbiter.
#[derive(Debug)]
pub struct Lifeline<K: Clone + Send + 'static> {
    key: K,
    generation: u64,
    parent: Recipient<Exited<K>>,
    finished: bool,
}

impl<K: Clone + Send + 'static> Lifeline<K> {
    /// Ties a child to its parent.
    #[must_use]
    pub const fn new(key: K, generation: u64, parent: Recipient<Exited<K>>) -> Self {
        Self { key, generation, parent, finished: false }
    }

    /// The child's name in its parent's roster.
    #[must_use]
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// Which life of the child this is.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Says that the coming end is a good one.
    pub const fn finish(&mut self) {
        self.finished = true;
    }
}

impl<K: Clone + Send + 'static> Drop for Lifeline<K> {
    fn drop(&mut self) {
        let how = match (std::thread::panicking(), self.finished) {
            (true, _) => How::Panicked,
            (false, true) => How::Finished,
            (false, false) => How::Stopped,
        };
        self.parent.do_send(Exited { key: self.key.clone(), generation: self.generation, how });
    }
}
