//! Who gets in: the verdict at the door, the owner's decisions, and their effect on whoever is inside.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, ResponseActFuture, WrapFuture as _};
use futures_util::future::join_all;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Mode, Proof, Ruling, Subject, Verdict};
use toq_protocol::session::Admission;
use toq_store::batch::{Change, Guard};
use toq_store::record::{ApprovalRow, EventRow, PeerRow};
use toq_store::{Batch, Outcome, StoreError};

use super::{Authenticated, CurrentMode, Expire, Rule, SetMode, Workspace, WorkspaceError};
use crate::approval::Resolved;
use crate::connection::{Goodbye, View};
use crate::home::Counters;

/// How long an accepted challenge is remembered: a day, and a handshake is stale after ten minutes.
const CHALLENGE_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// How often old challenges are forgotten.
const TRIM_INTERVAL: Duration = Duration::from_secs(3600);

type Ctx = Context<Workspace>;

impl Workspace {
    fn event(&self, kind: &str, subject: &dyn std::fmt::Display, address: Option<String>, reason: Option<&str>) -> Change {
        Change::Event(EventRow {
            kind: kind.to_owned(),
            subject: subject.to_string(),
            address,
            reason: reason.map(str::to_owned),
            timestamp: self.home.wall().as_nanos(),
        })
    }

    /// What is written when a peer has proven itself: its challenge, and that it was here or that it asks.
    fn authentication(&self, asked: &Authenticated, verdict: Verdict) -> Result<Vec<Change>, StoreError> {
        let (key, address) = (asked.credentials.key, asked.credentials.address.wire());
        let now = self.home.wall();
        let mut changes = vec![Change::Challenge(asked.credentials.digest(), now)];
        match verdict {
            Verdict::Accept => {
                let earlier = self.successions.predecessor(&key).copied().unwrap_or(key);
                let reader = self.home.store.reader();
                let row = reader.peer(&key)?.map_or_else(|| reader.peer(&earlier), |row| Ok(Some(row)))?;
                let first_seen = row.map_or(now.as_nanos(), |row| row.first_seen);
                changes.push(Change::Peer(key, PeerRow { address, first_seen, last_seen: now.as_nanos() }));
            }
            Verdict::Ask => {
                let earlier = self.home.store.reader().approvals()?.into_iter().find(|(pending, _)| *pending == key);
                if earlier.is_none() {
                    changes.push(self.event("approval.requested", &key, Some(address.clone()), None));
                }
                let requests = earlier.map_or(0, |(_, row)| row.requests).saturating_add(1);
                changes.push(Change::AddApproval(key, ApprovalRow { address, requested_at: now.as_nanos(), requests }));
            }
            Verdict::Refuse => {}
        }
        Ok(changes)
    }

    /// Sends those away whom the policy does not admit any more.
    fn recheck(&self, ctx: &mut Ctx) {
        let views = self.connections.iter().map(|(_, connection)| {
            let (seen, connection) = (connection.send(View), connection.clone());
            async move { seen.await.ok().flatten().map(|view| (view, connection)) }
        });
        ctx.spawn(join_all(views).into_actor(self).map(|views, act, _| {
            for (view, connection) in views.into_iter().flatten().filter(|(view, _)| view.is_incoming) {
                let Ok(address) = Address::parse(&view.peer_address) else { continue };
                if act.policy.verdict(&view.peer_key, &address, Proof::Claimed) != Verdict::Accept {
                    connection.do_send(Goodbye("the policy changed"));
                }
            }
        }));
    }

