//! Keys that change: our own, and those of peers.
//!
//! Our own changes between two messages of this actor: the files first (see [`toq_vault::Rotation`]), then what
//! every later session speaks with. Sessions that speak with the old key end; what was on its way is sent again.
//!
//! A peer's change is believed for a proof of both keys. Its rules and its row go over to the new key in the batch
//! that stores the succession. From then on the old key has one successor, and is refused when its grace is over.

use actix::{Context, Handler, ResponseActFuture, WrapFuture as _};
use toq_kit::fault;
use toq_protocol::address::Address;
use toq_protocol::handshake::Credentials;
use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;
use toq_protocol::policy::{Ruling, Subject};
use toq_protocol::rotation::{Notice, RotationProof, Succession};
use toq_store::batch::Change;
use toq_store::record::{EventRow, PeerRow, PinRow, RotationRow};
use toq_store::{Batch, StoreError};
use toq_vault::{Rotated, Rotation, VaultError};

use super::{RotateKeys, Workspace, WorkspaceError};

/// How many replaced keys of peers are remembered. A peer makes keys for nothing; one that has used this up for
/// everybody has been let in or blocked by name before, and is in the log.
const MAX_SUCCESSIONS: usize = 10_000;

/// How many earlier keys of a sender are looked through for a message.
const MAX_EARLIER: usize = 8;

type Ctx = Context<Workspace>;

/// What of a peer goes over to its new key.
#[derive(Debug, Default)]
pub(super) struct CarriedOver {
    /// The rows.
    pub changes: Vec<Change>,
    /// The successions, to be forgotten should the rows not be stored.
    olds: Vec<PeerKey>,
}

impl Workspace {
    /// True where a key was succeeded by another and its grace is over.
    pub(super) fn is_retired(&self, key: &PeerKey) -> bool {
        self.policy.successions().is_retired(key, self.home.wall())
    }

