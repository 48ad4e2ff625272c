//! One run, from the commit of its attempt to the commit of its end.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::watch;
use toq_config::HandlerConfig;
use toq_kit::{Credit, fault};
use toq_protocol::auto_reply::{hops, mark};
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::Message;
use toq_store::batch::Change;
use toq_store::record::{EventRow, MessageRow};
use toq_store::{Batch, Seq, StoreError};

use super::damper::repeats;
use super::pass::Held;
use super::work::{Order, Reaction, RunError, Streamed, Work};
use super::{HandlerName, Pass};
use crate::home::Home;
use crate::workspace::{Origin, Patience, Respond, Send, Workspace, WorkspaceError};

/// How long a commit that failed is left alone before it is tried again.
const COMMIT_PAUSE: Duration = Duration::from_secs(1);

/// How long a message that failed for the first time rests; the pause doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest rest between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest rest that somebody else may ask for.
const LONGEST_REQUESTED: Duration = Duration::from_secs(3600);

/// What a run has said.
struct Said {
    text: String,
    close_thread: bool,
    stream: Option<Streamed>,
}

impl Said {
    /// Whether the answer itself closes the conversation.
    const fn ends_with_close(&self) -> bool {
        self.close_thread && self.stream.is_none()
    }
}

/// What a run needs.
pub(super) struct Run {
    pub(super) home: Arc<Home>,
    pub(super) workspace: Addr<Workspace>,
    pub(super) handler: HandlerName,
    pub(super) definition: Arc<HandlerConfig>,
    pub(super) work: Arc<dyn Work>,
    pub(super) seats: Credit,
    pub(super) seq: Seq,
    pub(super) process: watch::Sender<Option<u32>>,
}

/// What follows from a run.
#[derive(Debug)]
pub(super) enum Ended {
    /// The message is confirmed or set aside.
    Done,
    /// It is tried again after this pause.
    Again(Duration),
    /// The handler cannot go on.
    Broken(String),
}

impl Run {
    pub(super) async fn run(self) -> Ended {
        let entry = match self.home.store.reader().entry(self.seq) {
            Ok(Some(entry)) => entry,
            Ok(None) => return self.confirm().await,
            Err(error) => return self.unreadable(&error),
        };
        let message = match entry.row.message() {
            Ok(message) => message,
            Err(error) => return self.set_aside(&format!("the message cannot be read: {error}")).await,
        };
        let proof = entry.row.proof();
        let silenced = entry.row.peer().and_then(|peer| self.home.policy.borrow().silences(&peer, &message.from, proof));
        if let Some(why) = silenced {
            return self.set_aside(why).await;
        }
        let hops = hops(message.body.as_ref());
        if hops >= self.definition.max_hops() {
            return self.pause(&message, "loop_suspected").await;
        }
        match repeats(&self.home, &message, entry.row.peer().as_ref(), self.seq, self.definition.max_repeats) {
            Ok(false) => {}
            Ok(true) => return self.pause(&message, "identical_content").await,
            Err(error) => return self.unreadable(&error),
        }
        // A seat of all handlers before the attempt counts: waiting is not trying.
        let _seat = self.seats.take().await;
        let attempt = match self.offer().await {
            Ok(attempt) => attempt,
            Err(error) => return self.unreadable(&error),
        };
        let max = self.definition.max_attempts;
        if attempt > max {
            return self.set_aside(&format!("{max} attempts were cut short by an end of the daemon")).await;
        }
        fault::crash_point("before-run");
        let result = self.attempt(&message, &entry.row, attempt, hops + 1).await;
        fault::crash_point("after-run");
        match result {
            Ok(Reaction::Nothing) => self.confirm().await,
            Ok(Reaction::Answer { text, close_thread, stream }) => {
                self.respond(&message, entry.row.peer(), Said { text, close_thread, stream }, hops + 1).await
            }
            Err(RunError::Broken(reason)) => {
                self.commit(Batch::new(vec![Change::TakeBack(self.handler.consumer(), vec![self.seq])])).await;
                Ended::Broken(reason)
            }
            Err(RunError::Hopeless(reason)) => self.set_aside(&reason).await,
            Err(RunError::Postponed { reason, pause }) => {
                tracing::debug!(handler = %self.handler.0, id = %message.id, %reason, "a message waits");
                self.commit(Batch::new(vec![Change::TakeBack(self.handler.consumer(), vec![self.seq])])).await;
                Ended::Again(pause)
            }
            Err(RunError::Failed(reason)) => self.failed(&message, attempt, &reason, Duration::ZERO).await,
            Err(RunError::Delayed { reason, pause }) => self.failed(&message, attempt, &reason, pause).await,
        }
    }

