//! Asking language models.
//!
//! A provider's answer is a stranger's bytes. It would be endless, come a byte a minute, point elsewhere, call
//! tools that do not exist, or repeat the key it was sent in an error text. So nothing is followed, every step
//! has a deadline, everything has a limit that is looked at before memory is taken, and keys go only to the
//! place they were configured for ([`endpoint`]) and never into an error.
//!
//! [`Client::ask`] sends one [`Prompt`]; the [`Answer`] hands out pieces of text as they come and then what else
//! the model did. It decides nothing about retries, budgets or history.
//!
//! One file per provider: [`openai`](self) (with everything that speaks as it does), `ollama`, `anthropic`,
//! `bedrock`. They are pure: they write a request and read an answer.

mod answer;
mod anthropic;
mod bedrock;
pub mod endpoint;
mod error;
mod event_stream;
mod ollama;
mod openai;
mod settings;
mod sigv4;
mod sse;
mod transport;

use serde_json::Value;
use toq_protocol::dialogue::Prompt;
use toq_protocol::time::Timestamp;

pub use answer::{Answer, Completion, Part, Usage};
pub use endpoint::{AwsKeys, Base, Credential, Endpoint};
pub use error::LlmError;
pub use settings::{Settings, endpoint};
pub use transport::{Client, Patience};

/// The most tokens of one answer, where a provider wants to be told.
const MAX_TOKENS: u32 = 4096;

/// Who runs the model, and how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI's chat completions, or a server that speaks as they do: vLLM, llama.cpp, LM Studio.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Ollama, in OpenAI's manner.
    Ollama,
    /// Amazon Bedrock's converse.
    Bedrock,
}

impl Provider {
    /// Reads a provider's name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "openai" => Self::OpenAi,
            "anthropic" => Self::Anthropic,
            "ollama" => Self::Ollama,
            "bedrock" => Self::Bedrock,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
        }
    }
}

/// How an answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// In pieces, as the model writes them.
    Streamed,
    /// All at once.
    Whole,
}

/// One question to a model.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who runs the model.
    pub provider: Provider,
    /// The model's name.
    pub model: &'a str,
    /// What it is asked.
    pub prompt: &'a Prompt,
    /// How it shall answer.
    pub manner: Manner,
    /// The time, which AWS's signatures hold.
    pub now: Timestamp,
}

/// A request as it is sent, but for its place.
struct Request {
    /// The path below the base.
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Question<'_> {
    fn write(&self, endpoint: &Endpoint) -> Request {
        match self.provider {
            Provider::OpenAi => openai::write(self, "/chat/completions", endpoint.credential()),
            Provider::Ollama => ollama::write(self, endpoint.credential()),
            Provider::Anthropic => anthropic::write(self, endpoint.credential()),
            Provider::Bedrock => bedrock::write(self, endpoint),
        }
    }
}

/// The JSON schema of a tool without parameters.
fn no_parameters() -> Value {
    serde_json::json!({"type": "object", "properties": {}, "required": []})
}
