//! What a model answers: text in pieces, then tools and tokens.

use std::collections::VecDeque;

use serde_json::Value;
use toq_protocol::dialogue::redact::redact;

use super::event_stream::Frames;
use super::sse::Events;
use super::transport::Exchange;
use super::{LlmError, Provider, anthropic, bedrock, openai};

/// The most text of one answer, in bytes: a long chapter, and a quarter of the largest message.
const MAX_TEXT: usize = 256 << 10;

/// The most calls of tools in one answer.
const MAX_TOOLS: usize = 8;

/// The longest name of a tool.
const MAX_TOOL_NAME: usize = 128;

/// The most of a server's own words that an error repeats, in characters.
const MAX_SAID: usize = 200;

/// How many tokens an answer cost, as far as the provider says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the question.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
}

/// What there is at the end of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The tools that the model called, by name. It may call what it was not offered.
    pub tools: Vec<String>,
    /// What it cost.
    pub usage: Usage,
}

/// What an answer says next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A piece of text, never empty.
    Text(String),
    /// The end; nothing follows.
    Done(Completion),
}

/// An answer that is being written.
#[derive(Debug)]
pub struct Answer {
    exchange: Exchange,
    reading: Reading,
    gathered: Gathered,
}

#[derive(Debug)]
enum Reading {
    Whole(Provider, Vec<u8>),
    Events(Provider, Events),
    Frames(Frames),
}

impl Answer {
    /// Begins to read what a provider answered with success; its content type says in which form.
    pub(super) fn new(provider: Provider, exchange: Exchange, content_type: &str) -> Self {
        let is = |kind: &str| content_type.trim_start().get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind));
        let reading = if is("text/event-stream") && provider != Provider::Bedrock {
            Reading::Events(provider, Events::default())
        } else if is("application/vnd.amazon.eventstream") && provider == Provider::Bedrock {
            Reading::Frames(Frames::default())
        } else {
            Reading::Whole(provider, Vec::new())
        };
        Self { exchange, reading, gathered: Gathered::default() }
    }

    /// Waits for what comes next. After [`Part::Done`] and after an error there is nothing more.
    ///
    /// # Errors
    /// [`LlmError`] where the answer breaks off, takes too long, is over a limit or cannot be read.
    pub async fn next(&mut self) -> Result<Part, LlmError> {
        loop {
            if let Some(text) = self.gathered.ready.pop_front() {
                return Ok(Part::Text(text));
            }
            if self.gathered.stage == Stage::Ended {
                return Ok(Part::Done(std::mem::take(&mut self.gathered.completion)));
            }
            match self.exchange.read().await? {
                Some(bytes) => self.take(&bytes)?,
                None => self.end()?,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), LlmError> {
        let gathered = &mut self.gathered;
        match &mut self.reading {
            Reading::Whole(_, body) => {
                // The exchange bounds what it hands out.
                body.extend_from_slice(bytes);
                Ok(())
            }
            Reading::Events(Provider::Anthropic, events) => events.feed(bytes, &mut |event| anthropic::read_event(event, gathered)),
            Reading::Events(_, events) => events.feed(bytes, &mut |event| openai::read_event(event, gathered)),
            Reading::Frames(frames) => frames.feed(bytes, &mut |frame| bedrock::read_frame(frame, gathered)),
        }
    }

    fn end(&mut self) -> Result<(), LlmError> {
        match &self.reading {
            Reading::Whole(Provider::OpenAi | Provider::Ollama, body) => openai::read_whole(body, &mut self.gathered),
            Reading::Whole(Provider::Anthropic, body) => anthropic::read_whole(body, &mut self.gathered),
            Reading::Whole(Provider::Bedrock, body) => bedrock::read_whole(body, &mut self.gathered),
            Reading::Events(..) | Reading::Frames(_) if self.gathered.stage == Stage::Open => {
                Err(LlmError::Malformed("the stream ended before the answer did".to_owned()))
            }
            Reading::Events(..) | Reading::Frames(_) => {
                self.gathered.end();
                Ok(())
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// More is to come.
    #[default]
    Open,
    /// The model is done; how much it cost may follow.
    Complete,
    /// Nothing follows.
    Ended,
}

/// What has come of an answer.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    ready: VecDeque<String>,
    bytes: usize,
    completion: Completion,
    stage: Stage,
}

impl Gathered {
    pub(super) fn text(&mut self, text: &str) -> Result<(), LlmError> {
        self.bytes += text.len();
        if self.bytes > MAX_TEXT {
            return Err(LlmError::TooLarge("its text"));
        }
        if !text.is_empty() {
            self.ready.push_back(text.to_owned());
        }
        Ok(())
    }

    pub(super) fn tool(&mut self, name: &str) -> Result<(), LlmError> {
        if self.completion.tools.len() == MAX_TOOLS || name.len() > MAX_TOOL_NAME {
            return Err(LlmError::TooLarge("its calls of tools"));
        }
        self.completion.tools.push(name.to_owned());
        Ok(())
    }

    pub(super) fn usage(&mut self, input: Option<u64>, output: Option<u64>) {
        let usage = &mut self.completion.usage;
        usage.input = input.unwrap_or(usage.input);
        usage.output = output.unwrap_or(usage.output);
    }

    pub(super) fn complete(&mut self) {
        self.stage = self.stage.max(Stage::Complete);
    }

    pub(super) fn end(&mut self) {
        self.stage = Stage::Ended;
    }

    /// The error that a provider tells of inside an answer that began well.
    pub(super) fn failure(&self, error: &Value) -> LlmError {
        let kind = error.get("type").or_else(|| error.get("code")).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let said = said(error, std::iter::empty());
        if kind.contains("rate_limit") || kind.contains("throttling") {
            LlmError::RateLimited { retry_after: None }
        } else if kind.contains("invalid_request") || kind.contains("validation") {
            LlmError::BadRequest { status: 200, said }
        } else {
            LlmError::Overloaded { status: 200, said, retry_after: None }
        }
    }
}

/// A server's own words for an error, cut, without keys and control characters.
pub(super) fn said<'a>(body: &Value, secrets: impl Iterator<Item = &'a str>) -> String {
    let error = body.get("error").unwrap_or(body);
    let message = error.get("message").or_else(|| error.get("Message")).unwrap_or(error);
    let text = message.as_str().unwrap_or("no reason given");
    let clean = redact(text, secrets);
    clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SAID).collect()
}
