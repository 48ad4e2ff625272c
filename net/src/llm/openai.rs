//! OpenAI's chat completions, whole and streamed.

use serde::Deserialize;
use serde_json::{Value, json};
use toq_protocol::dialogue::{CLOSE_TOOL, CLOSE_TOOL_USE, Speaker};

use super::answer::Gathered;
use super::{Credential, LlmError, Manner, Question, Request, no_parameters};

pub(super) fn write(question: &Question<'_>, path: &str, credential: &Credential) -> Request {
    let prompt = question.prompt;
    let mut messages = vec![json!({"role": "system", "content": prompt.system})];
    messages.extend(prompt.spoken.iter().map(|line| {
        let role = if line.speaker == Speaker::Peer { "user" } else { "assistant" };
        json!({"role": role, "content": line.text})
    }));
    let mut body = json!({"model": question.model, "messages": messages});
    if prompt.may_close {
        let function = json!({"name": CLOSE_TOOL, "description": CLOSE_TOOL_USE, "parameters": no_parameters()});
        body["tools"] = json!([{"type": "function", "function": function}]);
    }
    if question.manner == Manner::Streamed {
        body["stream"] = Value::Bool(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    let mut headers = vec![("content-type", "application/json".to_owned())];
    if let Credential::Key(key) = credential {
        headers.push(("authorization", format!("Bearer {}", key.expose())));
    }
    Request { path: path.to_owned(), headers, body: body.to_string().into_bytes() }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    /// Of a whole answer.
    #[serde(default)]
    message: Option<Message>,
    /// Of a piece.
    #[serde(default)]
    delta: Option<Message>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

pub(super) fn read_whole(body: &[u8], gathered: &mut Gathered) -> Result<(), LlmError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|error| LlmError::Malformed(error.to_string()))?;
    read(reply, gathered)?;
    gathered.end();
    Ok(())
}

pub(super) fn read_event(event: &str, gathered: &mut Gathered) -> Result<(), LlmError> {
    if event.trim() == "[DONE]" {
        gathered.end();
        return Ok(());
    }
    let reply: Reply = serde_json::from_str(event).map_err(|error| LlmError::Malformed(error.to_string()))?;
    read(reply, gathered)
}

fn read(reply: Reply, gathered: &mut Gathered) -> Result<(), LlmError> {
    if let Some(error) = reply.error {
        return Err(gathered.failure(&error));
    }
    if let Some(tokens) = reply.usage {
        gathered.usage(Some(tokens.prompt_tokens), Some(tokens.completion_tokens));
    }
    let Some(choice) = reply.choices.into_iter().next() else { return Ok(()) };
    if let Some(message) = choice.message.or(choice.delta) {
        gathered.text(message.content.as_deref().unwrap_or_default())?;
        // Only the first piece of a call names its function; the others hold arguments, which no tool of ours has.
        for name in message.tool_calls.unwrap_or_default().into_iter().filter_map(|call| call.function?.name) {
            if !name.is_empty() {
                gathered.tool(&name)?;
            }
        }
    }
    if choice.finish_reason.is_some() {
        gathered.complete();
    }
    Ok(())
}
