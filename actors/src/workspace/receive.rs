//! What comes in: the verdict, the commit, the news.

use std::time::Duration;

use actix::{AsyncContext as _, Context, Handler, ResponseFuture};
use futures_util::future::join_all;
use toq_kit::fault;
use toq_protocol::address::Address;
use toq_protocol::envelope::{Envelope, Kind};
use toq_protocol::file::{CHUNK_TYPE, MANIFEST_TYPE};
use toq_protocol::flow::Piece;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{MAX_BODY, Message};
use toq_protocol::policy::{Proof, Verdict};
use toq_protocol::rate::Toll;
use toq_protocol::reason::Reason;
use toq_store::batch::{Change, Guard};
use toq_store::record::Direction;
use toq_store::{Batch, Outcome, StoreError};

use super::{Deliver, Delivered, Stored, Workspace};
use crate::home::Counters;
use crate::stream::{Chunk, End};
use crate::thread::Recorded;

type Ctx = Context<Workspace>;
pub(super) type Storing = std::pin::Pin<Box<dyn Future<Output = Stored>>>;

/// The longest thread id and reply id that are stored, in bytes.
const MAX_REFERENCE: usize = 512;

/// What is known of where a message comes from when it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assurance {
    /// How it is known that the sender's address is its own.
    proof: Proof,
    /// Whether its session is bound to the TLS channel.
    is_bound: bool,
}

impl Workspace {
    fn store_one(&mut self, peer: PeerKey, address: &Address, known: Assurance, envelope: Envelope, ctx: &mut Ctx) -> Storing {
        if let Some(reason) = unacceptable(&envelope, self.home.config.max_message_size) {
            return Box::pin(async move { Stored::Refused(reason) });
        }
        let content_type = envelope.content_type.as_deref();
        match envelope.kind {
            Kind::MessageSend if content_type == Some(MANIFEST_TYPE) => self.store_file(peer, known, envelope, ctx),
            Kind::MessageStreamChunk if content_type == Some(CHUNK_TYPE) => self.store_file_chunk(peer, &envelope),
            Kind::MessageStreamChunk => self.store_chunk(peer, address, envelope, ctx),
            Kind::MessageStreamEnd => self.store_end(peer, known, envelope, ctx),
            _ => {
                let message = Message::from_envelope(envelope, self.home.local().address.clone(), self.home.wall());
                self.commit_received(peer, known, message, ctx)
            }
        }
    }

    /// Commits a message that came in and tells its thread.
    pub(super) fn commit_received(&mut self, peer: PeerKey, known: Assurance, message: Message, ctx: &mut Ctx) -> Storing {
        let (home, thread_id, kind, at) = (self.home.clone(), message.thread_id.clone(), message.kind, message.timestamp);
        let workspace = ctx.address();
        if self.came_before(&peer, &message.id) {
            Counters::count(&self.home.counters.duplicates);
            return Box::pin(async { Stored::Committed });
        }
        let batch = receive(peer, known, message);
        fault::crash_point("before-inbox-commit");
        Box::pin(async move {
            let result = home.store.journal().commit(batch).await;
            fault::crash_point("after-inbox-commit");
            match result {
                Ok(Outcome::Committed(seqs)) => {
                    Counters::count(&home.counters.messages_in);
                    if let (Some(id), Some(seq)) = (thread_id, seqs.first()) {
                        let recorded = Recorded { seq: *seq, direction: Direction::In, kind, at };
                        workspace.do_send(TellThread { id, recorded });
                    }
                    Stored::Committed
                }
                Ok(Outcome::Duplicate { .. }) => {
                    Counters::count(&home.counters.duplicates);
                    Stored::Committed
                }
                Err(error) => {
                    Counters::count(&home.counters.failed_commits);
                    Stored::Refused(refusal(&error))
                }
            }
        })
    }

    fn store_chunk(&mut self, peer: PeerKey, address: &Address, envelope: Envelope, ctx: &mut Ctx) -> Storing {
        let Some(piece) = Piece::parse(envelope.body.as_ref()) else {
            return Box::pin(async { Stored::Refused(Reason::InvalidEnvelope) });
        };
        let limit = self.home.config.limits.max_streams_per_peer;
        let Some(stream) = self.incoming_stream(peer, address, &piece.stream_id, limit, ctx) else {
            return Box::pin(async { Stored::Refused(Reason::ResourceExhausted) });
        };
        let taken = stream.send(Chunk { envelope: Box::new(envelope), piece });
        Box::pin(async move {
            match taken.await {
                Ok(Ok(())) => Stored::Committed,
                Ok(Err(_)) | Err(_) => Stored::Refused(Reason::StreamNotFound),
            }
        })
    }

    fn store_end(&mut self, peer: PeerKey, known: Assurance, envelope: Envelope, ctx: &mut Ctx) -> Storing {
        let Some(piece) = Piece::parse(envelope.body.as_ref()) else {
            return Box::pin(async { Stored::Refused(Reason::InvalidEnvelope) });
        };
        let to = self.home.local().address.clone();
        let Some(stream) = self.find_incoming(peer, &piece.stream_id) else {
            // The end of a stream without chunks, or one that came before and is known by its id.
            let message = Message::from_envelope(envelope, to, self.home.wall());
            let message = crate::stream::assembled(message, &piece, "");
            return self.commit_received(peer, known, message, ctx);
        };
        let (workspace, at) = (ctx.address(), self.home.wall());
        Box::pin(async move {
            let message = Message::from_envelope(envelope, to, at);
            match stream.send(End { message: Box::new(message), piece }).await {
                Ok(Ok(message)) => {
                    workspace.send(CommitReceived { peer, known, message }).await.unwrap_or(Stored::Refused(Reason::AgentUnavailable))
                }
                Ok(Err(_)) | Err(_) => Stored::Refused(Reason::StreamNotFound),
            }
        })
    }
}