    /// True where this message came under the key that the sender had before.
    pub(super) fn came_before(&self, sender: &PeerKey, id: &MessageId) -> bool {
        let mut key = sender;
        for _ in 0..MAX_EARLIER {
            let Some(old) = self.policy.successions().predecessor(key) else { return false };
            match self.home.store.reader().has_seen(old, id) {
                Ok(false) => key = old,
                Ok(true) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    /// Takes over what a peer's proofs prove. What is decided here is in force at once; the rows are for the batch that
    /// the caller commits, and [`Workspace::undo`] is for a batch that fails.
    pub(super) fn carry_over(&mut self, peer: &Credentials) -> Result<CarriedOver, StoreError> {
        if peer.rotations.is_empty() && !self.promises.has(&peer.key) {
            return Ok(CarriedOver::default());
        }
        if self.policy.successions().len() >= MAX_SUCCESSIONS {
            tracing::warn!(peer = %peer.key.short(), "too many keys were replaced by peers; this one counts as a stranger");
            return Ok(CarriedOver::default());
        }
        let now = self.home.wall();
        let reader = self.home.store.reader().clone();
        let rules = reader.rules()?;
        let address = peer.address.wire();
        let known = self.policy.successions();
        let knows = |key: &PeerKey| {
            let is_ruled = || rules.iter().any(|(subject, _)| *subject == Subject::Key(*key));
            known.predecessor(key).is_some() || known.is_succeeded(key) || is_ruled() || reader.peer(key).is_ok_and(|row| row.is_some())
        };
        let news = match peer.rotations.is_empty() {
            true => self.promises.redeem(&peer.key, &address, now).filter(|promise| knows(&promise.old)).map_or_else(
                || Ok(Vec::new()),
                |promise| {
                    let succession = known.on_its_word(&promise.old, peer.key, promise.until)?;
                    Ok(vec![(promise.old, succession)])
                },
            ),
            false => known.news(&peer.rotations, &peer.key, &address, knows, now).map(|news| news.iter().map(proven).collect()),
        };
        let news: Vec<(PeerKey, Succession)> = match news {
            Ok(news) => news,
            Err(error) => {
                tracing::warn!(peer = %peer.key.short(), %error, "a proof that a key follows another is not believed; the peer is a stranger");
                return Ok(CarriedOver::default());
            }
        };
        let Some(first) = news.first().map(|(old, _)| *old) else { return Ok(CarriedOver::default()) };
        let mut carried = CarriedOver::default();
        // A block of the new key stands against an approval of the old one.
        for ruling in self.policy.moving(&first) {
            let (old, new) = (Subject::Key(first), Subject::Key(peer.key));
            self.policy.remove(&old, ruling);
            self.policy.add(&new, ruling);
            carried.changes.extend([Change::RemoveRule(old, ruling), Change::AddRule(new, ruling, now)]);
        }
        if let Some(row) = reader.peer(&first)? {
            carried.changes.push(Change::Peer(peer.key, PeerRow { address: address.clone(), ..row }));
            carried.changes.push(Change::RemovePeer(first));
        }
        for pin in reader.pins()?.into_iter().filter(|pin| pin.peer() == first) {
            if let Ok(address) = Address::parse(&pin.address) {
                carried.changes.push(Change::Pin(address, PinRow { key: *peer.key.as_bytes(), ..pin }));
            }
        }
        for (old, succession) in news {
            self.believe(old, succession, &mut carried);
        }
        carried.changes.push(Change::Event(EventRow {
            kind: "peer.key_rotated".to_owned(),
            subject: peer.key.to_string(),
            address: Some(address),
            reason: Some(first.to_string()),
            timestamp: now.as_nanos(),
        }));
        let record = self.recorded(&format!("peer {first}"), "key.followed", &peer.key);
        carried.changes.push(Change::Audit(record.detailed("its rules, its row and its pins go over")));
        tracing::info!(old = %first.short(), new = %peer.key.short(), "a peer has a new key; its rules go over to it");
        Ok(carried)
    }

    fn believe(&mut self, old: PeerKey, succession: Succession, carried: &mut CarriedOver) {
        let Succession { new, counter, retires_at } = succession;
        self.policy.follow(old, succession);
        carried.changes.push(Change::AddRotation(old, RotationRow { new: *new.as_bytes(), counter, retires_at: retires_at.as_nanos() }));
        carried.olds.push(old);
    }

    /// Takes back what [`Workspace::carry_over`] decided and could not be stored.
    pub(super) fn undo(&mut self, carried: &CarriedOver, new: &PeerKey) {
        if carried.olds.is_empty() {
            return;
        }
        for old in &carried.olds {
            self.policy.unfollow(old);
        }
        // Without the rows, what is in force stays: no block is lost.
        let Ok(stored) = self.home.store.reader().rules() else { return };
        for (key, ruling) in carried.olds.iter().chain([new]).flat_map(|key| [(key, Ruling::Approve), (key, Ruling::Block)]) {
            let subject = Subject::Key(*key);
            match stored.contains(&(subject.clone(), ruling)) {
                true => self.policy.add(&subject, ruling),
                false => self.policy.remove(&subject, ruling),
            }
        }
    }

    fn replace_key(&self) -> Result<Rotated, VaultError> {
        let (home, local) = (&self.home, self.home.local());
        let rotation = Rotation::prepare(&home.keys, &local.address.wire(), home.wall(), home.config.key_rotation_grace)?;
        fault::crash_point("rotate-before-keep");
        rotation.keep()?;
        fault::crash_point("rotate-before-record");
        rotation.record()?;
        fault::crash_point("rotate-before-commit");
        let rotated = rotation.commit()?;
        fault::crash_point("rotate-after-commit");
        Ok(rotated)
    }
}

fn proven(proof: &RotationProof) -> (PeerKey, Succession) {
    (proof.old, Succession { new: proof.new, counter: proof.counter, retires_at: proof.expires_at })
}

impl Handler<RotateKeys> for Workspace {
    type Result = ResponseActFuture<Self, Result<RotationProof, WorkspaceError>>;

    fn handle(&mut self, _: RotateKeys, ctx: &mut Ctx) -> Self::Result {
        let rotated = self.rotate(ctx);
        let journal = self.home.store.journal().clone();
        let record = rotated.as_ref().ok().map(|proof| self.recorded_key(&proof.old, &proof.new));
        let recording = async move {
            // The key is replaced whatever the log says; the next start records it then.
            if let Some(record) = record
                && let Err(error) = journal.commit(Batch::new(vec![record])).await
            {
                tracing::error!(%error, "that the key was replaced could not be recorded");
            }
            rotated
        };
        Box::pin(recording.into_actor(self))
    }
}

impl Workspace {
    fn rotate(&mut self, ctx: &mut Ctx) -> Result<RotationProof, WorkspaceError> {
        if self.is_draining {
            return Err(WorkspaceError::Draining);
        }
        let rotated = self.replace_key().map_err(|error| WorkspaceError::Keys(error.to_string()))?;
        let proof = rotated.proofs.last().cloned().ok_or_else(|| WorkspaceError::Keys("no proof was made".to_owned()))?;
        tracing::warn!(old = %proof.old.short(), new = %proof.new.short(), "the identity key was replaced");
        let notice = Notice::of(&rotated.proofs);
        self.home.speak_with(rotated.identity, rotated.proofs);
        if let Some(notice) = notice {
            self.tell_of_new_key(notice, ctx);
        }
        Ok(proof)
    }
}
