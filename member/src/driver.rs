//! What moves the channels of a client: one task that reads from the relay, one that sends to it.
//!
//! The reader takes whatever has come, gives each channel its part, and commits the results of all of them together. The
//! mover makes wishes and drafts into frames, and publishes what is committed. Both look at a channel's core for one decision at a
//! time and fix the order of their changes under its lock; see [`crate::core`] for what the order promises.

mod pace;
#[cfg(test)]
mod trials;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use toq_api::relay::RelayApiError;
use toq_dataplane::extension::Tag;
use toq_dataplane::link::{Event, LinkError, Refusal};
use toq_store::member::HappeningRow;

use self::pace::Pace;
use crate::chance::{Now, Pauses, random};
use crate::core::{Core, Item, Step};
use crate::error::{Error, Kind};
use crate::inner::{Inner, Route, State};
use crate::line::{self, Arrivals, Line};
use crate::seat::Seat;

/// How often channels are looked after when nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// Watches over a task of a client: where it panics, the client ends with an error, and does not only stand still.
pub(crate) async fn supervise(inner: Arc<Inner>, task: impl Future<Output = ()>) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        let text =
            "a part of this client broke, which is an error in the program; close it and open it again, nothing that was kept is lost";
        inner.fail(Error::new(Kind::Runtime, text));
    }
}

