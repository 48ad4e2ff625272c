//! Which key belongs to which address, and what happens when that changes.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::Proof;
use toq_store::batch::{Alarm, Change, Sort};
use toq_store::{Batch, StoreError};

use super::admission::Asks;
use super::decide::event;
use super::rotation::CarriedOver;
use super::{Intercepted, KeyChanged, Met, Workspace};
use crate::outbox::{Lane, Retry};

/// How often a peer that is dialled again and again has its row written.
const FRESH: Duration = Duration::from_secs(60);

/// The least time between two alarms that are kept as events; the others are counted and logged.
const ALARM_PAUSE: Duration = Duration::from_secs(60);

type Ctx = Context<Workspace>;

impl Workspace {
    /// What is written of an attack: it is counted, and told as an event unless there was one a moment ago. A stranger can raise as
    /// many as it likes.
    pub(super) fn alarm(&mut self, key: &PeerKey, address: &Address, why: &str) -> Vec<Change> {
        let now = self.home.clock.monotonic();
        // An alarm about a peer that is known does not wait behind those that strangers raise.
        let is_known = self.policy.approves_key(key) || self.home.store.reader().peer(key).is_ok_and(|peer| peer.is_some());
        let last = if is_known { self.alarms.get(key).copied() } else { self.last_alarm };
        let counted = Alarm { key: *key, reason: why.to_owned(), address: address.wire(), is_known, at: self.home.wall() };
        if last.is_some_and(|last| now.saturating_sub(last) < ALARM_PAUSE) {
            return vec![Change::Alarm(counted)];
        }
        match is_known {
            true => drop(self.alarms.insert(*key, now)),
            false => self.last_alarm = Some(now),
        }
        let told = event(self.home.wall(), "peer.intercepted", key, Some(address.wire()), Some(why));
        vec![Change::Alarm(counted), if is_known { Change::Event(told) } else { Change::StrangersEvent(Sort::Alarm, told) }]
    }

    /// What is written of a peer that was dialled: the key that belongs to the address, and that it was met.
    fn met(&self, met: &Met, carried: &CarriedOver) -> Result<Vec<Change>, StoreError> {
        let (reader, key) = (self.home.store.reader(), met.peer.key);
        let earlier = self.policy.successions().predecessor(&key).copied().unwrap_or(key);
        let peer = reader.peer(&key)?.map_or_else(|| reader.peer(&earlier), |row| Ok(Some(row)))?;
        let mut changes = carried.changes.clone();
        if reader.pin(&met.target)?.is_none() {
            changes.push(self.pin(&met.target, key, Proof::Dialled));
        }
        let is_news = |row: &toq_store::record::PeerRow| {
            let age = self.home.wall().since(toq_protocol::time::Timestamp::from_nanos(row.last_seen));
            age > FRESH || (met.is_bound && row.binds.is_none())
        };
        if peer.as_ref().is_none_or(is_news) || !changes.is_empty() {
            changes.push(Change::Peer(key, self.seen(peer, &met.target, Proof::Dialled, met.is_bound)));
        }
        Ok(changes)
    }

    pub(super) fn commit_news(&self, changes: Result<Vec<Change>, StoreError>, what: &'static str, ctx: &mut Ctx) {
        let journal = self.home.store.journal().clone();
        let committing = async move {
            let changes = changes?;
            if !changes.is_empty() {
                journal.commit(Batch::new(changes.clone())).await?;
            }
            Ok::<_, StoreError>(changes)
        };
        ctx.spawn(committing.into_actor(self).map(move |result, act, ctx| match result {
            Ok(changes) => act.watch_question(&changes, ctx),
            Err(error) => {
                act.reread_questions();
                tracing::error!(%error, "{what} could not be written");
            }
        }));
    }

    /// Tries the messages to an address again at once: its owner or ours has decided something.
    pub(super) fn retry(&self, address: &str) {
        let Ok(address) = Address::parse(address) else { return };
        if let Some(outbox) = self.outboxes.find(&Lane::of(&address)) {
            outbox.do_send(Retry);
        }
    }
}

impl Handler<Met> for Workspace {
    type Result = ();

    fn handle(&mut self, met: Met, ctx: &mut Ctx) {
        self.decisions.forget(&Lane::of(&met.target));
        let carried = match self.carry_over(&met.peer) {
            Ok(carried) => carried,
            Err(error) => return tracing::error!(%error, "a peer that was dialled cannot be looked at"),
        };
        let (changes, journal) = (self.met(&met, &carried), self.home.store.journal().clone());
        let committing = async move {
            match changes? {
                changes if changes.is_empty() => Ok(()),
                changes => journal.commit(Batch::new(changes)).await.map(drop),
            }
        };
        ctx.spawn(committing.into_actor(self).map(move |result: Result<(), StoreError>, act, _| match result {
            Ok(()) => act.publish(),
            Err(error) => {
                tracing::error!(%error, "whom we met could not be written");
                act.undo(&carried, &met.peer.key);
            }
        }));
    }
}

impl Handler<KeyChanged> for Workspace {
    type Result = ();

    fn handle(&mut self, changed: KeyChanged, ctx: &mut Ctx) {
        tracing::warn!(
            address = %changed.target.wire().escape_debug(), expected = %changed.expected.short(), met = %changed.met.short(),
            "the agent at this address has another key than before; nothing is sent until the owner decides"
        );
        let asks =
            Asks { proof: Proof::Dialled, previous: Some(changed.expected), source: changed.target.host_key(), hears_decisions: false };
        let asking = self.question(changed.met, &changed.target, asks);
        self.commit_news(asking.map(Option::unwrap_or_default), "a changed key", ctx);
    }
}

impl Handler<Intercepted> for Workspace {
    type Result = ();

    fn handle(&mut self, intercepted: Intercepted, ctx: &mut Ctx) {
        let alarm = self.alarm(&intercepted.key, &intercepted.address, intercepted.reason.as_str());
        self.commit_news(Ok(alarm), "an alarm", ctx);
    }
}
