//! The orderly end.
//!
//! Stopping arbiters drops actors without letting them await. So the end is a protocol: [`Drain`] flows
//! down the tree, answers flow up, and only then is anything stopped.

use std::time::Duration;

use actix::{Message, Recipient};
use futures_util::future::join_all;

/// Finish what you are doing and stop; answer when done.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// How long this may take.
    pub grace: Duration,
}

/// Drains children together; returns when all have answered, are gone, or the grace period is over.
pub async fn drain(children: Vec<Recipient<Drain>>, grace: Duration) {
    let answers = children.iter().map(|child| child.send(Drain { grace }));
    let all = join_all(answers);
    if tokio::time::timeout(grace, all).await.is_err() {
        tracing::warn!(children = children.len(), "some children did not finish within the grace period");
    }
}
