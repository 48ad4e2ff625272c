//! What a rule about addresses means for the questions that are open: whom it covers need not be decided about any more.
//!
//! A block covers whoever claims such an address. An approval covers an address that is proven: one that is only claimed is proven
//! now, as it would be when the stranger came again, and where that fails its question stays. A changed key is covered by no
//! pattern; its owner is asked about that one key.

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Pattern, Proof, Ruling, Subject, Verdict};
use toq_protocol::session::Decision;
use toq_store::batch::Change;
use toq_store::record::ApprovalRow;
use toq_store::{Batch, StoreError};

use super::admission::prove;
use super::decide::Covered;
use super::{Rule, Workspace};

type Ctx = Context<Workspace>;

/// What whoever asks is told of a rule that answers its question.
pub(super) const fn word(rule: &Rule) -> Option<Decision> {
    match rule {
        Rule::Add(_, Ruling::Approve) => Some(Decision::Granted),
        Rule::Add(_, Ruling::Block) | Rule::Deny(_) => Some(Decision::Denied),
        Rule::Remove(..) | Rule::Lapse(_) => None,
    }
}

impl Workspace {
    /// The questions that these changes answer, as they stand.
    pub(super) fn answered(&self, changes: &[Change]) -> Vec<(PeerKey, ApprovalRow)> {
        let removed = changes.iter().filter_map(|change| if let Change::RemoveApproval(key) = change { Some(*key) } else { None });
        removed.filter_map(|key| Some((key, self.home.store.reader().approval(&key).ok().flatten()?))).collect()
    }

    /// Finds out, for whoever asks and is covered by a rule about addresses, whether its address is its own.
    pub(super) fn settle(&self, covers: &dyn Fn(&Address) -> bool, ctx: &mut Ctx) {
        let covered = match self.decider(self.home.store.reader()).covered(covers) {
            Ok(covered) => covered,
            Err(error) => return tracing::error!(%error, "the open questions cannot be read; whoever asks is let in when it comes again"),
        };
        for Covered { key, address, row, .. } in covered {
            let (home, credit, must_be_dns) = (self.home.clone(), self.proving.clone(), self.must_be_dns(&address));
            let claimed = address.clone();
            let proving = async move {
                let _one_of_few = credit.take().await;
                prove(home, claimed, key, must_be_dns).await
            };
            ctx.spawn(proving.into_actor(self).map(move |proof, act, ctx| act.let_in(key, &address, row, proof, ctx)));
        }
    }

    /// Answers a question with yes, where the rules in force admit who asks.
    fn let_in(&self, key: PeerKey, address: &Address, row: ApprovalRow, proof: Proof, ctx: &mut Ctx) {
        // Proving takes seconds, in which the owner may have decided otherwise and the address may have become another's.
        let is_others = || self.pinned(&key, address).map_or(true, |pinned| pinned.is_some_and(|pinned| pinned != key));
        if !self.waiting.contains_key(&key) || self.policy.verdict(&key, address, proof) != Verdict::Accept || is_others() {
            return;
        }
        let changes =
            [self.pin(address, key, proof)].into_iter().chain(self.decider(self.home.store.reader()).accepted(&key)).collect::<Vec<_>>();
        let journal = self.home.store.journal().clone();
        let committing = async move {
            journal.commit(Batch::new(changes.clone())).await?;
            Ok(changes)
        };
        ctx.spawn(committing.into_actor(self).map(move |result: Result<_, StoreError>, act, ctx| match result {
            Ok(changes) => {
                act.watch_question(&changes, ctx);
                act.tell(key, &row, Decision::Granted, ctx);
                act.retry(&row.address);
            }
            Err(error) => tracing::error!(%error, "a question that a rule answers could not be closed"),
        }));
    }
}

/// The pattern that a rule approves.
pub(super) fn approved_pattern(rule: &Rule) -> Option<Pattern> {
    match rule {
        Rule::Add(Subject::Address(pattern), Ruling::Approve) => Some(pattern.clone()),
        _ => None,
    }
}
