//! The HTTP adapter: every message that comes in is posted to the owner's program, in order, until it is taken.
//!
//! Its place is a consumer's, so a daemon that dies goes on where it was. A message that the program refuses for good a few
//! times is set aside so that the others get through: it is told of among the events, and by `toq doctor`.

use std::time::Duration;

use toq_actors::WorkspaceRef;
use toq_api::callback::{CONSUMER, Callback, CallbackError, REFUSED};
use toq_store::Seq;
use toq_store::record::MessageRow;

use super::inbox::{Inbox, InboxError};

/// The pauses between two attempts, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// How often a message may be refused for good before the next one is posted.
const REFUSALS: u32 = 5;

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
async fn follow(workspace: &WorkspaceRef, callback: &Callback) -> Result<(), InboxError> {
    let mut inbox = Inbox::open(workspace, CONSUMER).await?;
    while let Some((seq, row)) = inbox.next().await? {
        post(&inbox, callback, seq, &row).await?;
    }
    Ok(())
}

/// Posts a message until it is taken, or refused too often, or its sender is not heard any more.
async fn post(inbox: &Inbox, callback: &Callback, seq: Seq, row: &MessageRow) -> Result<(), InboxError> {
    let (mut refusals, mut pause) = (0, PAUSES.0);
    while inbox.hears(seq, row).await? {
        // Counted on disk before it is made, so that a crash does not lose the count.
        let attempt = inbox.offer(seq).await?;
        let mut event = toq_http::event(row)?;
        (event.seq, event.attempt, event.redelivered) = (Some(seq.0), Some(attempt), (attempt > 1).then_some(true));
        match callback.post(&event.id, &event).await {
            Ok(()) => return inbox.confirm(seq).await,
            Err(CallbackError::Refused(status)) => {
                refusals += 1;
                if refusals == REFUSALS {
                    tracing::error!(id = %row.id(), status, "the callback URL refuses a message; it is set aside");
                    return inbox.set_aside(seq, &format!("{REFUSED} with status {status}")).await;
                }
            }
            Err(CallbackError::Unavailable(reason)) => tracing::warn!(id = %row.id(), reason, "the callback URL did not take a message"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
    Ok(())
}
