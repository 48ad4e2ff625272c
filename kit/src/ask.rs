//! Questions that are seen through.

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};

use crate::seat::spawn;

/// The actor that was asked does not live any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the actor is gone")]
pub struct Gone;

/// Sends a command and waits for its answer. The command is carried out even if the returned future is
/// dropped, for instance because the HTTP client hung up; a plain `Addr::send` would take it back.
///
/// # Errors
/// [`Gone`] where the actor stopped or panicked before it answered.
pub async fn ask<A, M>(actor: &Addr<A>, command: M) -> Result<M::Result, Gone>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    let answer = spawn(actor.send(command));
    match answer.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}
