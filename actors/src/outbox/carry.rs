//! A file on its way out.
//!
//! The message that announces it is written first, and nothing behind it until it is settled, so that a conversation keeps its
//! order. The peer answers with how much it has; chunks follow from there, a few at a time, and when the last is acknowledged the
//! message is written again. A lost connection or a restart begins with the announcement, and what the peer has is not sent again.

use std::collections::HashSet;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_protocol::card::Card;
use toq_protocol::file::{CHUNK, CHUNK_TYPE, FileChunk, MANIFEST_TYPE, Manifest};
use toq_protocol::message::{Message, MessageId};
use toq_store::Seq;
use toq_store::record::State;

use super::Outbox;
use crate::connection::Write;

/// How many chunks may be unacknowledged: enough to keep a link busy, less than what a connection may have unwritten.
const WINDOW: usize = 4;

/// How often a peer may ask for the same bytes before it is taken for broken.
const PATIENCE: u32 = 3;

/// What a peer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// It is not of our kind.
    Unknown,
    /// It could, and its owner does not want to.
    Refused,
    /// Files of at most so many bytes.
    UpTo(u64),
}

impl Files {
    /// What a peer says of itself.
    pub fn of(card: &Card, is_known: bool) -> Self {
        match (is_known, card.accept_files) {
            (false, _) => Self::Unknown,
            (true, false) => Self::Refused,
            (true, true) => Self::UpTo(card.max_file_size.unwrap_or(u64::MAX)),
        }
    }

    fn allow(self, size: u64) -> Result<(), String> {
        match self {
            Self::Unknown => Err("the remote agent is of another kind and does not know how to take files".to_owned()),
            Self::Refused => Err("the remote agent does not accept files".to_owned()),
            Self::UpTo(most) if size > most => Err(format!("the file has {size} bytes; the remote agent accepts at most {most}")),
            Self::UpTo(_) => Ok(()),
        }
    }
}

/// The file that is on its way.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) seq: Seq,
    message: Message,
    manifest: Manifest,
    /// Where the next chunk begins; `None` before the peer has said what it has.
    offset: Option<u64>,
    /// Written and not acknowledged.
    chunks: HashSet<MessageId>,
    is_reading: bool,
    /// What the peer asked for last, and how often.
    asked: (u64, u32),
}

impl Carried {
    pub(super) fn has(&self, chunk: &MessageId) -> bool {
        self.chunks.contains(chunk)
    }
}

/// The file that a message announces.
pub(super) fn announced(message: &Message) -> Option<Manifest> {
    if message.content_type.as_deref() != Some(MANIFEST_TYPE) {
        return None;
    }
    Manifest::parse(message.body.as_ref())
}

impl Outbox {
    /// Looks whether a message announces a file, and if so whether the peer would take it.
    pub(super) fn take_up(&mut self, seq: Seq, message: &Message) -> Result<(), String> {
        let Some(manifest) = announced(message) else { return Ok(()) };
        self.files.allow(manifest.size)?;
        let message = message.clone();
        self.carried = Some(Carried { seq, message, manifest, offset: None, chunks: HashSet::new(), is_reading: false, asked: (0, 0) });
        Ok(())
    }

    /// The peer has so many bytes of the file that this message announces.
    pub(super) fn wanted(&mut self, id: MessageId, offset: u64, ctx: &mut Context<Self>) {
        self.acknowledgements += 1;
        self.delivery.progressed();
        let Some(carried) = self.carried.as_mut().filter(|carried| carried.message.id == id) else { return };
        carried.asked = if offset == carried.asked.0 { (offset, carried.asked.1 + 1) } else { (offset, 1) };
        if carried.asked.1 > PATIENCE || offset >= carried.manifest.size.max(1) {
            let seq = carried.seq;
            let why = "the remote agent asks for the file again and again".to_owned();
            return self.settle(vec![seq], State::Rejected, Some(why), ctx);
        }
        carried.offset = Some(offset);
        carried.chunks.clear();
        self.carry_on(ctx);
    }