    /// The attempt failed: another one after a pause, or none.
    async fn failed(&self, message: &Message, attempt: u32, reason: &str, at_least: Duration) -> Ended {
        if attempt >= self.definition.max_attempts {
            return self.set_aside(reason).await;
        }
        tracing::warn!(handler = %self.handler.0, id = %message.id, attempt, reason = %reason.escape_debug(), "a run failed; it is tried again");
        let pause = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_PAUSE);
        Ended::Again(pause.max(at_least.min(LONGEST_REQUESTED)))
    }

    async fn attempt(&self, message: &Message, row: &MessageRow, attempt: u32, hops: u32) -> Result<Reaction, RunError> {
        let token: String = self.home.random::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        let pass = Pass {
            handler: self.handler.clone(),
            to: message.from.clone(),
            peer: row.peer(),
            thread_id: message.thread_id.clone(),
            message: message.id,
            hops,
            streams: Vec::new(),
        };
        let _pass = Held::new(&self.workspace, token.clone(), pass);
        let order = Order {
            definition: self.definition.clone(),
            message: message.clone(),
            seq: self.seq,
            peer: row.peer(),
            proof: row.proof(),
            is_bound: row.is_bound(),
            attempt,
            hops,
            token,
            process: self.process.clone(),
            home: self.home.clone(),
            workspace: self.workspace.clone(),
        };
        self.work.run(order).await
    }

    /// Counts the attempt on disk, before it is made.
    async fn offer(&self) -> Result<u32, StoreError> {
        let consumer = self.handler.consumer();
        self.home.store.journal().commit(Batch::new(vec![Change::Offer(consumer.clone(), vec![self.seq])])).await?;
        self.home.store.reader().offers(&consumer, self.seq)
    }

    async fn confirm(&self) -> Ended {
        self.commit(Batch::new(vec![Change::Confirm(self.handler.consumer(), vec![self.seq])])).await;
        Ended::Done
    }

    async fn respond(&self, message: &Message, peer: Option<PeerKey>, said: Said, hops: u32) -> Ended {
        let send = |kind: Kind, text: Option<&str>| Send {
            to: vec![message.from.clone()],
            kind,
            body: Some(mark(text.map(Json::from_text).as_ref(), hops)),
            thread_id: message.thread_id.clone(),
            reply_to: Some(message.id.to_string()),
            content_type: Some("application/json".to_owned()),
            idempotency: None,
            patience: Patience::Accepted,
            origin: Origin::Handler(peer),
        };
        loop {
            let answer = send(if said.ends_with_close() { Kind::ThreadClose } else { Kind::MessageSend }, Some(&said.text));
            // The end of a stream closes nothing, so a close of its own follows it.
            let close = (said.close_thread && !said.ends_with_close()).then(|| send(Kind::ThreadClose, None));
            let consumer = self.handler.consumer();
            let respond = Respond { send: answer, close, stream: said.stream.clone(), hops, consumer, seq: self.seq };
            match self.workspace.send(respond).await {
                Ok(Ok(())) => return Ended::Done,
                Ok(Err(error @ (WorkspaceError::Store(_) | WorkspaceError::OutboxFull(_)))) => {
                    tracing::warn!(handler = %self.handler.0, %error, "an answer waits");
                    tokio::time::sleep(COMMIT_PAUSE).await;
                }
                Ok(Err(error)) => return self.set_aside(&format!("the answer cannot be sent: {error}")).await,
                // The workspace is gone, and this actor with it.
                Err(_) => return Ended::Again(COMMIT_PAUSE),
            }
        }
    }

    async fn set_aside(&self, reason: &str) -> Ended {
        let reason = format!("handler {}: {reason}", self.handler.0);
        tracing::warn!(reason = %reason.escape_debug(), "a message was set aside");
        let change = Change::SetAside { consumer: self.handler.consumer(), message: self.seq, reason, at: self.home.wall() };
        self.commit(Batch::new(vec![change])).await;
        Ended::Done
    }

    /// The conversation looks like two programs that answer each other. It is left alone until somebody writes who
    /// is none.
    async fn pause(&self, message: &Message, why: &str) -> Ended {
        let thread = message.thread_id.clone().unwrap_or_else(|| message.id.to_string());
        tracing::warn!(handler = %self.handler.0, thread = %thread.escape_debug(), why, "two programs answer each other; the conversation is paused");
        let event = EventRow {
            kind: "thread.paused".to_owned(),
            subject: thread,
            address: Some(message.from.wire()),
            reason: Some(why.to_owned()),
            timestamp: self.home.wall().as_nanos(),
        };
        let confirm = Change::Confirm(self.handler.consumer(), vec![self.seq]);
        self.commit(Batch::new(vec![confirm, Change::Event(event)])).await;
        Ended::Done
    }

    fn unreadable(&self, error: &StoreError) -> Ended {
        tracing::error!(handler = %self.handler.0, %error, "a handler waits for the disk");
        Ended::Again(COMMIT_PAUSE)
    }

    /// Commits, however long the disk takes: what a run has done must not be done again.
    async fn commit(&self, batch: Batch) {
        commit(&self.home, batch).await;
    }
}

/// Commits, however long the disk takes.
pub(super) async fn commit(home: &Home, batch: Batch) {
    while let Err(error) = home.store.journal().commit(batch.clone()).await {
        tracing::error!(%error, "a handler's progress waits for the disk");
        tokio::time::sleep(COMMIT_PAUSE).await;
    }
}
