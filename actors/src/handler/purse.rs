//! What a handler may spend, and how often a peer may make it run.

use toq_protocol::budget::{Exhausted, Spent, day, hour};
use toq_store::Batch;
use toq_store::batch::Change;
use toq_store::record::EventRow;

use super::run::commit;
use super::work::{Order, RunError};

/// A handler's budget, at the time of a run.
pub(super) struct Purse {
    day: u32,
    hour: u32,
    refusal: Option<Exhausted>,
}

impl Purse {
    pub(super) fn open(order: &Order) -> Result<Self, RunError> {
        let (day, hour) = (day(order.home.wall()), hour(order.home.wall()));
        let reader = order.home.store.reader();
        let unread = |error| RunError::Failed(format!("the budget cannot be read: {error}"));
        let (handler, peer) = reader.spent(&order.definition.name, order.peer.as_ref(), day).map_err(unread)?;
        let (_, now) = reader.spent(&hourly(order), order.peer.as_ref(), hour).map_err(unread)?;
        Ok(Self { day, hour, refusal: order.definition.budget().admit(handler, peer, now.runs).err() })
    }

    /// Counts a run on disk before it begins, or pauses the conversation where that is seen.
    pub(super) async fn begin_run(&self, order: &Order) -> Result<(), RunError> {
        let Some(refusal) = self.refusal else {
            let spent = Spent { runs: 1, tokens: 0 };
            let in_this_hour = Change::Spend { handler: hourly(order), peer: order.peer, day: self.hour, spent };
            commit(&order.home, Batch::new(vec![self.change(order, spent), in_this_hour])).await;
            return Ok(());
        };
        let event = EventRow {
            kind: "thread.paused".to_owned(),
            subject: order.message.thread_id.clone().unwrap_or_else(|| order.message.id.to_string()),
            address: Some(order.message.from.wire()),
            reason: Some("budget_exhausted".to_owned()),
            timestamp: order.home.wall().as_nanos(),
        };
        commit(&order.home, Batch::new(vec![Change::Event(event)])).await;
        Err(RunError::Hopeless(refusal.to_string()))
    }

    /// Counts what a run has cost.
    pub(super) async fn spend(&self, order: &Order, tokens: u64) {
        commit(&order.home, Batch::new(vec![self.change(order, Spent { runs: 0, tokens })])).await;
    }

    fn change(&self, order: &Order, spent: Spent) -> Change {
        Change::Spend { handler: order.definition.name.clone(), peer: order.peer, day: self.day, spent }
    }
}

/// Under which name the runs of an hour are counted. No handler can have it.
fn hourly(order: &Order) -> String {
    format!("hour:{}", order.definition.name)
}
