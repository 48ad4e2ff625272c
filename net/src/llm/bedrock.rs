//! Amazon Bedrock's converse and converse-stream.

use serde::Deserialize;
use serde_json::{Value, json};
use toq_protocol::dialogue::{CLOSE_TOOL, CLOSE_TOOL_USE, Speaker};

use super::answer::Gathered;
use super::event_stream::Frame;
use super::sigv4::{Signable, amz_date, authorization, encode_path};
use super::{Credential, Endpoint, LlmError, MAX_TOKENS, Manner, Question, Request, no_parameters};

pub(super) fn write(question: &Question<'_>, endpoint: &Endpoint) -> Request {
    let prompt = question.prompt;
    let spoken = prompt.spoken.iter().map(|line| {
        let role = if line.speaker == Speaker::Peer { "user" } else { "assistant" };
        json!({"role": role, "content": [{"text": line.text}]})
    });
    let messages: Vec<Value> = spoken.collect();
    let mut body = json!({
        "modelId": question.model,
        "system": [{"text": prompt.system}],
        "messages": messages,
        "inferenceConfig": {"maxTokens": MAX_TOKENS},
    });
    if prompt.may_close {
        let spec = json!({"name": CLOSE_TOOL, "description": CLOSE_TOOL_USE, "inputSchema": {"json": no_parameters()}});
        body["toolConfig"] = json!({"tools": [{"toolSpec": spec}]});
    }
    let body = body.to_string().into_bytes();
    let action = if question.manner == Manner::Streamed { "converse-stream" } else { "converse" };
    // The model's name is one segment of the path, so a slash in it is encoded too.
    let path = format!("/model/{}/{action}", encode_path(question.model).replace('/', "%2F"));
    let mut headers = vec![("content-type", "application/json".to_owned())];
    if let Credential::Aws(keys) = endpoint.credential() {
        let date = amz_date(question.now);
        headers.push(("x-amz-date", date.clone()));
        headers.extend(keys.session.as_ref().map(|token| ("x-amz-security-token", token.expose().to_owned())));
        let (host, full_path) = (endpoint.base().authority(), endpoint.base().path(&path));
        let mut signed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        signed.push(("host", &host));
        signed.sort_unstable();
        let signable = Signable { method: "POST", path: &full_path, headers: &signed, body: &body, service: "bedrock" };
        let authorization = authorization(&signable, keys, &date);
        headers.push(("authorization", authorization));
    }
    Request { path, headers, body }
}

#[derive(Deserialize)]
struct Reply {
    output: Output,
    #[serde(default)]
    usage: Tokens,
}

#[derive(Deserialize)]
struct Output {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Vec<Block>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    tool_use: Option<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    /// Absent where the piece holds arguments.
    #[serde(default)]
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
}

/// The payloads of all frames that matter.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Piece {
    start: Option<Block>,
    delta: Option<Block>,
    usage: Tokens,
}

pub(super) fn read_whole(body: &[u8], gathered: &mut Gathered) -> Result<(), LlmError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|error| LlmError::Malformed(error.to_string()))?;
    gathered.usage(reply.usage.input_tokens, reply.usage.output_tokens);
    for block in reply.output.message.content {
        take(&block, gathered)?;
    }
    gathered.end();
    Ok(())
}

pub(super) fn read_frame(frame: &Frame<'_>, gathered: &mut Gathered) -> Result<(), LlmError> {
    if frame.message_type != "event" {
        let mut said: Value = serde_json::from_slice(frame.payload).unwrap_or(Value::Null);
        if !said.is_object() {
            said = json!({});
        }
        said["type"] = Value::from(frame.name);
        return Err(gathered.failure(&said));
    }
    let parse = || serde_json::from_slice::<Piece>(frame.payload).map_err(|error| LlmError::Malformed(error.to_string()));
    match frame.name {
        "contentBlockStart" | "contentBlockDelta" => {
            let piece = parse()?;
            for block in piece.start.iter().chain(&piece.delta) {
                take(block, gathered)?;
            }
        }
        "messageStop" => gathered.complete(),
        // The last frame, where there is one.
        "metadata" => {
            let piece = parse()?;
            gathered.usage(piece.usage.input_tokens, piece.usage.output_tokens);
            gathered.end();
        }
        _ => {}
    }
    Ok(())
}

fn take(block: &Block, gathered: &mut Gathered) -> Result<(), LlmError> {
    if let Some(name) = block.tool_use.as_ref().and_then(|tool| tool.name.as_deref()) {
        gathered.tool(name)?;
    }
    gathered.text(block.text.as_deref().unwrap_or_default())
}
