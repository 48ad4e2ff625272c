//! Who gets in: what is known of a peer that has proven its key, and the verdict.
//!
//! A peer claims an address. Whether it is its own is known from a pin (the same key was met there before), from
//! DNS, or from dialling the address now and meeting the same key. The last two cost time and traffic, so they
//! are tried only where they decide something: an address rule covers the claim, or the mode is `dns-verified`.

use std::time::Duration;

use actix::{ActorFutureExt as _, Context, Handler, ResponseActFuture, WrapFuture as _};
use toq_protocol::address::Address;
use toq_protocol::handshake::Credentials;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::waiting::{Question, Room, room, source};
use toq_protocol::policy::{Mode, Proof, Verdict};
use toq_protocol::session::Admission;
use toq_protocol::time::Timestamp;
use toq_store::batch::{Change, Guard, Sort};
use toq_store::record::{self, ApprovalRow, PeerRow};
use toq_store::{Batch, Outcome, StoreError};

use super::decide::{event, pin};
use super::rotation::CarriedOver;
use super::{Authenticated, Workspace};
use crate::connection::ping;
use crate::home::{Counters, Home};

/// How long a claimed address may take to answer before it counts as unproven. Published peers give the whole
/// negotiation five seconds.
const PROVING: Duration = Duration::from_secs(3);

type Ctx = Context<Workspace>;

/// What is known of a peer before it is judged.
struct Standing {
    /// Its row, where it was here before.
    peer: Option<PeerRow>,
    /// The key that is pinned to the address that it claims.
    pinned: Option<PeerKey>,
    /// Whether an address that is not proven yet is worth proving.
    is_worth_proving: bool,
    /// What of it goes over from the key that it had before.
    carried: CarriedOver,
}

/// What the owner's rules say about a peer that has proven its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    Accept(Proof),
    /// `Some` where the address is known to belong to this other key.
    Ask(Proof, Option<PeerKey>),
    Refuse,
    Unbound,
}

/// How somebody asks to be let in.
pub(super) struct Asks {
    /// How it is known that the address is its own.
    pub(super) proof: Proof,
    /// The key that is known for the address, where it is another.
    pub(super) previous: Option<PeerKey>,
    /// Where it asks from.
    pub(super) source: String,
    /// Whether it hears what is decided.
    pub(super) hears_decisions: bool,
}

impl Workspace {
    fn standing(&mut self, peer: &Credentials) -> Result<Standing, StoreError> {
        let (key, address) = (&peer.key, &peer.address);
        let carried = self.carry_over(peer)?;
        let reader = self.home.store.reader();
        let pinned = self.pinned(key, address)?;
        let earlier = self.policy.successions().predecessor(key).copied().unwrap_or(*key);
        let row = reader.peer(key)?.map_or_else(|| reader.peer(&earlier), |row| Ok(Some(row)))?;
        let is_decided = self.policy.blocks(key, address) || self.policy.approves_key(key);
        let by_dns = self.policy.mode() == Mode::DnsVerified;
        let by_rule = pinned.is_none() && self.policy.would_approve(address);
        // A handler that names addresses hears only those that are proven.
        let by_handler = pinned.is_none() && !self.policy.blocks(key, address) && self.arranged.names(address);
        let is_worth_proving = (!is_decided && (by_dns || by_rule)) || by_handler;
        Ok(Standing { peer: row, pinned, is_worth_proving, carried })
    }

    /// The key that belongs to an address. A key that `key` followed counts as `key`, also where the pin has not moved
    /// yet.
    pub(super) fn pinned(&self, key: &PeerKey, address: &Address) -> Result<Option<PeerKey>, StoreError> {
        self.decider(self.home.store.reader()).pinned(key, address)
    }

