//! Strangers who gave way to others in a full queue: counted, and told of together.
//!
//! What an attacker would try: knock with ever new keys, so that each writes that another one is gone. The count is kept in memory; who
//! ends the process within the pause loses one line of the owner's record, and no question.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_protocol::key::PeerKey;
use toq_store::Batch;
use toq_store::batch::{Change, Sort};

use super::Workspace;
use super::decide::event;

/// How long they are counted before they are told of: with the events that are kept, a flood of two hours is on record minute by minute.
const PAUSE: Duration = Duration::from_secs(60);

/// Those who gave way and were not told of yet.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    count: u64,
    /// The latest.
    last: Option<PeerKey>,
    /// Whether the end of the pause is waited for.
    is_counting: bool,
}

impl Crowd {
    /// One more gave way.
    pub(super) const fn add(&mut self, gone: PeerKey) {
        self.count += 1;
        self.last = Some(gone);
    }
}

impl Workspace {
    /// Tells of the crowd after a pause, if there is one.
    pub(super) fn count_crowd(&mut self, ctx: &mut Context<Self>) {
        if self.crowd.count == 0 || self.crowd.is_counting {
            return;
        }
        self.crowd.is_counting = true;
        ctx.run_later(PAUSE, |act, ctx| {
            let Crowd { count, last, .. } = std::mem::take(&mut act.crowd);
            let Some(last) = last else { return };
            let why = if count == 1 { "crowded out".to_owned() } else { format!("crowded out, the latest of {count}") };
            tracing::warn!(count, "strangers gave way to others because the queue of pending approvals is full");
            let told = event(act.home.wall(), "approval.resolved", &last, None, Some(&why));
            let journal = act.home.store.journal().clone();
            let committing = async move { journal.commit(Batch::new(vec![Change::StrangersEvent(Sort::Crowd, told)])).await };
            ctx.spawn(committing.into_actor(act).map(|result, _, _| {
                if let Err(error) = result {
                    tracing::error!(%error, "that strangers were crowded out could not be noted");
                }
            }));
        });
    }
}
