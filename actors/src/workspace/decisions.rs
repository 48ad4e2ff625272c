//! Decisions about who may come in: told to those who wait for them, and heard from those whom we wait for.
//!
//! Who was turned away is remembered on disk, so that a yes which comes later, after a restart or while no daemon runs is told too.
//! Only the owner's decisions put anybody there, and there is room for so many. Telling is one attempt at the address that the
//! stranger claims, to nobody but its key, and only where it has said that it listens. What cannot be told costs nothing: the
//! stranger asks again by itself. Hearing grants nothing either. It makes the lane that waits for this very key try again, once,
//! and is kept as an event.

use std::collections::HashMap;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use toq_kit::Credit;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Mode, Proof, Verdict};
use toq_protocol::session::Decision;
use toq_store::batch::Change;
use toq_store::record::ApprovalRow;
use toq_store::{Batch, StoreError};

use super::Workspace;
use crate::connection::tell;
use crate::outbox::{Hasten, Lane};

/// How many are told, or dialled back, at a time; the others wait.
pub(super) const AT_ONCE: usize = 16;

/// The least time between two words of the same kind from one peer that have an effect.
const PAUSE: Duration = Duration::from_secs(60);

type Ctx = Context<Workspace>;

/// Who is being told, and whose word is waited for.
pub(super) struct Decisions {
    telling: Credit,
    awaited: HashMap<Lane, Awaited>,
}

/// Whose word a lane waits for.
struct Awaited {
    address: Address,
    key: PeerKey,
    granted: Option<Duration>,
    denied: Option<Duration>,
}

impl Awaited {
    /// Hears a word, unless the same was heard a moment ago.
    fn hear(&mut self, decision: Decision, now: Duration) -> bool {
        let last = match decision {
            Decision::Granted => &mut self.granted,
            Decision::Denied => &mut self.denied,
        };
        if last.is_some_and(|last| now.saturating_sub(last) < PAUSE) {
            return false;
        }
        *last = Some(now);
        true
    }
}

impl Decisions {
    pub(super) fn new() -> Self {
        Self { telling: Credit::new(AT_ONCE), awaited: HashMap::new() }
    }

    /// Nothing waits in this lane any more, or its peer has let us in.
    pub(super) fn forget(&mut self, lane: &Lane) {
        self.awaited.remove(lane);
    }
}

/// An agent that we dialled asks its owner about us.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Held {
    /// The address that was dialled.
    pub target: Address,
    /// The key that answered.
    pub key: PeerKey,
}

/// An agent says what its owner decided about us.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Decided {
    /// The key that says so.
    pub key: PeerKey,
    /// What was decided.
    pub decision: Decision,
}

impl Workspace {
    /// Tells a stranger what was decided about it, if it hears such things.
    pub(super) fn tell(&self, key: PeerKey, row: &ApprovalRow, decision: Decision, ctx: &mut Ctx) {
        let Ok(target) = Address::parse(&row.address) else { return };
        if row.hears_decisions == Some(true) {
            self.say(key, target, decision, ctx);
        }
    }

    fn say(&self, key: PeerKey, target: Address, decision: Decision, ctx: &mut Ctx) {
        if self.home.local().locality.includes(&target) {
            return;
        }
        let (home, credit) = (self.home.clone(), self.decisions.telling.clone());
        let telling = async move {
            let _one_of_few = credit.take().await;
            tell(home, target, key, decision).await
        };
        ctx.spawn(telling.into_actor(self).map(move |told, _, _| {
            if let Err(error) = told {
                tracing::debug!(peer = %key.short(), %error, "an agent could not be told what was decided; it will ask again");
            }
        }));
    }

    /// Tells those who were turned away, or were let in while no daemon ran, and would get in by now. Whoever asks again meanwhile is
    /// told with the answer to that.
    pub(super) fn welcome(&self, ctx: &mut Ctx) {
        let admitted = match self.admitted_by_now() {
            Ok(admitted) if admitted.is_empty() => return,
            Ok(admitted) => admitted,
            Err(error) => {
                return tracing::error!(%error, "who was turned away cannot be read; whoever is let in finds out when it comes again");
            }
        };
        let forgotten = admitted.iter().map(|(key, _)| Change::ForgetTurnedAway(*key)).collect();
        let journal = self.home.store.journal().clone();
        let committing = async move { journal.commit(Batch::new(forgotten)).await };
        ctx.spawn(committing.into_actor(self).map(|result, act, ctx| {
            if let Err(error) = result {
                tracing::error!(%error, "who is told of a decision could not be noted");
            }
            for (key, address) in admitted {
                act.retry(&address.written());
                act.say(key, address, Decision::Granted, ctx);
            }
        }));
    }