/// Keeps a connection for as long as the client is open.
pub(crate) async fn connect(inner: Arc<Inner>) {
    let mut pauses = Pauses::new();
    let mut closing = inner.closing.subscribe();
    let mut is_refused = false;
    loop {
        let opened = tokio::select! {
            opened = open(&inner) => opened,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match opened {
            Ok((line, arrivals)) => {
                is_refused = false;
                inner.routes().clear();
                *inner.line() = Some(line.clone());
                let seats: Vec<_> = inner.seats().values().cloned().collect();
                for seat in seats {
                    if let Err(error) = subscribe(&inner, &line, &seat).await {
                        tracing::debug!(%error, "the relay went away again");
                    }
                }
                inner.state.send_replace(State::Connected { is_extended: line.is_extended() });
                inner.nudge_all();
                let end = tokio::select! {
                    end = read(&inner, arrivals, &mut pauses) => end,
                    _ = closing.wait_for(|closing| *closing) => return,
                };
                tracing::info!(%end, "the connection to the relay ended");
                *inner.line() = None;
                for seat in inner.seats().values() {
                    seat.core().disconnected();
                }
                inner.state.send_replace(State::Away(end.into()));
            }
            Err(error) => {
                tracing::debug!(%error, "the relay cannot be reached; it is tried again");
                if error.kind() == Kind::Auth && !std::mem::replace(&mut is_refused, true) {
                    tell_of_refused_access(&inner, &error).await;
                }
                inner.state.send_replace(State::Away(error));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.next()) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

/// Notes in every channel that this client is not let in any more: its key was revoked, or its token has ended.
async fn tell_of_refused_access(inner: &Arc<Inner>, error: &Error) {
    let seats: Vec<_> = inner.seats().values().cloned().collect();
    for seat in seats {
        let row = HappeningRow {
            kind: "access_refused".to_owned(),
            subject: Vec::new(),
            by: Vec::new(),
            epoch: seat.core().epoch(),
            detail: error.to_string(),
            at: Now::look().nanos,
        };
        if let Err(error) = crate::deed::note(inner, &seat, row).await {
            tracing::warn!(channel = %seat.name, %error, "an event could not be kept");
        }
    }
}

async fn open(inner: &Inner) -> Result<(Line, Arrivals), Error> {
    let token = match &inner.api {
        Some(api) => Some(api.token().await.map_err(|error: RelayApiError| Error::from(error))?.token),
        None => inner.settings.token.clone(),
    };
    Ok(line::open(&inner.settings, token).await?)
}

/// Asks for a channel from where it was read to, unless there is nothing to be done with it.
pub(crate) async fn subscribe(inner: &Inner, line: &Line, seat: &Seat) -> Result<(), LinkError> {
    let tag = Tag(random());
    let after = {
        let mut core = seat.core();
        core.connected(line.is_extended());
        if core.is_unwanted() {
            return Ok(());
        }
        core.asking(tag)
    };
    // A relay without the extension answers nothing, so that what was asked would be remembered for ever.
    if line.is_extended() {
        inner.routes().insert(tag, Route::Subscription(seat.id));
    }
    line.subscribe(&seat.name, after, tag).await
}

async fn read(inner: &Arc<Inner>, mut arrivals: Arrivals, pauses: &mut Pauses) -> LinkError {
    let gone = || LinkError::Closed("it ended without a word".to_owned());
    let mut pace = Pace::default();
    loop {
        wait_for_room(inner).await;
        let events = pace.gather(&mut arrivals).await;
        if events.is_empty() {
            return gone();
        }
        let (count, began) = (events.len(), Now::look());
        pauses.reset();
        let mut end = None;
        let mut parts: BTreeMap<[u8; 32], Vec<Part>> = BTreeMap::new();
        for event in events {
            if let Event::Closed(error) = event {
                end = Some(error);
            } else if let Some((id, part)) = part(inner, event) {
                parts.entry(id).or_default().push(part);
            }
        }
        if let Err(error) = handle(inner, parts).await {
            tracing::error!(%error, "what came from the relay could not be kept; it is asked for again");
            return LinkError::Closed(format!("by us: {error}"));
        }
        pace.rest(count, began, Now::look());
        if let Some(end) = end {
            return end;
        }
    }
}

/// Where the relay cannot be asked again for what was not taken, nothing is read while a channel has no room: HTTP/2 holds the relay back.
async fn wait_for_room(inner: &Inner) {
    let is_extended = inner.line().as_ref().is_none_or(Line::is_extended);
    if is_extended {
        return;
    }
    while inner.seats().values().any(|seat| seat.is_overfull()) {
        tokio::time::sleep(TICK).await;
    }
}

/// What an event means to one channel.
enum Part {
    Delivered { seq: u64, frame: Vec<u8> },
    Accepted { tag: Tag, seq: u64 },
    Refused { tag: Tag, why: Refusal, detail: String, wait: Duration },
    NotSubscribed { why: Refusal, detail: String, oldest: u64, wait: Duration },
    Subscribed { tag: Tag },
    CaughtUp { seq: u64 },
}

fn part(inner: &Inner, event: Event) -> Option<([u8; 32], Part)> {
    match event {
        Event::Delivered { channel, seq, blob, .. } => Some((channel.id(), Part::Delivered { seq, frame: blob.to_vec() })),
        Event::CaughtUp { channel, seq } => Some((channel.id(), Part::CaughtUp { seq })),
        Event::Accepted { tag, seq } => match inner.routes().remove(&tag)? {
            Route::Publication(id) => Some((id, Part::Accepted { tag, seq })),
            Route::Subscription(id) => Some((id, Part::Subscribed { tag })),
        },
        Event::Refused { tag, why, detail, seq, retry_after } => match inner.routes().remove(&tag?)? {
            Route::Publication(id) => Some((id, Part::Refused { tag: tag?, why, detail, wait: retry_after })),
            Route::Subscription(id) => Some((id, Part::NotSubscribed { why, detail, oldest: seq, wait: retry_after })),
        },
        Event::Closed(_) => None,
    }
}

async fn handle(inner: &Arc<Inner>, parts: BTreeMap<[u8; 32], Vec<Part>>) -> Result<(), Error> {
    let store = inner.store()?;
    let mut ends = Vec::new();
    for (id, parts) in parts {
        let Some(seat) = inner.seats().get(&id).cloned() else { continue };
        let slot = store.slot().await?;
        // A channel that has to be read again from the disk asks for all this again; the others go on.
        let Ok(mut core) = seat.sound_core() else {
            inner.nudge(id);
            continue;
        };
        let now = Now::look();
        let mut step = Step::default();
        core.has_read(seat.octets_read());
        for part in parts {
            take(&mut core, part, &mut step, now);
        }
        core.look_for_the_end(&mut step, now);
        if step.is_empty() {
            drop(core);
            inner.nudge(id);
            continue;
        }
        crate::fault::point("entering");
        let kept = inner.keep(&seat, slot, core, step);
        ends.push(async move {
            kept.await?;
            crate::fault::point("entered");
            Ok::<(), Error>(())
        });
    }
    join_all(ends).await.into_iter().collect()
}

fn take(core: &mut Core, part: Part, step: &mut Step, now: Now) {
    match part {
        Part::Delivered { seq, frame } => core.delivered(seq, Item::Frame(frame), step, now),
        Part::Accepted { tag, seq } => {
            crate::fault::point("accepted");
            core.accepted(tag, seq, step, now);
        }
        Part::Refused { tag, why, detail, wait } => core.refused(tag, why, &detail, wait, step, now),
        Part::Subscribed { tag } => core.subscribed(tag),
        Part::CaughtUp { seq } => core.caught_up(seq, step, now),
        Part::NotSubscribed { why: Refusal::Behind, oldest, .. } => core.behind(oldest, step, now),
        Part::NotSubscribed { why, detail, wait, .. } => core.not_subscribed(why, &detail, wait, step, now),
    }
}

/// Moves what waits, for as long as the client is open.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut closing = inner.closing.subscribe();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let ids = tokio::select! {
            () = inner.moved.notified() => inner.take_dirty(),
            _ = tick.tick() => {
                inner.take_dirty();
                inner.seats().keys().copied().collect()
            }
            _ = closing.wait_for(|closing| *closing) => return,
        };
        for id in ids {
            let Some(seat) = inner.seats().get(&id).cloned() else { continue };
            let moved = tokio::select! {
                moved = advance(&inner, &seat) => moved,
                _ = closing.wait_for(|closing| *closing) => return,
            };
            if let Err(error) = moved {
                tracing::warn!(channel = %seat.name, %error, "a channel does not move; it is tried again");
            }
        }
    }
}

async fn advance(inner: &Arc<Inner>, seat: &Arc<Seat>) -> Result<(), Error> {
    let store = inner.store()?;
    let is_extended = inner.line().as_ref().map(Line::is_extended);
    seat.mend(&inner.settings, &inner.agent(), &store, is_extended)?;
    loop {
        let drafts = seat.core().next_drafts();
        let drafts = match drafts {
            Some((after, most)) => store.outbox(&seat.id, after, most)?,
            None => Vec::new(),
        };
        let slot = store.slot().await?;
        let kept = {
            // Where it gives way to another group there is nothing to move here.
            let Ok(mut core) = seat.sound_core() else { return Ok(()) };
            let now = Now::look();
            core.has_read(seat.octets_read());
            let mut step = core.advance(now);
            core.look_for_gaps(&mut step, now);
            core.look_for_the_end(&mut step, now);
            core.encrypt_drafts(drafts, &mut step, now);
            if step.is_empty() {
                break;
            }
            crate::fault::point("staging");
            inner.keep(seat, slot, core, step)
        };
        kept.await?;
        crate::fault::point("staged");
        publish(inner, seat).await?;
    }
    let line = inner.line().clone();
    if let Some(line) = line {
        let is_unwanted = seat.core().is_unwanted();
        if is_unwanted {
            line.unsubscribe(&seat.name).await?;
        }
        let again = std::mem::take(&mut seat.core().resubscribe);
        if again {
            subscribe(inner, &line, seat).await?;
        }
    }
    publish(inner, seat).await
}

async fn publish(inner: &Arc<Inner>, seat: &Arc<Seat>) -> Result<(), Error> {
    let Some(line) = inner.line().clone() else { return Ok(()) };
    let ready = seat.core().publishable(Now::look());
    for publication in ready {
        let n = publication.n;
        crate::fault::point("publish");
        if line.is_extended() {
            inner.routes().insert(publication.tag, Route::Publication(seat.id));
        }
        line.publish(&seat.name, publication).await?;
        crate::fault::point("published");
        if !line.is_extended() {
            handed_over(inner, seat, n).await?;
        }
    }
    Ok(())
}

/// A relay without the extension says nothing more about it.
async fn handed_over(inner: &Arc<Inner>, seat: &Arc<Seat>, n: u64) -> Result<(), Error> {
    let slot = inner.store()?.slot().await?;
    let kept = {
        let mut core = seat.sound_core()?;
        let mut step = Step::default();
        core.handed_over(n, &mut step, Now::look());
        inner.keep(seat, slot, core, step)
    };
    kept.await
}

/// Which channel an answer is for.
pub(crate) type Routes = HashMap<Tag, Route>;
