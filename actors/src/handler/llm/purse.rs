//! What a handler may spend.

use toq_protocol::budget::{Budget, Exhausted, Spent, day};
use toq_store::Batch;
use toq_store::batch::Change;
use toq_store::record::EventRow;

use crate::handler::run::commit;
use crate::handler::work::{Order, RunError};

/// A handler's budget, on the day of a run.
pub(super) struct Purse {
    day: u32,
    refusal: Option<Exhausted>,
}

impl Purse {
    pub(super) fn open(order: &Order) -> Result<Self, RunError> {
        let day = day(order.home.wall());
        let spent = order.home.store.reader().spent(&order.definition.name, order.peer.as_ref(), day);
        let (handler, peer) = spent.map_err(|error| RunError::Failed(format!("the budget cannot be read: {error}")))?;
        Ok(Self { day, refusal: budget(order).admit(handler, peer).err() })
    }

    /// Counts a run on disk before it begins, or pauses the conversation where that is seen.
    pub(super) async fn begin_run(&self, order: &Order) -> Result<(), RunError> {
        let Some(refusal) = self.refusal else {
            commit(&order.home, Batch::new(vec![self.change(order, Spent { runs: 1, tokens: 0 })])).await;
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

fn budget(order: &Order) -> Budget {
    let (definition, mut budget) = (&order.definition, Budget::default());
    for (set, limit) in [
        (definition.runs_per_day, &mut budget.handler.runs),
        (definition.tokens_per_day, &mut budget.handler.tokens),
        (definition.peer_runs_per_day, &mut budget.peer.runs),
        (definition.peer_tokens_per_day, &mut budget.peer.tokens),
    ] {
        *limit = set.unwrap_or(*limit);
    }
    budget
}