    fn resolve(&mut self, key: &PeerKey) {
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

impl Handler<Authenticated> for Workspace {
    type Result = ResponseActFuture<Self, Admission>;

    fn handle(&mut self, asked: Authenticated, _: &mut Ctx) -> Self::Result {
        let (key, address) = (asked.credentials.key, asked.credentials.address.clone());
        let carried = match self.carry_over(&asked.credentials) {
            Ok(carried) => carried,
            Err(error) => {
                tracing::error!(%error, "a peer cannot be admitted because nothing can be read");
                return Box::pin(async { Admission::Refuse }.into_actor(self));
            }
        };
        let mut verdict = if self.is_retired(&key) { Verdict::Refuse } else { self.policy.verdict(&key, &address, Proof::Claimed) };
        let is_full = self.approvals.len() >= self.home.config.max_pending_approvals && self.approvals.find(&key).is_none();
        if verdict == Verdict::Ask && is_full {
            tracing::warn!(pending = self.approvals.len(), "the queue of pending approvals is full");
            verdict = Verdict::Refuse;
        }
        let changes = self.authentication(&asked, verdict).map(|own| [carried.changes.clone(), own].concat());
        let (journal, digest) = (self.home.store.journal().clone(), asked.credentials.digest());
        let committing = async move { journal.commit(Batch::guarded(Guard::FreshChallenge(digest), changes?)).await };
        Box::pin(committing.into_actor(self).map(move |result, act, ctx| {
            act.unproven.retain(|id| *id != asked.connection);
            match result {
                Ok(Outcome::Committed(_)) => {}
                Ok(Outcome::Duplicate { .. }) => {
                    act.undo(&carried, &key);
                    Counters::count(&act.home.counters.refused);
                    tracing::warn!(peer = %key.short(), "a handshake was replayed and refused");
                    return Admission::Refuse;
                }
                Err(error) => {
                    act.undo(&carried, &key);
                    tracing::error!(%error, "a peer cannot be admitted because nothing can be stored");
                    return Admission::Refuse;
                }
            }
            match verdict {
                Verdict::Accept => Admission::Accept,
                Verdict::Ask => {
                    tracing::info!(peer = %key.short(), address = %address.wire().escape_debug(), "an unknown agent asks for approval");
                    act.start_approval(key, act.home.wall(), ctx);
                    Admission::Ask
                }
                Verdict::Refuse => {
                    Counters::count(&act.home.counters.refused);
                    Admission::Refuse
                }
            }
        }))
    }
}

impl Handler<Rule> for Workspace {
    type Result = ResponseActFuture<Self, Result<(), WorkspaceError>>;

    fn handle(&mut self, rule: Rule, _: &mut Ctx) -> Self::Result {
        let now = self.home.wall();
        let changes = match &rule {
            Rule::Add(subject, ruling) => {
                let mut changes = vec![Change::AddRule(subject.clone(), *ruling, now)];
                let word = if *ruling == Ruling::Approve { "approved" } else { "blocked" };
                if let Subject::Key(key) = subject {
                    changes.push(Change::RemoveApproval(*key));
                    if self.approvals.find(key).is_some() {
                        changes.push(self.event("approval.resolved", key, None, Some(word)));
                    }
                }
                changes.push(self.event("policy.changed", subject, None, Some(word)));
                changes
            }
            Rule::Remove(subject, ruling) => {
                let word = if *ruling == Ruling::Approve { "revoked" } else { "unblocked" };
                vec![Change::RemoveRule(subject.clone(), *ruling), self.event("policy.changed", subject, None, Some(word))]
            }
            Rule::Deny(key) if self.approvals.find(key).is_some() => {
                vec![Change::RemoveApproval(*key), self.event("approval.resolved", key, None, Some("denied"))]
            }
            Rule::Deny(_) => Vec::new(),
        };
        let journal = self.home.store.journal().clone();
        let committing = async move { journal.commit(Batch::new(changes)).await };
        Box::pin(committing.into_actor(self).map(move |result, act, ctx| {
            result?;
            match &rule {
                Rule::Add(subject, ruling) => act.policy.add(subject, *ruling),
                Rule::Remove(subject, ruling) => act.policy.remove(subject, *ruling),
                Rule::Deny(key) => act.resolve(key),
            }
            if let Rule::Add(Subject::Key(key), _) = &rule {
                act.resolve(key);
            }
            act.recheck(ctx);
            Ok(())
        }))
    }
}

impl Handler<Expire> for Workspace {
    type Result = ();

    fn handle(&mut self, expire: Expire, ctx: &mut Ctx) {
        ctx.notify(Rule::Deny(expire.0));
    }
}

impl Handler<SetMode> for Workspace {
    type Result = ();

    fn handle(&mut self, set: SetMode, ctx: &mut Ctx) {
        let mut policy = toq_protocol::policy::Policy::new(set.0);
        match self.home.store.reader().rules() {
            Ok(rules) => rules.iter().for_each(|(subject, ruling)| policy.add(subject, *ruling)),
            Err(error) => return tracing::error!(%error, "the rules cannot be read; the mode stays as it is"),
        }
        self.policy = policy;
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
