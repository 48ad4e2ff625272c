//! What is done to a channel, by its program or by who answers requests to join: decided under the lock of the core, and seen through.

use std::sync::Arc;

use tokio::sync::oneshot;
use toq_store::member::HappeningRow;

use crate::chance::Now;
use crate::core::{Core, Step, Wish};
use crate::error::{Error, Kind};
use crate::inner::{Inner, State};
use crate::seat::Seat;

/// Those whom this Welcome is for have it.
pub(crate) async fn welcomed(inner: &Arc<Inner>, seat: &Arc<Seat>, welcome: &[u8]) -> Result<(), Error> {
    with_core(inner, seat, |core, _| Ok(core.welcomed(welcome))).await
}

/// Adds members; returns their Welcome.
pub(crate) async fn add(inner: &Arc<Inner>, seat: &Arc<Seat>, key_packages: Vec<Vec<u8>>) -> Result<Vec<u8>, Error> {
    crate::pins::check_packages(&inner.settings.pins, &key_packages)?;
    let welcome = wish(inner, seat, Wish::Add(key_packages)).await?;
    welcome.ok_or_else(|| Error::new(Kind::Mls, "the change was made and has no Welcome; remove the member and add it again"))
}

/// Writes down something that happened.
pub(crate) async fn note(inner: &Arc<Inner>, seat: &Arc<Seat>, row: HappeningRow) -> Result<(), Error> {
    with_core(inner, seat, |core, _| Ok(core.note(row))).await
}

/// Decides something under the lock of the core, and sees to it that it is kept.
pub(crate) async fn with_core(
    inner: &Arc<Inner>,
    seat: &Arc<Seat>,
    decide: impl FnOnce(&mut Core, Now) -> Result<Step, Error>,
) -> Result<(), Error> {
    let slot = inner.store()?.slot().await?;
    let kept = {
        let mut core = seat.sound_core()?;
        let step = decide(&mut core, Now::look())?;
        crate::fault::point("decided");
        inner.keep(seat, slot, core, step)
    };
    kept.await
}

pub(crate) async fn wish(inner: &Arc<Inner>, seat: &Arc<Seat>, wish: Wish) -> Result<Option<Vec<u8>>, Error> {
    let (reply, answer) = oneshot::channel();
    seat.sound_core()?.wish(wish, Some(reply))?;
    inner.nudge(seat.id);
    let patience = inner.settings.commit_timeout;
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(end)) => end.map(|applied| applied.welcome),
        Ok(Err(_)) => Err(Error::closed()),
        Err(_) => {
            let hindrance = {
                let mut core = seat.core();
                core.withdraw();
                core.hindrance().map(str::to_owned)
            };
            let (kind, why) = match &*inner.state.borrow() {
                State::Away(error) if error.kind() == Kind::Auth => (Kind::Auth, error.detail().to_owned()),
                State::Away(error) => (Kind::Transport, error.detail().to_owned()),
                _ => (Kind::Transport, hindrance.unwrap_or_else(|| "it gave no answer".to_owned())),
            };
            let text = format!(
                "the relay has not settled the change of {} within {patience:?}: {why}; ask again, where somebody is to be added with the same key package",
                seat.name
            );
            Err(Error::new(kind, text))
        }
    }
}
