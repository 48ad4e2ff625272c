//! Following the log: a cursor, and what comes after it.
//!
//! Nothing is buffered for a reader. A feed knows its place, reads rows when there are newer ones and is
//! simply behind where its reader is slow. Only stream chunks are live: they are not rows, so a reader that
//! falls behind misses some, is told so, and gets the whole message as a row later.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::web;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use toq_actors::workspace::Consume;
use toq_actors::{Hearing, LiveChunk};
use toq_api::MessageEvent;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::policy::Pattern;
use toq_store::Seq;
use toq_store::record::{Direction, MessageRow};

use crate::error::ApiError;
use crate::facade::Facade;
use crate::view;

/// How many rows are read at once.
const PAGE: usize = 64;

/// Which messages a reader wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) from: Option<Pattern>,
    pub(crate) kind: Option<Kind>,
    pub(crate) outgoing: bool,
}

impl Filter {
    /// A row that cannot be read is nobody's wish; it is met where it is looked at further.
    fn wants(&self, row: &MessageRow) -> bool {
        if row.direction() == Direction::Out && !self.outgoing {
            return false;
        }
        row.message().is_ok_and(|message| self.wants_from(&message.from.wire()) && self.kind.is_none_or(|kind| kind == message.kind))
    }

    fn wants_from(&self, from: &str) -> bool {
        self.from.as_ref().is_none_or(|pattern| pattern.matches_text(from))
    }
}

/// What a feed yields.
#[derive(Debug)]
pub(crate) enum Item {
    /// A row.
    Row(Seq, Box<MessageEvent>),
    /// A chunk of a stream, which has no place.
    Chunk(Box<MessageEvent>),
    /// Some chunks were missed.
    Gap(u64),
}

/// Follows the messages.
pub(crate) struct Feed {
    facade: web::Data<Facade>,
    filter: Filter,
    consumer: Option<String>,
    cursor: Seq,
    tail: watch::Receiver<Seq>,
    chunks: broadcast::Receiver<Arc<LiveChunk>>,
    ready: VecDeque<Item>,
}

impl Feed {
    /// Follows from after a place.
    pub(crate) fn new(facade: web::Data<Facade>, filter: Filter, after: Seq) -> Self {
        let mut tail = facade.reader().watch();
        tail.mark_changed();
        let chunks = facade.home().live.subscribe();
        Self { facade, filter, consumer: None, cursor: after, tail, chunks, ready: VecDeque::new() }
    }

    /// Follows for a consumer: only what it has not confirmed, each offer counted before it is made.
    pub(crate) fn for_consumer(mut self, name: String) -> Self {
        self.consumer = Some(name);
        self
    }

