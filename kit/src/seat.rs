//! Where actors run.

use actix::{Actor, Addr, Context};
use actix_rt::ArbiterHandle;

/// A place to run actors: an arbiter of a real system, or the caller's own local task set, which is how
/// tests and simulations run the same actors without threads.
#[derive(Clone, Debug)]
pub enum Seat {
    /// This arbiter.
    Arbiter(ArbiterHandle),
    /// Wherever the caller runs.
    Here,
}

impl Seat {
    /// Starts an actor on this seat.
    pub fn start<A>(&self, make: impl FnOnce(&mut Context<A>) -> A + Send + 'static) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
    {
        match self {
            Seat::Arbiter(arbiter) => A::start_in_arbiter(arbiter, make),
            Seat::Here => A::create(make),
        }
    }
}

/// Runs a future beside the actors of the calling seat. Its owner keeps the handle and aborts it, or gives
/// it a deadline; a panic in it ends nothing else.
#[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + 'static,
{
    actix_rt::spawn(future)
}