fn unacceptable(envelope: &Envelope, max_body: usize) -> Option<Reason> {
    // At its most the limit is what a frame has room for, in whatever way the peer divides its frames.
    let is_of_file = envelope.kind == Kind::MessageStreamChunk && envelope.content_type.as_deref() == Some(CHUNK_TYPE);
    let is_bounded = max_body < MAX_BODY && !is_of_file;
    if is_bounded && envelope.body.as_ref().is_some_and(|body| body.as_str().len() > max_body) {
        return Some(Reason::MessageTooLarge);
    }
    let is_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_REFERENCE);
    if is_long(&envelope.thread_id) || is_long(&envelope.reply_to) || is_long(&envelope.content_type) {
        return Some(Reason::InvalidEnvelope);
    }
    if envelope.compression.is_some() {
        return Some(Reason::UnsupportedContentType);
    }
    let executable = [
        "application/x-executable",
        "application/x-msdos-program",
        "application/x-msdownload",
        "application/x-sharedlib",
        "application/vnd.microsoft.portable-executable",
    ];
    let kind = envelope.content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
    executable.iter().any(|prefix| kind.starts_with(prefix)).then_some(Reason::UnsupportedContentType)
}

/// The batch of a received message: its row, the key by which it is recognised, its thread.
fn receive(peer: PeerKey, known: Assurance, message: Message) -> Batch {
    let guard = if fault::is_broken("no-dedupe") { Guard::Always } else { Guard::Unseen(peer, message.id) };
    Batch::guarded(guard, vec![Change::Receive { sender: peer, message: Box::new(message), proof: known.proof, is_bound: known.is_bound }])
}

const fn refusal(error: &StoreError) -> Reason {
    match error {
        StoreError::Full | StoreError::OverQuota { .. } | StoreError::ReadOnly => Reason::StorageFull,
        _ => Reason::AgentUnavailable,
    }
}

fn refused(count: usize, reason: Reason, pause: Duration) -> ResponseFuture<Delivered> {
    Box::pin(async move { Delivered { stored: vec![Stored::Refused(reason); count], pause } })
}

impl Handler<Deliver> for Workspace {
    type Result = ResponseFuture<Delivered>;

    fn handle(&mut self, deliver: Deliver, ctx: &mut Ctx) -> Self::Result {
        let count = deliver.envelopes.len();
        let proof = self.proofs.get(&deliver.connection).copied().unwrap_or_default();
        let known = Assurance { proof, is_bound: deliver.is_bound };
        let verdict = self.policy.verdict(&deliver.peer, &deliver.address, proof);
        if verdict != Verdict::Accept || self.is_retired(&deliver.peer) {
            Counters::count(&self.home.counters.refused);
            // Whoever is to be asked about may come back; a block is final.
            let reason = if verdict == Verdict::Ask { Reason::PendingApproval } else { Reason::Blocked };
            return refused(count, reason, Duration::ZERO);
        }
        if self.is_draining {
            return refused(count, Reason::AgentUnavailable, Duration::ZERO);
        }
        let pause = match self.toll(&deliver, ctx) {
            Toll::Take => Duration::ZERO,
            Toll::TakeThenPause(pause) => pause,
            Toll::Mute(pause) | Toll::Muted(pause) => return refused(count, Reason::ResourceExhausted, pause),
        };
        let bytes = deliver.envelopes.iter().map(|envelope| envelope.body.as_ref().map_or(0, |body| body.as_str().len())).sum();
        if let Err(error) = self.home.store.room().take(bytes, self.home.clock.monotonic()) {
            return refused(count, refusal(&error), pause);
        }
        let storing: Vec<_> =
            deliver.envelopes.into_iter().map(|envelope| self.store_one(deliver.peer, &deliver.address, known, envelope, ctx)).collect();
        Box::pin(async move { Delivered { stored: join_all(storing).await, pause } })
    }
}

/// Tell a thread that a message of it is committed.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct TellThread {
    pub(super) id: String,
    pub(super) recorded: Recorded,
}

impl Handler<TellThread> for Workspace {
    type Result = ();

    fn handle(&mut self, told: TellThread, ctx: &mut Ctx) {
        self.thread(&told.id, ctx).do_send(told.recorded);
    }
}

/// Commit this assembled stream, or the message of a file that is here.
#[derive(actix::Message)]
#[rtype(result = "Stored")]
pub(super) struct CommitReceived {
    pub(super) peer: PeerKey,
    pub(super) known: Assurance,
    pub(super) message: Box<Message>,
}

impl Handler<CommitReceived> for Workspace {
    type Result = ResponseFuture<Stored>;

    fn handle(&mut self, commit: CommitReceived, ctx: &mut Ctx) -> Self::Result {
        self.commit_received(commit.peer, commit.known, *commit.message, ctx)
    }
}