    /// A chunk was acknowledged.
    pub(super) fn chunk_taken(&mut self, chunk: &MessageId) {
        let Some(carried) = &mut self.carried else { return };
        carried.chunks.remove(chunk);
        let is_all = carried.offset == Some(carried.manifest.size) && carried.chunks.is_empty();
        if is_all && let Some(connection) = self.connection.as_ref().filter(|_| self.is_open) {
            carried.offset = None;
            connection.do_send(Write::Message(Box::new(carried.message.clone())));
        }
    }

    /// Reads the next chunk from the disk, and writes it.
    pub(super) fn carry_on(&mut self, ctx: &mut Context<Self>) {
        let Some(carried) = self.carried.as_mut().filter(|carried| !carried.is_reading && carried.chunks.len() < WINDOW) else { return };
        let Some(offset) = carried.offset.filter(|offset| *offset < carried.manifest.size) else { return };
        let (manifest, attempt, seq) = (carried.manifest.clone(), self.attempt, carried.seq);
        let Some(depot) = self.home.store.depot().cloned() else { return };
        carried.is_reading = true;
        let reading = tokio::task::spawn_blocking(move || depot.read_outgoing(&manifest, offset, CHUNK));
        ctx.spawn(reading.into_actor(self).map(move |read, act, ctx| {
            let is_same = |carried: &&mut Carried| carried.seq == seq && carried.offset == Some(offset);
            let Some(carried) = act.carried.as_mut().filter(|_| act.attempt == attempt).filter(is_same) else { return };
            carried.is_reading = false;
            let bytes = match read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error| error.to_string())) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let why = format!("the copy of the file that was to be sent cannot be read: {error}");
                    tracing::error!(lane = %act.lane.0.escape_debug(), %seq, %why, "a file is not sent");
                    return act.settle(vec![seq], State::DeadLetter, Some(why), ctx);
                }
            };
            carried.offset = Some(offset + bytes.len() as u64);
            let (id, thread_id) = (act.home.new_id(), carried.message.thread_id.clone().unwrap_or_default());
            carried.chunks.insert(id);
            let body = FileChunk { id: carried.manifest.id, offset, bytes }.to_body();
            if let Some(connection) = act.connection.as_ref().filter(|_| act.is_open) {
                connection.do_send(Write::Chunk { id, to: act.address.clone(), thread_id, body, content_type: Some(CHUNK_TYPE) });
            }
            act.work(ctx);
        }));
    }

    /// Removes copies that nobody needs any more.
    pub(super) fn drop_copies(&self, files: Vec<Manifest>, ctx: &mut Context<Self>) {
        let Some(depot) = self.home.store.depot().cloned().filter(|_| !files.is_empty()) else { return };
        let dropping = tokio::task::spawn_blocking(move || files.iter().for_each(|file| depot.drop_outgoing(file)));
        ctx.spawn(dropping.into_actor(self).map(|_, _, _| ()));
    }

    /// Takes the files whose messages are settled off the way.
    pub(super) fn put_down(&mut self, settled: &[Seq]) -> Vec<Manifest> {
        let queued = self.queue.iter().filter(|(seq, _)| settled.contains(seq)).filter_map(|(_, waiting)| announced(&waiting.message));
        let mut files: Vec<Manifest> = queued.collect();
        if let Some(carried) = self.carried.take_if(|carried| settled.contains(&carried.seq)) {
            files.push(carried.manifest);
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_file_is_sent_to_who_would_not_take_it() {
        let published = Card {
            name: "bob".to_owned(),
            description: None,
            public_key: String::new(),
            protocol_version: "0.1".to_owned(),
            capabilities: Vec::new(),
            accept_files: true,
            max_file_size: Some(10),
            max_message_size: None,
            connection_mode: None,
        };
        let unwilling = Card { accept_files: false, ..published.clone() };

        assert!(Files::of(&published, false).allow(1).is_err_and(|why| why.contains("of another kind")), "whatever it says of itself");
        assert!(Files::of(&unwilling, true).allow(1).is_err_and(|why| why.contains("does not accept files")));
        assert!(Files::of(&published, true).allow(11).is_err_and(|why| why.contains("at most 10")));
        assert_eq!(Files::of(&published, true).allow(10), Ok(()));
    }
}
