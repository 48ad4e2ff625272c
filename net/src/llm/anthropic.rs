//! Anthropic's messages, whole and streamed.

use serde::Deserialize;
use serde_json::{Value, json};
use toq_protocol::dialogue::{CLOSE_TOOL, CLOSE_TOOL_USE, Speaker};

use super::answer::Gathered;
use super::{Credential, LlmError, MAX_TOKENS, Manner, Question, Request, no_parameters};

/// The version of the API that this file was written for.
const VERSION: &str = "2023-06-01";

pub(super) fn write(question: &Question<'_>, credential: &Credential) -> Request {
    let prompt = question.prompt;
    let spoken = prompt.spoken.iter().map(|line| {
        let role = if line.speaker == Speaker::Peer { "user" } else { "assistant" };
        json!({"role": role, "content": line.text})
    });
    let messages: Vec<Value> = spoken.collect();
    let mut body = json!({"model": question.model, "max_tokens": MAX_TOKENS, "system": prompt.system, "messages": messages});
    if prompt.may_close {
        body["tools"] = json!([{"name": CLOSE_TOOL, "description": CLOSE_TOOL_USE, "input_schema": no_parameters()}]);
    }
    if question.manner == Manner::Streamed {
        body["stream"] = Value::Bool(true);
    }
    let mut headers = vec![("content-type", "application/json".to_owned()), ("anthropic-version", VERSION.to_owned())];
    if let Credential::Key(key) = credential {
        headers.push(("x-api-key", key.expose().to_owned()));
    }
    Request { path: "/v1/messages".to_owned(), headers, body: body.to_string().into_bytes() }
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Vec<Block>,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Default, Deserialize)]
struct Tokens {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Message,
    },
    ContentBlockStart {
        content_block: Block,
    },
    ContentBlockDelta {
        delta: Delta,
    },
    MessageDelta {
        #[serde(default)]
        usage: Tokens,
    },
    MessageStop,
    Error {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Delta {
    TextDelta {
        text: String,
    },
    #[serde(other)]
    Other,
}

pub(super) fn read_whole(body: &[u8], gathered: &mut Gathered) -> Result<(), LlmError> {
    let message: Message = serde_json::from_slice(body).map_err(|error| LlmError::Malformed(error.to_string()))?;
    gathered.usage(message.usage.input_tokens, message.usage.output_tokens);
    for block in message.content {
        take(&block, gathered)?;
    }
    gathered.end();
    Ok(())
}

pub(super) fn read_event(event: &str, gathered: &mut Gathered) -> Result<(), LlmError> {
    match serde_json::from_str(event).map_err(|error| LlmError::Malformed(error.to_string()))? {
        Event::MessageStart { message } => gathered.usage(message.usage.input_tokens, message.usage.output_tokens),
        Event::ContentBlockStart { content_block } => take(&content_block, gathered)?,
        Event::ContentBlockDelta { delta: Delta::TextDelta { text } } => gathered.text(&text)?,
        Event::MessageDelta { usage } => gathered.usage(usage.input_tokens, usage.output_tokens),
        Event::MessageStop => gathered.end(),
        Event::Error { error } => return Err(gathered.failure(&error)),
        Event::ContentBlockDelta { delta: Delta::Other } | Event::Other => {}
    }
    Ok(())
}

fn take(block: &Block, gathered: &mut Gathered) -> Result<(), LlmError> {
    match block {
        Block::Text { text } => gathered.text(text),
        Block::ToolUse { name } => gathered.tool(name),
        Block::Other => Ok(()),
    }
}
