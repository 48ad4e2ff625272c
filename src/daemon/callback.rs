//! The HTTP adapter: every message that comes in is posted to the owner's program, in order, until it is taken.
//!
//! Its place is a consumer's, so a daemon that dies goes on where it was. A message that the program refuses for good a few
//! times is set aside so that the others get through: it stays unconfirmed, which `GET /v1/consumers` shows, and is
//! offered again with the next start.

use std::time::Duration;

use toq_actors::WorkspaceRef;
use toq_actors::workspace::Consume;
use toq_api::callback::{CONSUMER, Callback, CallbackError};
use toq_kit::ask;
use toq_store::record::{Direction, MessageRow};
use toq_store::{Seq, StoreError};

/// How many rows are read at once.
const PAGE: usize = 64;

/// The pauses between two attempts, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// How often a message may be refused for good before the next one is posted.
const REFUSALS: u32 = 5;

/// Why a message was not posted, and never for the message's own sake.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("the workspace does not answer")]
    Gone,
    #[error("nothing can be stored: {0}")]
    Unstored(String),
    #[error(transparent)]
    Unread(#[from] StoreError),
}

/// Posts messages until the daemon ends.
pub async fn run(workspace: WorkspaceRef, url: String) {
    let callback = match Callback::new(url) {
        Ok(callback) => callback,
        Err(error) => return tracing::error!(%error, "messages cannot be posted to the callback URL"),
    };
    while let Err(error) = follow(&workspace, &callback).await {
        tracing::warn!(%error, "posting to the callback URL is interrupted");
        tokio::time::sleep(PAUSES.1 / 30).await;
    }
}

/// Goes through the log from the consumer's place; `Ok` when there will be no more messages.
async fn follow(workspace: &WorkspaceRef, callback: &Callback) -> Result<(), Stop> {
    let reader = workspace.home.store.reader();
    let mut tail = reader.watch();
    tail.mark_changed();
    consume(workspace, Consume::Begin(CONSUMER.to_owned(), reader.last())).await?;
    let Some(place) = reader.consumer(CONSUMER)? else { return Err(Stop::Unstored("the consumer is gone".to_owned())) };
    let mut cursor = Seq(place.low_water);
    while tail.changed().await.is_ok() {
        let newest = *tail.borrow_and_update();
        while cursor < newest {
            let rows = reader.messages_after(cursor, PAGE)?;
            if rows.is_empty() {
                cursor = newest;
            }
            for (seq, row) in rows {
                cursor = seq;
                if row.direction() == Direction::In && place.confirmed.binary_search(&seq.0).is_err() {
                    post(workspace, callback, seq, &row).await?;
                }
            }
        }
    }
    Ok(())
}

/// Posts a message until it is taken, or refused too often.
async fn post(workspace: &WorkspaceRef, callback: &Callback, seq: Seq, row: &MessageRow) -> Result<(), Stop> {
    let (mut refusals, mut pause) = (0, PAUSES.0);
    loop {
        // Counted on disk before it is made, so that a crash does not lose the count.
        consume(workspace, Consume::Offer(CONSUMER.to_owned(), vec![seq])).await?;
        let mut event = toq_http::event(row)?;
        let attempt = workspace.home.store.reader().offers(CONSUMER, seq)?;
        (event.seq, event.attempt, event.redelivered) = (Some(seq.0), Some(attempt), (attempt > 1).then_some(true));
        match callback.post(&event.id, &event).await {
            Ok(()) => return consume(workspace, Consume::Confirm(CONSUMER.to_owned(), vec![seq])).await,
            Err(CallbackError::Refused(status)) => {
                refusals += 1;
                if refusals == REFUSALS {
                    tracing::error!(id = %row.id(), status, "the callback URL refuses a message; it is set aside, unconfirmed");
                    return Ok(());
                }
            }
            Err(CallbackError::Unavailable(reason)) => tracing::warn!(id = %row.id(), reason, "the callback URL did not take a message"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn consume(workspace: &WorkspaceRef, command: Consume) -> Result<(), Stop> {
    let done = ask(&workspace.address(), command).await.map_err(|_| Stop::Gone)?;
    done.map_err(|error| Stop::Unstored(error.to_string()))
}