    fn judge(&self, asked: &Authenticated, standing: &Standing, proof: Proof) -> Judgement {
        let (key, address) = (&asked.credentials.key, &asked.credentials.address);
        if self.policy.blocks(key, address) || self.is_retired(key) {
            return Judgement::Refuse;
        }
        if standing.peer.as_ref().is_some_and(|peer| peer.binds == Some(true)) && !asked.is_bound {
            return Judgement::Unbound;
        }
        // Even an approved key does not speak for an address that is another's, until the owner says so.
        if let Some(pinned) = standing.pinned.filter(|pinned| pinned != key) {
            // Where DNS decides, a key that it does not name is no news.
            let is_news = self.policy.mode() != Mode::DnsVerified || proof == Proof::Dns;
            return if is_news { Judgement::Ask(proof, Some(pinned)) } else { Judgement::Refuse };
        }
        let proof = if proof == Proof::Claimed && standing.pinned.is_some() { Proof::Pinned } else { proof };
        match self.policy.verdict(key, address, proof) {
            Verdict::Accept => Judgement::Accept(proof),
            Verdict::Ask => Judgement::Ask(proof, None),
            Verdict::Refuse => Judgement::Refuse,
        }
    }

    /// What is written when a peer has proven itself: its challenge, and that it was here or that it asks.
    fn written(&mut self, asked: &Authenticated, standing: &Standing, judgement: &mut Judgement) -> Result<Vec<Change>, StoreError> {
        let (key, address, now) = (asked.credentials.key, &asked.credentials.address, self.home.wall());
        let mut changes = standing.carried.changes.clone();
        match *judgement {
            Judgement::Accept(proof) => {
                changes.push(Change::Peer(key, self.seen(standing.peer.clone(), address, proof, asked.is_bound)));
                if standing.pinned.is_none() && proof.is_proven() {
                    changes.push(self.pin(address, key, proof));
                }
                if self.home.store.reader().is_turned_away(&key)? {
                    changes.push(Change::ForgetTurnedAway(key));
                }
                if self.waiting.contains_key(&key) {
                    changes.push(Change::RemoveApproval(key));
                    changes.push(self.event("approval.resolved", &key, None, Some("approved")));
                }
            }
            Judgement::Ask(proof, previous) => {
                let asks = Asks { proof, previous, source: source(asked.remote), hears_decisions: asked.hears_decisions };
                match self.question(key, address, asks)? {
                    Some(asking) => changes.extend(asking),
                    None => *judgement = Judgement::Refuse,
                }
            }
            Judgement::Unbound => changes.extend(self.alarm(&key, address, "channel_binding_missing")),
            Judgement::Refuse => {}
        }
        // A stranger has any number of challenges: what it is not let in for has room for itself.
        changes.push(match judgement {
            Judgement::Accept(_) => Change::Challenge(asked.credentials.digest(), now),
            _ => Change::Knock(asked.credentials.digest(), key, now),
        });
        Ok(changes)
    }

    /// A peer's row after it was here.
    pub(super) fn seen(&self, earlier: Option<PeerRow>, address: &Address, proof: Proof, is_bound: bool) -> PeerRow {
        let now = self.home.wall();
        let mut row = earlier.unwrap_or_else(|| PeerRow::new(address.wire(), now));
        row.address = address.wire();
        row.last_seen = now.as_nanos();
        row.proof = record::Proof::of(proof);
        row.binds = row.binds.or(is_bound.then_some(true));
        row
    }

    /// Ties a key to an address.
    pub(super) fn pin(&self, address: &Address, key: PeerKey, proof: Proof) -> Change {
        pin(address, key, proof, self.home.wall())
    }