    /// Looks at everybody who is not in and tells those who may come: the mode or the rules are others than when they were here.
    pub(super) fn let_in_by_now(&self, ctx: &mut Ctx) {
        let is_dns = self.policy.mode() == Mode::DnsVerified;
        self.settle(&|address| is_dns || self.policy.would_approve(address), ctx);
        self.call_in(ctx);
        self.welcome(ctx);
    }

    /// Tells those who wait for the owner and get in without an answer by now. Their questions are closed when they come.
    fn call_in(&self, ctx: &mut Ctx) {
        let open = match self.home.store.reader().approvals() {
            Ok(open) => open,
            Err(error) => {
                return tracing::error!(%error, "the open questions cannot be read; whoever gets in finds out when it comes again");
            }
        };
        for (key, row) in open {
            let Ok(address) = Address::parse(&row.address) else { continue };
            // Another key than was known is asked about in every mode.
            if row.previous.is_none() && self.waiting.contains_key(&key) && self.gets_in(&key, &address) {
                self.tell(key, &row, Decision::Granted, ctx);
                self.retry(&row.address);
            }
        }
    }

    /// Whether it would be let in, were it met at its address. To be told is to be met there.
    fn gets_in(&self, key: &PeerKey, address: &Address) -> bool {
        self.policy.verdict(key, address, Proof::Dialled) == Verdict::Accept && !self.is_retired(key)
    }

    /// Those who were turned away and would get in by now.
    fn admitted_by_now(&self) -> Result<Vec<(PeerKey, Address)>, StoreError> {
        let mut admitted = Vec::new();
        for (key, row) in self.home.store.reader().turned_away()? {
            let Ok(address) = Address::parse(&row.address) else { continue };
            if !self.gets_in(&key, &address)
                || self.waiting.contains_key(&key)
                || self.pinned(&key, &address)?.is_some_and(|pinned| pinned != key)
            {
                continue;
            }
            admitted.push((key, address));
        }
        Ok(admitted)
    }
}

impl Handler<Held> for Workspace {
    type Result = ();

    fn handle(&mut self, held: Held, _: &mut Ctx) {
        let lane = Lane::of(&held.target);
        if self.outboxes.find(&lane).is_none() {
            return;
        }
        let Held { target: address, key } = held;
        match self.decisions.awaited.get_mut(&lane) {
            Some(awaited) if awaited.key == key => {}
            _ => drop(self.decisions.awaited.insert(lane, Awaited { address, key, granted: None, denied: None })),
        }
    }
}

impl Handler<Decided> for Workspace {
    type Result = ();

    fn handle(&mut self, decided: Decided, ctx: &mut Ctx) {
        let now = self.home.clock.monotonic();
        let waiting = self.decisions.awaited.iter_mut().filter(|(_, awaited)| awaited.key == decided.key);
        let heard =
            waiting.filter_map(|(lane, awaited)| awaited.hear(decided.decision, now).then(|| (lane.clone(), awaited.address.wire())));
        let heard: Vec<(Lane, String)> = heard.collect();
        let mut events = Vec::new();
        for (lane, address) in heard {
            let kind = decided.decision.kind().as_str();
            tracing::info!(peer = %decided.key.short(), address = %address.escape_debug(), decision = kind, "the owner of an agent has decided about us");
            events.push(self.event(kind, &decided.key, Some(address), None));
            if decided.decision == Decision::Granted
                && let Some(outbox) = self.outboxes.find(&lane)
            {
                outbox.do_send(Hasten);
            }
        }
        if events.is_empty() {
            return;
        }
        let journal = self.home.store.journal().clone();
        let committing = async move { journal.commit(Batch::new(events)).await };
        ctx.spawn(committing.into_actor(self).map(|result, _, _| {
            if let Err(error) = result {
                tracing::error!(%error, "what was decided about us could not be noted");
            }
        }));
    }
}
