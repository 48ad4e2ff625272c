//! What reacts to messages: handlers, their state, and what they gave up.
//!
//! A handler is added and changed with a JSON object of its keys; see `docs/operations.md` for the list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::message::MessageEvent;

/// The answer of `GET /v1/handlers`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct HandlersResponse {
    /// The handlers, in the order of their file.
    pub handlers: Vec<HandlerView>,
}

/// One handler.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct HandlerView {
    /// What it is called.
    pub name: String,
    /// The command of a shell handler, else empty.
    pub command: String,
    /// The provider of an LLM handler, else empty.
    pub provider: String,
    /// The provider's model, else empty.
    pub model: String,
    /// Whether it reacts at all.
    pub enabled: bool,
    /// How many runs there are.
    pub active: u64,
    /// Address patterns, one of which must match the sender's address, which must be proven to be its own; none is any.
    pub filter_from: Vec<String>,
    /// Keys, one of which must be the sender's; none is any.
    pub filter_key: Vec<String>,
    /// Which of those keys their agents have replaced since, and by which. The handler follows: each still means its agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced_keys: Vec<ReplacedKey>,
    /// Types, one of which must be the message's; none is messages and streams.
    pub filter_type: Vec<String>,
    /// The program and its arguments, where it runs without a shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// The system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A file with the system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_file: Option<String>,
    /// How many messages of a conversation a model answers; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Whether the model may end a conversation.
    #[serde(default)]
    pub auto_close: bool,
    /// Where the provider is, if not at its usual place; without a password that may have been in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Where the provider's key is kept: `env:NAME` or `file:PATH`, never the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Whether a model's long answers are sent as they are written.
    #[serde(default)]
    pub stream: bool,
    /// The most runs of a day (UTC); this and the other limits are as they take effect, and absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_per_day: Option<u64>,
    /// The most tokens of a day, in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// The most runs of a day for one peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_runs_per_day: Option<u64>,
    /// The most tokens of a day for one peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_tokens_per_day: Option<u64>,
    /// The most runs of an hour for one peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_runs_per_hour: Option<u64>,
    /// How often a peer may say the same on one thread within ten minutes and be answered.
    #[serde(default)]
    pub max_repeats: u32,
    /// How many automatic answers in a row may have led to a message that it still answers.
    #[serde(default)]
    pub max_auto_replies: u32,
    /// Names of variables that a command gets from the daemon's environment beside the usual ones. Their values are not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Where a command runs; beside the workspace if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// `none`, or `stdout` where a command's standard output is the answer.
    #[serde(default)]
    pub reply: String,
    /// How long one run may take, in seconds.
    #[serde(default)]
    pub timeout_s: u64,
    /// How many runs there may be at a time.
    #[serde(default)]
    pub concurrency: u64,
    /// How often a message is tried before it is set aside.
    #[serde(default)]
    pub max_attempts: u32,
    /// `working`, `paused`, `broken` or `disabled`.
    #[serde(default)]
    pub state: String,
    /// Why it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The process ids of its runs.
    #[serde(default)]
    pub pids: Vec<u32>,
    /// How many messages it has not confirmed.
    #[serde(default)]
    pub pending: u64,
    /// How many messages were set aside.
    #[serde(default)]
    pub set_aside: u64,
}

/// A key that an agent had, and the one that it has now.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ReplacedKey {
    /// The key in the filter.
    pub key: String,
    /// The key that the agent has now, proven by both.
    pub current: String,
}

/// The answer to a change of the handlers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct HandlerChanged {
    /// Which handler; absent where all are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `added`, `updated`, `removed`, `reloaded`, `paused` or `resumed`.
    pub status: String,
    /// Why it does not work though it is switched on; absent where nothing keeps it from working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// What handlers that were removed leave behind; absent where there is nothing. The messages stay in the history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<HandlerLeft>,
}

/// What a handler that was removed leaves behind.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct HandlerLeft {
    /// Which handler.
    pub name: String,
    /// How many messages waited or were being handled.
    pub unhandled: u64,
    /// How many it had set aside.
    pub set_aside: u64,
}

/// The body of `POST /v1/handlers/stop`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StopHandlerRequest {
    /// Which handler.
    pub name: String,
    /// Which of its processes; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// The answer of `POST /v1/handlers/stop`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct StopHandlerResponse {
    /// Which handler.
    pub name: String,
    /// How many runs were ended.
    pub stopped: u64,
}

/// The body of `POST /v1/handlers/{name}/retry`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The ids of the messages; all that were set aside if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
}

/// The answer of `POST /v1/handlers/{name}/retry`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RetryResponse {
    /// Which handler.
    pub name: String,
    /// How many messages it tries again.
    pub retried: u64,
}

/// The answer of `GET /v1/handlers/{name}/set-aside`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct SetAsideResponse {
    /// What was given up, oldest first.
    pub messages: Vec<SetAside>,
}

/// A message that a handler failed on too often.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct SetAside {
    /// The message.
    pub message: MessageEvent,
    /// Why it was given up.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub timestamp: String,
}
