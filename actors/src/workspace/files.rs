//! Files that peers send: whether they are taken, where their bytes go, and when their message counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext as _, Context};
use tokio::sync::Mutex;
use toq_protocol::envelope::Envelope;
use toq_protocol::file::{ContentId, FileChunk, Manifest, is_program_name};
use toq_protocol::key::PeerKey;
use toq_protocol::message::Message;
use toq_protocol::reason::Reason;
use toq_store::{Depot, DepotError};

use super::receive::{Assurance, CommitReceived, Storing};
use super::{Stored, Workspace};

/// A file that a peer has announced.
pub(super) struct Expected {
    manifest: Manifest,
    /// Keeps its chunks in the order in which they came, and its end behind them.
    line: Arc<Mutex<()>>,
    used: Duration,
}

/// What peers have announced and not finished.
pub(super) type Intake = HashMap<(PeerKey, ContentId), Expected>;

impl Workspace {
    /// A file is announced: it is wanted, or here, or refused.
    pub(super) fn store_file(&mut self, peer: PeerKey, known: Assurance, envelope: Envelope, ctx: &mut Context<Self>) -> Storing {
        let acceptable = self.acceptable(&envelope);
        let message = Message::from_envelope(envelope, self.home.local().address.clone(), self.home.wall());
        // What is here already is acknowledged, whatever is accepted by now: the sender has not heard of it.
        let is_here = self.home.store.reader().has_seen(&peer, &message.id).unwrap_or(false);
        if is_here || self.came_before(&peer, &message.id) {
            self.settle_part(&peer, &message);
            return self.commit_received(peer, known, message, ctx);
        }
        let (depot, manifest) = match acceptable {
            Ok(acceptable) => acceptable,
            Err(reason) => return Box::pin(async move { Stored::Refused(reason) }),
        };
        let Some(line) = self.expect(peer, &manifest) else {
            return Box::pin(async { Stored::Refused(Reason::ResourceExhausted) });
        };
        let (from, at, tag, workspace) = (message.from.wire(), message.timestamp.as_nanos(), peer.to_string(), ctx.address());
        Box::pin(async move {
            let _order = line.lock().await;
            let (worker, announced, key) = (depot.clone(), manifest.clone(), tag.clone());
            let looked = tokio::task::spawn_blocking(move || {
                let have = worker.begin(&key, &announced)?;
                if have == announced.size {
                    worker.finish(&key, &announced, &from, at)?;
                }
                Ok(have)
            });
            match looked.await.unwrap_or_else(|error| Err(DepotError::Io(std::io::Error::other(error)))) {
                Ok(have) if have < manifest.size => Stored::Incomplete(have),
                Ok(_) => {
                    let commit = CommitReceived { peer, known, message: Box::new(message) };
                    let stored = workspace.send(commit).await.unwrap_or(Stored::Refused(Reason::AgentUnavailable));
                    if stored == Stored::Committed {
                        depot.settle(&tag, &manifest.id);
                    }
                    stored
                }
                Err(error) => Stored::Refused(refusal(&error)),
            }
        })
    }

    /// Removes what a crash has left of a file whose message was committed, unless the same content is coming again.
    fn settle_part(&self, peer: &PeerKey, message: &Message) {
        if let (Some(depot), Some(manifest)) = (self.home.store.depot(), Manifest::parse(message.body.as_ref()))
            && !self.intake.contains_key(&(*peer, manifest.id))
        {
            depot.settle(&peer.to_string(), &manifest.id);
        }
    }

    /// Bytes of an announced file.
    pub(super) fn store_file_chunk(&mut self, peer: PeerKey, envelope: &Envelope) -> Storing {
        let Some(chunk) = FileChunk::parse(envelope.body.as_ref()) else {
            return Box::pin(async { Stored::Refused(Reason::InvalidEnvelope) });
        };
        let now = self.home.clock.monotonic();
        let (Some(expected), Some(depot)) = (self.intake.get_mut(&(peer, chunk.id)), self.home.store.depot().cloned()) else {
            // Announced too long ago; it will be announced again.
            return Box::pin(async { Stored::Refused(Reason::AgentUnavailable) });
        };
        expected.used = now;
        let (manifest, line, tag) = (expected.manifest.clone(), expected.line.clone(), peer.to_string());
        Box::pin(async move {
            let _order = line.lock().await;
            let appending = tokio::task::spawn_blocking(move || depot.append(&tag, &manifest, chunk.offset, &chunk.bytes));
            match appending.await.unwrap_or_else(|error| Err(DepotError::Io(std::io::Error::other(error)))) {
                Ok(()) => Stored::Committed,
                Err(error) => Stored::Refused(refusal(&error)),
            }
        })
    }

    fn acceptable(&self, envelope: &Envelope) -> Result<(Arc<Depot>, Manifest), Reason> {
        let config = &self.home.config;
        let depot = self.home.store.depot().filter(|_| config.accept_files).ok_or(Reason::FilesNotAccepted)?;
        let manifest = Manifest::parse(envelope.body.as_ref()).ok_or(Reason::InvalidEnvelope)?;
        if manifest.size > config.max_file_size {
            return Err(Reason::MessageTooLarge);
        }
        if is_program_name(&manifest.name) {
            return Err(Reason::UnsupportedContentType);
        }
        Ok((depot.clone(), manifest))
    }

    /// Notes that a peer may send bytes of a file; `None` where it has announced too many.
    fn expect(&mut self, peer: PeerKey, manifest: &Manifest) -> Option<Arc<Mutex<()>>> {
        let (now, limits) = (self.home.clock.monotonic(), self.home.config.limits);
        // A file that is still being written holds its line, and so its place.
        self.intake.retain(|_, expected| now.saturating_sub(expected.used) < limits.stream_idle || Arc::strong_count(&expected.line) > 1);
        let key = (peer, manifest.id);
        let open = self.intake.keys().filter(|(owner, _)| *owner == peer).count();
        if !self.intake.contains_key(&key) && open >= limits.max_streams_per_peer {
            return None;
        }
        let fresh = || Expected { manifest: manifest.clone(), line: Arc::default(), used: now };
        let expected = self.intake.entry(key).or_insert_with(fresh);
        (expected.manifest, expected.used) = (manifest.clone(), now);
        Some(expected.line.clone())
    }
}

fn refusal(error: &DepotError) -> Reason {
    match error {
        DepotError::Corrupt => Reason::FileCorrupt,
        DepotError::Full => Reason::StorageFull,
        // Late bytes of an earlier connection; the sender announces again and continues.
        DepotError::Misplaced => Reason::AgentUnavailable,
        DepotError::Program => Reason::UnsupportedContentType,
        error => {
            tracing::error!(%error, "a file that a peer sends cannot be stored");
            Reason::AgentUnavailable
        }
    }
}