    /// The next item; `None` where the log cannot be read any more.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            let newest = *self.tail.borrow_and_update();
            if newest > self.cursor {
                // Chunks that came before these rows are told before them.
                self.drain_chunks();
                if let Err(error) = self.read(newest).await {
                    tracing::error!(%error, "a feed ended");
                    return None;
                }
                continue;
            }
            tokio::select! {
                biased;
                chunk = self.chunks.recv() => match chunk {
                    Ok(chunk) => self.take_chunk(&chunk),
                    Err(RecvError::Lagged(missed)) => self.ready.push_back(Item::Gap(missed)),
                    Err(RecvError::Closed) => return None,
                },
                changed = self.tail.changed() => changed.ok()?,
            }
        }
    }

    /// Reads on. `newest` was the end of the log before this: where there are no messages up to it, only
    /// events lie between. The end as it is by now may be behind a message that was not read.
    async fn read(&mut self, newest: Seq) -> Result<(), ApiError> {
        let rows = self.facade.reader().messages_after(self.cursor, PAGE)?;
        if rows.is_empty() {
            self.cursor = newest;
            return Ok(());
        }
        let (mut wanted, mut silent, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        let policy = self.facade.home().policy.borrow().clone();
        for (seq, row) in rows {
            self.cursor = seq;
            match Hearing::of(&policy, &row) {
                Hearing::Unreadable => unreadable.push(seq),
                _ if !self.filter.wants(&row) => {}
                // What an agent has sent before it was blocked, or shut out, is in the history and nowhere else.
                Hearing::Silenced(why) => silent.push((seq, why)),
                Hearing::Heard => wanted.push((seq, view::event(&row)?)),
            }
        }
        self.pass_over(unreadable).await?;
        if let Some(name) = self.consumer.clone() {
            self.quarantine(&name, silent).await?;
            wanted = self.offer(&name, wanted).await?;
        }
        self.ready.extend(wanted.into_iter().map(|(seq, event)| Item::Row(seq, Box::new(event))));
        Ok(())
    }

    /// Notes rows that cannot be read, so that their owner hears of them and they hold up nobody.
    async fn pass_over(&self, unreadable: Vec<Seq>) -> Result<(), ApiError> {
        let reader = self.facade.reader();
        let place = self.consumer.as_deref().map(|name| reader.consumer(name)).transpose()?.flatten();
        let mut new = Vec::new();
        for seq in unreadable {
            if !reader.is_noted_unreadable(seq)? || place.as_ref().is_some_and(|place| place.is_open(seq.0)) {
                tracing::error!(place = %seq, "a row of the log cannot be read; it stays where it is");
                new.push(seq);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        Ok(self.facade.ask(Consume::Unreadable(self.consumer.clone(), new)).await??)
    }

    /// Keeps from a consumer what those have sent who are not heard any more, so that its place moves on.
    async fn quarantine(&self, name: &str, silent: Vec<(Seq, &'static str)>) -> Result<(), ApiError> {
        let Some(place) = self.facade.reader().consumer(name)? else { return Ok(()) };
        for (seq, why) in silent.into_iter().filter(|(seq, _)| place.is_open(seq.0)) {
            self.facade.ask(Consume::SetAside(name.to_owned(), vec![seq], why.to_owned())).await??;
        }
        Ok(())
    }

    /// Leaves out what is confirmed and counts the offers of the rest, on disk, before they are made.
    async fn offer(&self, name: &str, wanted: Vec<(Seq, MessageEvent)>) -> Result<Vec<(Seq, MessageEvent)>, ApiError> {
        let reader = self.facade.reader();
        let Some(place) = reader.consumer(name)? else { return Ok(Vec::new()) };
        let mut open: Vec<_> = wanted.into_iter().filter(|(seq, _)| place.is_open(seq.0)).collect();
        if open.is_empty() {
            return Ok(open);
        }
        self.facade.ask(Consume::Offer(name.to_owned(), open.iter().map(|(seq, _)| *seq).collect())).await??;
        for (seq, event) in &mut open {
            let attempt = reader.offers(name, *seq)?;
            event.seq = Some(seq.0);
            event.attempt = Some(attempt);
            event.redelivered = (attempt > 1).then_some(true);
        }
        Ok(open)
    }

    fn drain_chunks(&mut self) {
        loop {
            match self.chunks.try_recv() {
                Ok(chunk) => self.take_chunk(&chunk),
                Err(TryRecvError::Lagged(missed)) => self.ready.push_back(Item::Gap(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn take_chunk(&mut self, chunk: &LiveChunk) {
        let kind = Kind::MessageStreamChunk;
        let is_wanted = self.filter.kind.is_none_or(|wanted| wanted == kind) && self.filter.wants_from(&chunk.from);
        if !is_wanted {
            return;
        }
        self.ready.push_back(Item::Chunk(Box::new(MessageEvent {
            id: chunk.id.to_string(),
            kind: kind.as_str().to_owned(),
            from: chunk.from.clone(),
            to: None,
            body: chunk.body.as_ref().map(Json::to_value),
            thread_id: chunk.thread_id.clone(),
            reply_to: None,
            content_type: None,
            timestamp: chunk.timestamp.to_string(),
            seq: None,
            direction: None,
            state: None,
            verified: None,
            verified_by: None,
            bound: None,
            attempt: None,
            redelivered: None,
        })));
    }
}