    /// The changes that put a question before the owner; `None` where the queue has no room for it.
    ///
    /// The queue in memory is changed here, before the commit, so that many who ask at once are counted; whoever
    /// commits these changes calls [`Workspace::reread_questions`] where that fails.
    pub(super) fn question(&mut self, key: PeerKey, address: &Address, asks: Asks) -> Result<Option<Vec<Change>>, StoreError> {
        let Asks { proof, previous, source, hears_decisions } = asks;
        let now = self.home.wall();
        // What the owner may have read stands: a stranger who comes back with another claim does not change the question
        // under the answer.
        if let Some(row) = self.home.store.reader().approval(&key)?.filter(|_| self.waiting.contains_key(&key)) {
            let requests = row.requests.saturating_add(1);
            let is_same = row.address == address.written();
            let proof = if is_same { record::Proof::of(proof) } else { row.proof };
            let first_asked = Some(row.first_asked().as_nanos());
            let hears_decisions = row.hears_decisions.or(hears_decisions.then_some(true));
            let row = ApprovalRow { requested_at: now.as_nanos(), requests, proof, first_asked, hears_decisions, ..row };
            return Ok(Some(vec![Change::AddApproval(key, row)]));
        }
        let source = if proof.is_proven() { address.host_key() } else { source };
        let asking = Question { key, source: source.clone(), proof, since: now };
        let mut changes = match room(self.waiting.values(), &asking, self.home.config.max_pending_approvals) {
            Room::Free => Vec::new(),
            Room::Instead(gone) => {
                self.waiting.remove(&gone);
                self.crowd.add(gone);
                vec![Change::RemoveApproval(gone)]
            }
            Room::None => {
                tracing::warn!(pending = self.waiting.len(), "the queue of pending approvals is full");
                return Ok(None);
            }
        };
        self.waiting.insert(key, asking);
        let (sort, kind, why) = match previous {
            Some(_) => (Sort::Changed, "peer.key_changed", Some("another key was known for this address")),
            None if changes.is_empty() => (Sort::Asked, "approval.requested", None),
            None => (Sort::Crowd, "approval.requested", None),
        };
        changes.push(Change::StrangersEvent(sort, event(now, kind, &key, Some(address.wire()), why)));
        changes.push(Change::AddApproval(
            key,
            ApprovalRow {
                address: address.written(),
                requested_at: now.as_nanos(),
                requests: 1,
                proof: record::Proof::of(proof),
                source: Some(source),
                previous: previous.map(|key| *key.as_bytes()),
                first_asked: Some(now.as_nanos()),
                hears_decisions: hears_decisions.then_some(true),
            },
        ));
        Ok(Some(changes))
    }

    /// Reads who waits, at the start and where a commit failed.
    pub(super) fn reread_questions(&mut self) {
        match self.home.store.reader().approvals() {
            Ok(open) => self.waiting = open.into_iter().map(|(key, row)| (key, as_question(key, &row))).collect(),
            Err(error) => tracing::error!(%error, "the open questions cannot be read"),
        }
    }

    /// Closes what is not asked any more and starts what is, after the changes of a question are committed.
    pub(super) fn watch_question(&mut self, changes: &[Change], ctx: &mut Ctx) {
        for change in changes {
            match change {
                Change::RemoveApproval(gone) => self.resolve(gone),
                Change::AddApproval(key, row) => self.start_approval(*key, Timestamp::from_nanos(row.requested_at), ctx),
                _ => {}
            }
        }
        self.count_crowd(ctx);
    }
}

fn as_question(key: PeerKey, row: &ApprovalRow) -> Question {
    let source = row.source.clone().unwrap_or_default();
    Question { key, source, proof: record::Proof::read(row.proof), since: row.first_asked() }
}

/// Finds out whether an address that a peer claims is its own. DNS and the address itself are asked at once.
pub(super) async fn prove(home: std::sync::Arc<Home>, address: Address, key: PeerKey, must_be_dns: bool) -> Proof {
    let by_dns = async {
        let Some(name) = toq_protocol::dns::name(address.host()) else { return false };
        home.resolver.prove(&name, address.agent(), &key).await.is_verified()
    };
    let by_dialling = async { !must_be_dns && matches!(ping(home.clone(), address.clone()).await, Ok(answered) if answered.key == key) };
    let (by_dns, by_dialling) = futures_util::future::join(async { tokio::time::timeout(PROVING, by_dns).await.unwrap_or(false) }, async {
        tokio::time::timeout(PROVING, by_dialling).await.unwrap_or(false)
    })
    .await;
    match (by_dns, by_dialling) {
        (true, _) => Proof::Dns,
        (false, true) => Proof::Dialled,
        (false, false) => Proof::Claimed,
    }
}

