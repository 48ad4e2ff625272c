//! What the owner decides about peers, and its effect on whoever is inside.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, ResponseActFuture, WrapFuture as _};
use futures_util::future::join_all;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Mode, Ruling, Verdict};
use toq_protocol::session::Decision;
use toq_store::batch::Change;
use toq_store::{Batch, Reader, StoreError};

use super::decide::{Decider, event};
use super::settle::{approved_pattern, word};
use super::{CurrentMode, Expire, Rule, SetMode, Workspace, WorkspaceError};
use crate::approval::Resolved;
use crate::connection::{Goodbye, View};

/// How often approvals that are good for nothing any more are looked for.
const TRIM_INTERVAL: Duration = Duration::from_secs(3600);

type Ctx = Context<Workspace>;

impl Workspace {
    pub(super) fn event(&self, kind: &str, subject: &dyn std::fmt::Display, address: Option<String>, reason: Option<&str>) -> Change {
        Change::Event(event(self.home.wall(), kind, subject, address, reason))
    }

    /// Hands the policy in force to everybody who offers messages.
    pub(super) fn publish(&self) {
        if !self.has_begun {
            return;
        }
        self.home.policy.send_replace(self.policy.clone());
    }

    /// Sends those away whom the policy does not admit any more, or whose address is another key's by now.
    fn recheck(&self, ctx: &mut Ctx) {
        let views = self.connections.iter().map(|(id, connection)| {
            let (id, seen, connection) = (*id, connection.send(View), connection.clone());
            async move { seen.await.ok().flatten().map(|view| (id, view, connection)) }
        });
        ctx.spawn(join_all(views).into_actor(self).map(|views, act, _| {
            for (id, view, connection) in views.into_iter().flatten().filter(|(_, view, _)| view.is_incoming) {
                let Ok(address) = Address::parse(&view.peer_address) else { continue };
                let proof = act.proofs.get(&id).copied().unwrap_or_default();
                let is_pinned_elsewhere =
                    || act.pinned(&view.peer_key, &address).is_ok_and(|pinned| pinned.is_some_and(|pinned| pinned != view.peer_key));
                if act.policy.verdict(&view.peer_key, &address, proof) != Verdict::Accept || is_pinned_elsewhere() {
                    connection.do_send(Goodbye("the policy changed"));
                }
            }
        }));
    }

    /// What says what a decision writes, as things stand.
    pub(super) fn decider<'a>(&'a self, reader: &'a Reader) -> Decider<'a> {
        Decider { reader, policy: &self.policy, now: self.home.wall() }
    }

    /// Does in memory what is committed.
    fn enact(&mut self, changes: &[Change], ctx: &mut Ctx) {
        for change in changes {
            match change {
                Change::AddRule(subject, ruling, _) => self.policy.add(subject, *ruling),
                Change::RemoveRule(subject, ruling) => self.policy.remove(subject, *ruling),
                Change::RemoveApproval(key) => self.resolve(key),
                _ => {}
            }
        }
        self.publish();
        self.recheck(ctx);
    }

    pub(super) fn resolve(&mut self, key: &PeerKey) {
        self.waiting.remove(key);
        if let Some(approval) = self.approvals.remove(key) {
            approval.do_send(Resolved);
        }
    }

    /// Forgets approvals of keys that are good for nothing any more, now and from time to time.
    pub(super) fn trim(&self, ctx: &mut Ctx) {
        let dead = self.policy.dead_approvals(self.home.wall()).into_iter().map(|subject| Change::RemoveRule(subject, Ruling::Approve));
        let changes: Vec<Change> = dead.collect();
        if !changes.is_empty() {
            let journal = self.home.store.journal().clone();
            let trimming = async move { journal.commit(Batch::new(changes.clone())).await.map(|_| changes) };
            ctx.spawn(trimming.into_actor(self).map(|result, act, ctx| match result {
                Ok(changes) => act.enact(&changes, ctx),
                Err(error) => tracing::warn!(%error, "approvals of replaced keys could not be forgotten"),
            }));
        }
        ctx.run_later(TRIM_INTERVAL, |act, ctx| act.trim(ctx));
    }
}

impl Handler<Rule> for Workspace {
    type Result = ResponseActFuture<Self, Result<(), WorkspaceError>>;

    fn handle(&mut self, rule: Rule, _: &mut Ctx) -> Self::Result {
        let journal = self.home.store.journal().clone();
        let changes = self.has_rules().and_then(|()| self.decider(self.home.store.reader()).decision(&rule));
        // Messages may wait for exactly this decision, here and at whoever asked.
        let word = word(&rule);
        let answered = changes.as_ref().map(|changes| self.answered(changes)).unwrap_or_default();
        let committing = async move {
            let changes = changes?;
            journal.commit(Batch::new(changes.clone())).await?;
            Ok(changes)
        };
        Box::pin(committing.into_actor(self).map(move |result: Result<_, StoreError>, act, ctx| {
            act.enact(&result?, ctx);
            for (key, row) in answered {
                let Some(word) = word else { break };
                act.tell(key, &row, word, ctx);
                if word == Decision::Granted {
                    act.retry(&row.address);
                }
            }
            if let Rule::Add(_, Ruling::Approve) | Rule::Remove(_, Ruling::Block) = &rule {
                act.welcome(ctx);
            }
            if let Some(pattern) = approved_pattern(&rule) {
                act.settle(&|address| pattern.matches(address), ctx);
            }
            Ok(())
        }))
    }
}

impl Handler<Expire> for Workspace {
    type Result = ();

    fn handle(&mut self, expire: Expire, ctx: &mut Ctx) {
        ctx.notify(Rule::Lapse(expire.0));
    }
}

impl Handler<SetMode> for Workspace {
    type Result = ();

    fn handle(&mut self, set: SetMode, ctx: &mut Ctx) {
        self.policy.set_mode(set.0);
        self.publish();
        self.recheck(ctx);
        self.let_in_by_now(ctx);
    }
}

impl Handler<CurrentMode> for Workspace {
    type Result = actix::MessageResult<CurrentMode>;

    fn handle(&mut self, _: CurrentMode, _: &mut Ctx) -> Self::Result {
        let mode: Mode = self.policy.mode();
        actix::MessageResult(mode)
    }
}
