//! An answer on its way from the model to the peer.
//!
//! A short answer is one message, committed together with the confirmation of what it answers. One that comes in
//! pieces is streamed: the peer sees them as they come, and the whole is committed in the same way before the peer is told of the
//! end. Where the peer cannot be reached for a stream, or is lost in the middle of one, the whole answer goes the way of every message.

use std::pin::Pin;

use toq_net::llm::{Answer, Completion, LlmError, Part};
use toq_protocol::dialogue::redact::Redactor;
use toq_protocol::dialogue::{CLOSE_TOOL, Prompt};

use crate::handler::work::{Order, Reaction, RunError, Streamed};
use crate::workspace::{OpenStream, StreamChunk, Workspace};

/// How many bytes of text are a token where the provider counts none.
const BYTES_PER_TOKEN: u64 = 4;

/// A command to the workspace that is under way; its error is in words.
type Flight = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// How far a stream to the peer is.
#[derive(Debug, PartialEq, Eq)]
enum Stream {
    /// There is none yet, and may be one.
    Possible,
    /// It is open, or being opened.
    Open,
    /// It came to nothing; the answer is sent whole.
    Given,
}

/// An answer while it is being written.
pub(super) struct Speech<'a> {
    order: &'a Order,
    redactor: Redactor<'a>,
    /// All of it, redacted.
    text: String,
    /// What the peer's stream lacks of it.
    pending: String,
    pieces: usize,
    stream: Stream,
    flight: Option<Flight>,
    completion: Completion,
}

impl<'a> Speech<'a> {
    pub(super) fn new(order: &'a Order, secrets: impl Iterator<Item = &'a str>) -> Self {
        // Chunks belong to a thread; without one the answer opens its own.
        let is_possible = order.definition.stream && order.message.thread_id.is_some();
        Self {
            order,
            redactor: Redactor::new(secrets),
            text: String::new(),
            pending: String::new(),
            pieces: 0,
            stream: if is_possible { Stream::Possible } else { Stream::Given },
            flight: None,
            completion: Completion::default(),
        }
    }

    /// Takes in the whole answer; meanwhile the peer gets what there is of it.
    pub(super) async fn listen(&mut self, answer: &mut Answer) -> Result<(), LlmError> {
        loop {
            tokio::select! {
                landed = land(&mut self.flight), if self.flight.is_some() => self.landed(landed),
                part = answer.next() => match part? {
                    Part::Text(piece) => self.hear(&piece),
                    Part::Done(completion) => {
                        self.completion = completion;
                        let rest = self.redactor.finish();
                        self.say(&rest);
                        return Ok(());
                    }
                },
            }
            self.depart();
        }
    }

    /// What the answer comes to, once all of it is there.
    pub(super) async fn finish(&mut self, prompt: &Prompt) -> Result<Reaction, RunError> {
        if self.redactor.count() > 0 {
            tracing::warn!(handler = %self.order.definition.name, keys = self.redactor.count(), "a model wrote what looks like keys; they were taken out");
        }
        let close_thread = prompt.is_last || (prompt.may_close && self.completion.tools.iter().any(|tool| tool == CLOSE_TOOL));
        if let Some(tool) = self.completion.tools.iter().find(|tool| !prompt.may_close || *tool != CLOSE_TOOL) {
            tracing::warn!(handler = %self.order.definition.name, tool = %tool.escape_debug(), "a model called a tool that it was not offered");
        }
        if self.text.trim().is_empty() && !close_thread {
            return Err(RunError::Failed("the model's answer is empty".to_owned()));
        }
        if self.flight.is_some() {
            let patience = self.order.home.config.ack_timeout;
            let landed = tokio::time::timeout(patience, land(&mut self.flight)).await;
            self.landed(landed.unwrap_or_else(|_| Err("the last piece is not acknowledged".to_owned())));
        }
        let stream = (self.stream == Stream::Open).then(|| Streamed {
            stream_id: self.stream_id(),
            rest: Some(std::mem::take(&mut self.pending)).filter(|text| !text.is_empty()),
        });
        Ok(Reaction::Answer { text: std::mem::take(&mut self.text), close_thread, stream })
    }

    /// How many tokens it was, as the provider says or as the texts suggest.
    pub(super) fn cost(&self, prompt: &Prompt) -> u64 {
        let usage = self.completion.usage;
        let asked: usize = prompt.system.len() + prompt.spoken.iter().map(|line| line.text.len()).sum::<usize>();
        let tokens = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_PER_TOKEN + 1;
        match usage.input.saturating_add(usage.output) {
            0 => tokens(asked) + tokens(self.text.len()),
            said => said,
        }
    }

    fn hear(&mut self, piece: &str) {
        self.pieces += 1;
        let clean = self.redactor.push(piece);
        self.say(&clean);
    }

    fn say(&mut self, text: &str) {
        self.text.push_str(text);
        if self.stream != Stream::Given {
            self.pending.push_str(text);
        }
    }

    /// Sends what is pending, if nothing else is under way. An answer of one piece is no stream.
    fn depart(&mut self) {
        if self.flight.is_some() || self.pending.is_empty() || self.pieces < 2 {
            return;
        }
        let workspace = self.order.workspace.clone();
        let stream_id = self.stream_id();
        match self.stream {
            Stream::Possible => {
                self.stream = Stream::Open;
                let (to, thread_id) = (self.order.message.from.clone(), self.order.message.thread_id.clone());
                let open = OpenStream { to, thread_id, stream_id: Some(stream_id), only: self.order.peer };
                self.flight = Some(Box::pin(ask(workspace, open)));
            }
            Stream::Open => {
                let text = std::mem::take(&mut self.pending);
                self.flight = Some(Box::pin(ask(workspace, StreamChunk { stream_id, text })));
            }
            Stream::Given => {}
        }
    }

    fn landed(&mut self, landed: Result<(), String>) {
        if let Err(error) = landed {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, why: &str) {
        tracing::info!(handler = %self.order.definition.name, %why, "an answer cannot be streamed; it is sent whole");
        self.stream = Stream::Given;
        self.pending.clear();
    }

    fn stream_id(&self) -> String {
        format!("{}.{}.{}", self.order.definition.name, self.order.message.id, self.order.attempt)
    }
}

async fn land(flight: &mut Option<Flight>) -> Result<(), String> {
    let Some(flying) = flight else { return Ok(()) };
    let landed = flying.await;
    *flight = None;
    landed
}

async fn ask<M, T, E>(workspace: actix::Addr<Workspace>, command: M) -> Result<(), String>
where
    M: actix::Message<Result = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: std::fmt::Display + Send + 'static,
    Workspace: actix::Handler<M>,
{
    match workspace.send(command).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