impl Handler<Authenticated> for Workspace {
    type Result = ResponseActFuture<Self, Admission>;

    fn handle(&mut self, asked: Authenticated, _: &mut Ctx) -> Self::Result {
        let (key, address) = (asked.credentials.key, asked.credentials.address.clone());
        let refused = |error: &StoreError| {
            tracing::error!(%error, "a peer cannot be admitted because the store fails");
            Admission::Refuse
        };
        let standing = match self.has_rules().and_then(|()| self.standing(&asked.credentials)) {
            Ok(standing) => standing,
            Err(error) => {
                let admission = refused(&error);
                return Box::pin(async move { admission }.into_actor(self));
            }
        };
        let (home, must_be_dns, is_worth_proving) = (self.home.clone(), self.must_be_dns(&address), standing.is_worth_proving);
        let claimed = address.clone();
        let proving = async move { if is_worth_proving { prove(home, claimed, key, must_be_dns).await } else { Proof::Claimed } };
        let mut standing = standing;
        Box::pin(proving.into_actor(self).then(move |proof, act, _| {
            // Proving takes seconds in which the address may have become another's.
            if is_worth_proving {
                standing.pinned = act.pinned(&key, &asked.credentials.address).unwrap_or(standing.pinned);
            }
            let mut judgement = act.judge(&asked, &standing, proof);
            let changes = act.written(&asked, &standing, &mut judgement);
            let (journal, digest) = (act.home.store.journal().clone(), asked.credentials.digest());
            let committing = async move {
                let changes = changes?;
                let outcome = journal.commit(Batch::guarded(Guard::FreshChallenge(digest), changes.clone())).await?;
                Ok((outcome, changes))
            };
            committing.into_actor(act).map(move |result: Result<_, StoreError>, act, ctx| {
                act.unproven.retain(|id| *id != asked.connection);
                let changes = match result {
                    Ok((Outcome::Committed(_), changes)) => changes,
                    Ok((Outcome::Duplicate { .. }, _)) => {
                        act.undo(&standing.carried, &key);
                        act.reread_questions();
                        Counters::count(&act.home.counters.refused);
                        tracing::warn!(peer = %key.short(), "a handshake was replayed and refused");
                        return Admission::Refuse;
                    }
                    Err(error) => {
                        act.undo(&standing.carried, &key);
                        act.reread_questions();
                        return refused(&error);
                    }
                };
                act.publish();
                act.watch_question(&changes, ctx);
                act.admit(&asked, judgement)
            })
        }))
    }
}

impl Workspace {
    /// Whether nothing but DNS can let in who claims this address: the mode wants that, and no rule covers it.
    pub(super) fn must_be_dns(&self, address: &Address) -> bool {
        self.policy.mode() == Mode::DnsVerified && !self.policy.would_approve(address)
    }

    fn admit(&mut self, asked: &Authenticated, judgement: Judgement) -> Admission {
        let (key, address) = (asked.credentials.key.short(), asked.credentials.address.wire());
        match judgement {
            Judgement::Accept(proof) => {
                if self.connections.find(&asked.connection).is_some() {
                    self.proofs.insert(asked.connection, proof);
                }
                return Admission::Accept;
            }
            Judgement::Ask(_, None) => {
                tracing::info!(peer = %key, address = %address.escape_debug(), "an unknown agent asks for approval");
                return Admission::Ask;
            }
            Judgement::Ask(_, Some(_)) => {
                tracing::warn!(peer = %key, address = %address.escape_debug(), "an agent came with another key than before; the owner is asked");
                return Admission::Ask;
            }
            Judgement::Unbound => {
                tracing::error!(peer = %key, "a peer that binds its sessions came without; somebody may be in between");
            }
            Judgement::Refuse => {}
        }
        Counters::count(&self.home.counters.refused);
        if judgement == Judgement::Unbound { Admission::Unbound } else { Admission::Refuse }
    }
}
