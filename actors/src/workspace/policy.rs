//! What the owner decides about peers, and its effect on whoever is inside.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, ResponseActFuture, WrapFuture as _};
use futures_util::future::join_all;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Mode, Proof, Ruling, Subject, Verdict};
use toq_protocol::session::Decision;
use toq_store::batch::Change;
use toq_store::record::EventRow;
use toq_store::{Batch, StoreError};

use super::settle::{approved_pattern, word};
use super::{CurrentMode, Expire, Rule, SetMode, Workspace, WorkspaceError};
use crate::approval::Resolved;
use crate::connection::{Goodbye, View};

/// How long an accepted challenge is remembered: a day, and a handshake is stale after ten minutes.
const CHALLENGE_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// How often old challenges are forgotten.
const TRIM_INTERVAL: Duration = Duration::from_secs(3600);

type Ctx = Context<Workspace>;

impl Workspace {
    pub(super) fn event(&self, kind: &str, subject: &dyn std::fmt::Display, address: Option<String>, reason: Option<&str>) -> Change {
        Change::Event(EventRow {
            kind: kind.to_owned(),
            subject: subject.to_string(),
            address,
            reason: reason.map(str::to_owned),
            timestamp: self.home.wall().as_nanos(),
        })
    }

    /// Hands the policy in force to everybody who offers messages.
    pub(super) fn publish(&self) {
        self.home.policy.send_replace(self.policy.clone());
        self.home.successions.send_if_modified(|known| {
            let is_news = known.len() != self.successions.len();
            if is_news {
                known.clone_from(&self.successions);
            }
            is_news
        });
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
                    || act.home.store.reader().pin(&address).is_ok_and(|pin| pin.is_some_and(|pin| pin.peer() != view.peer_key));
                if act.policy.verdict(&view.peer_key, &address, proof) != Verdict::Accept || is_pinned_elsewhere() {
                    connection.do_send(Goodbye("the policy changed"));
                }
            }
        }));
    }

    /// What a decision of the owner writes.
    fn decision(&self, rule: &Rule) -> Result<Vec<Change>, StoreError> {
        let now = self.home.wall();
        let mut changes = Vec::new();
        match rule {
            Rule::Add(subject, Ruling::Approve) => {
                changes.push(Change::AddRule(subject.clone(), Ruling::Approve, now));
                changes.extend(match subject {
                    Subject::Key(key) => self.acceptance(key)?,
                    Subject::Address(pattern) => self.acceptances(pattern)?,
                });
                changes.push(self.event("policy.changed", subject, None, Some("approved")));
            }
            Rule::Add(subject, Ruling::Block) => {
                let reader = self.home.store.reader();
                let addresses = |(key, address): (PeerKey, String)| Some((key, Address::parse(&address).ok()?));
                let peers = reader.peers()?.into_iter().map(|(key, row)| (key, row.address));
                let waiting: Vec<_> = reader.approvals()?.into_iter().map(|(key, row)| (key, row.address)).filter_map(addresses).collect();
                let known: Vec<_> = peers.filter_map(addresses).chain(waiting.clone()).collect();
                let covered = self.policy.covered_by(subject, &known);
                changes.extend(covered.into_iter().map(|subject| Change::RemoveRule(subject, Ruling::Approve)));
                changes.push(Change::AddRule(subject.clone(), Ruling::Block, now));
                for (key, address) in waiting {
                    let is_covered = match subject {
                        Subject::Key(blocked) => *blocked == key,
                        Subject::Address(pattern) => pattern.matches(&address),
                    };
                    if is_covered {
                        changes.push(Change::RemoveApproval(key));
                        changes.push(self.event("approval.resolved", &key, None, Some("blocked")));
                    }
                }
                changes.push(self.event("policy.changed", subject, None, Some("blocked")));
            }
            Rule::Remove(subject, ruling) => {
                let word = if *ruling == Ruling::Approve { "revoked" } else { "unblocked" };
                changes.push(Change::RemoveRule(subject.clone(), *ruling));
                changes.push(self.event("policy.changed", subject, None, Some(word)));
            }
            Rule::Deny(key) | Rule::Lapse(key) => {
                let word = if matches!(rule, Rule::Deny(_)) { "denied" } else { "expired" };
                if self.home.store.reader().approval(key)?.is_some() {
                    changes.push(Change::RemoveApproval(*key));
                    changes.push(self.event("approval.resolved", key, None, Some(word)));
                }
            }
        }
        // A question that is not there any more is not decided.
        if !changes.is_empty() {
            changes.extend(self.recorded_rule(rule));
        }
        Ok(changes)
    }

    /// What it means for a question that its key is approved. Where another key was known for the address, the
    /// owner has now said that the address is this one's, and the other one's approval ends.
    fn acceptance(&self, key: &PeerKey) -> Result<Vec<Change>, StoreError> {
        let Some(row) = self.home.store.reader().approval(key)? else { return Ok(Vec::new()) };
        let mut changes = vec![Change::RemoveApproval(*key), self.event("approval.resolved", key, None, Some("approved"))];
        if let (Some(previous), Ok(address)) = (row.previous(), Address::parse(&row.address)) {
            changes.push(self.pin(&address, *key, Proof::Pinned));
            changes.push(Change::RemoveRule(Subject::Key(previous), Ruling::Approve));
        }
        Ok(changes)
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

    /// Forgets old challenges now and from time to time.
    pub(super) fn trim(&self, ctx: &mut Ctx) {
        let before = self.home.wall().minus(CHALLENGE_MEMORY);
        let journal = self.home.store.journal().clone();
        let trimming = async move { journal.commit(Batch::new(vec![Change::TrimChallenges(before)])).await };
        ctx.spawn(trimming.into_actor(self).map(|result, _, _| {
            if let Err(error) = result {
                tracing::warn!(%error, "old challenges could not be forgotten");
            }
        }));
        ctx.run_later(TRIM_INTERVAL, |act, ctx| act.trim(ctx));
    }
}

impl Handler<Rule> for Workspace {
    type Result = ResponseActFuture<Self, Result<(), WorkspaceError>>;

    fn handle(&mut self, rule: Rule, _: &mut Ctx) -> Self::Result {
        let journal = self.home.store.journal().clone();
        let changes = self.decision(&rule);
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
            if let Some(pattern) = approved_pattern(&rule) {
                act.settle(&pattern, ctx);
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
    }
}

impl Handler<CurrentMode> for Workspace {
    type Result = actix::MessageResult<CurrentMode>;

    fn handle(&mut self, _: CurrentMode, _: &mut Ctx) -> Self::Result {
        let mode: Mode = self.policy.mode();
        actix::MessageResult(mode)
    }
}
