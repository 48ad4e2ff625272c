//! Telling peers of a new key, and being told: `system.key_rotation`.
//!
//! Who is connected is told in the session that is open, under the old key, before it ends. Who is not, and whose
//! address is known to be its own, is dialled under the new one. Everybody else meets the proofs in the next handshake.

use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, ResponseActFuture, WrapFuture as _};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use toq_protocol::address::Address;
use toq_protocol::handshake::Credentials;
use toq_protocol::key::PeerKey;
use toq_protocol::rotation::{Notice, Promise, Worth};
use toq_store::{Batch, StoreError};

use super::{PeerRotates, Workspace};
use crate::connection::{Announce, ConnectionView, View, announce};

/// How many peers are dialled for one rotation: those that were here last. The others learn of it when they meet us.
const MAX_TOLD: usize = 64;

/// How many are dialled at once.
const AT_ONCE: usize = 4;

type Ctx = Context<Workspace>;

impl Workspace {
    /// Tells everybody who can be told now. The sessions that are open end with it.
    pub(super) fn tell_of_new_key(&self, notice: Notice, ctx: &mut Ctx) {
        let notice = Arc::new(notice);
        // Asked first, so that they answer before they end.
        let views: Vec<_> = self.connections.iter().map(|(_, connection)| connection.send(View)).collect();
        for (_, connection) in self.connections.iter() {
            connection.do_send(Announce(notice.clone()));
        }
        ctx.spawn(join_all(views).into_actor(self).map(move |views, act, ctx| {
            let told: Vec<PeerKey> =
                views.into_iter().filter_map(|view| view.ok().flatten()).map(|view: ConnectionView| view.peer_key).collect();
            let home = act.home.clone();
            let dialing = act.others(&told).into_iter().map(move |target| {
                let (home, notice) = (home.clone(), notice.clone());
                async move {
                    match announce(home, target.clone(), notice).await {
                        Ok(accepted) => tracing::info!(address = %target.wire().escape_debug(), accepted, "a peer was told of the new key"),
                        Err(error) => {
                            tracing::info!(address = %target.wire().escape_debug(), %error, "a peer will learn of the new key when it meets us");
                        }
                    }
                }
            });
            let dialing = futures_util::stream::iter(dialing).buffer_unordered(AT_ONCE).for_each(|()| async {});
            ctx.spawn(dialing.into_actor(act));
        }));
    }

    /// The addresses of peers that have not been told, those that were here last first. An address that a peer only claims is
    /// not dialled.
    fn others(&self, told: &[PeerKey]) -> Vec<Address> {
        let mut peers = match self.home.store.reader().peers() {
            Ok(peers) => peers,
            Err(error) => {
                tracing::error!(%error, "the peers cannot be read; they will learn of the new key when they meet us");
                return Vec::new();
            }
        };
        peers.retain(|(key, row)| row.proof.is_some() && !told.contains(key) && !self.is_retired(key));
        peers.sort_by_key(|(_, row)| std::cmp::Reverse(row.last_seen));
        let addresses = peers.into_iter().filter_map(|(key, row)| Some((key, Address::parse(&row.address).ok()?)));
        let wanted = addresses.filter(|(key, address)| !self.policy.blocks(key, address));
        wanted.map(|(_, address)| address).take(MAX_TOLD).collect()
    }

    /// Keeps the word of a key that names another one, for when that one comes by itself.
    fn promised(&mut self, peer: &Credentials, new: PeerKey) -> bool {
        let now = self.home.wall();
        let until = now.plus(self.home.config.key_rotation_grace);
        if self.policy.successions().on_its_word(&peer.key, new, until).is_err() {
            return false;
        }
        let promise = Promise { old: peer.key, address: peer.address.wire(), until };
        match self.promises.add(new, promise, now) {
            Ok(()) => {
                tracing::info!(old = %peer.key.short(), new = %new.short(), "a peer says which key it will have; it is believed when that key comes");
                true
            }
            Err(error) => {
                tracing::warn!(peer = %peer.key.short(), %error, "what a peer says of its next key is not believed");
                false
            }
        }
    }
}

impl Handler<PeerRotates> for Workspace {
    type Result = ResponseActFuture<Self, bool>;

    fn handle(&mut self, said: PeerRotates, _: &mut Ctx) -> Self::Result {
        let PeerRotates { peer, notice } = said;
        let is_followed = |act: &Self| {
            act.policy.successions().leads(&peer.key, &notice.new) || act.policy.successions().predecessor(&peer.key).is_some()
        };
        if (notice.new == peer.key || self.policy.successions().leads(&peer.key, &notice.new)) && is_followed(self) {
            return Box::pin(async { true }.into_actor(self));
        }
        let worth = match notice.verify(&peer.key, &peer.address.wire(), self.home.wall()) {
            Ok(worth) => worth,
            Err(error) => {
                tracing::warn!(peer = %peer.key.short(), %error, "what a peer says of its next key is not believed");
                return Box::pin(async { false }.into_actor(self));
            }
        };
        if worth == Worth::Promised {
            let is_kept = self.promised(&peer, notice.new);
            return Box::pin(async move { is_kept }.into_actor(self));
        }
        let shown = Credentials { key: notice.new, rotations: notice.proofs, ..peer };
        let carried = self.carry_over(&shown);
        let journal = self.home.store.journal().clone();
        let committing = async move {
            let carried = carried?;
            if carried.changes.is_empty() {
                return Ok((carried, Ok(false)));
            }
            let committed = journal.commit(Batch::new(carried.changes.clone())).await.map(|_| true);
            Ok::<_, StoreError>((carried, committed))
        };
        Box::pin(committing.into_actor(self).map(move |result, act, _| match result {
            Ok((_, Ok(is_believed))) => {
                act.publish();
                is_believed
            }
            Ok((carried, Err(error))) => {
                tracing::error!(%error, "a peer's new key could not be written");
                act.undo(&carried, &shown.key);
                false
            }
            Err(error) => {
                tracing::error!(%error, "a peer's new key could not be looked at");
                false
            }
        }))
    }
}
