//! `handlers.toml`: what reacts to messages.
//!
//! What is here: the keys of a `[[handlers]]` table with their types and ranges, reading the file, and changing it
//! without losing what a person wrote into it. The published file is read and written as it is; keys that are ours
//! only are optional.
//!
//! What an attacker would try: a file that somebody else can write runs their code as us, so such a file is
//! refused; a handler's name becomes part of a file name, so it is short and plain.

mod edit;
mod effect;
mod file;
mod schema;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toq_protocol::budget::Budget;
use toq_protocol::dialogue::Turns;
use toq_protocol::filter::Filter;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::Pattern;

pub use edit::{HandlersError, add, remove, update};
pub use file::load;
pub(crate) use file::{parse, text};

/// The name of the file in a workspace directory.
pub const FILE: &str = "handlers.toml";

/// The providers of LLM handlers.
pub const PROVIDERS: [&str; 4] = ["openai", "anthropic", "bedrock", "ollama"];

/// One handler.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct HandlerConfig {
    /// What it is called: `[a-z0-9][a-z0-9_-]{0,62}`.
    pub name: String,
    /// A command for `sh -c`, as the operator wrote it; nothing of a message is ever put into it.
    pub command: String,
    /// A program and its arguments, without a shell.
    pub argv: Vec<String>,
    /// The provider of an LLM handler; it wins over a command.
    pub provider: String,
    /// The provider's model.
    pub model: String,
    /// The system prompt.
    pub prompt: Option<String>,
    /// A file with the system prompt.
    pub prompt_file: Option<String>,
    /// How many messages of a conversation are answered.
    pub max_turns: Option<u32>,
    /// Whether the model may end a conversation.
    pub auto_close: bool,
    /// Where the provider is, if not at its usual place.
    pub base_url: Option<String>,
    /// The key for that place: `env:NAME` or `file:PATH`, never the key itself.
    pub api_key: Option<String>,
    /// Whether long answers are sent as they are written.
    pub stream: bool,
    /// The most runs of a day (UTC).
    pub runs_per_day: Option<u64>,
    /// The most tokens of a day, in and out.
    pub tokens_per_day: Option<u64>,
    /// The most runs of a day for one peer.
    pub peer_runs_per_day: Option<u64>,
    /// The most tokens of a day for one peer.
    pub peer_tokens_per_day: Option<u64>,
    /// The most runs of an hour for one peer: 1,000 of a command and 100 of a model, unless set.
    pub peer_runs_per_hour: Option<u64>,
    /// Whether it reacts at all.
    pub enabled: bool,
    /// Address patterns, one of which must match the sender's address, which must be proven to be its own; none is any.
    pub filter_from: Vec<String>,
    /// Keys, one of which must be the sender's; none is any.
    pub filter_key: Vec<String>,
    /// Types, one of which must be the message's; none is messages and streams.
    pub filter_type: Vec<String>,
    /// What becomes of a command's standard output.
    pub reply: Reply,
    /// How long one run may take, in seconds: 60 for a command and 300 for a model, unless set.
    pub timeout_s: Option<u64>,
    /// How many runs there may be at a time.
    pub concurrency: usize,
    /// How often a message is tried before it is set aside.
    pub max_attempts: u32,
    /// How many automatic answers in a row may have led to a message that it still answers.
    pub max_auto_replies: u32,
    /// How often a peer may say the same on one thread within ten minutes and be answered.
    pub max_repeats: u32,
    /// Names of environment variables that a command gets from the daemon's environment beside the usual ones.
    pub env: Vec<String>,
    /// Where a command runs; relative to the directory that holds the workspace, which is the default.
    pub cwd: Option<PathBuf>,
}

/// What becomes of a command's standard output.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// It goes to the handler's log; the command answers by itself, if it wants to.
    #[default]
    None,
    /// It goes to the log, and to the sender as the answer.
    Stdout,
}

impl Default for HandlerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            command: String::new(),
            argv: Vec::new(),
            provider: String::new(),
            model: String::new(),
            prompt: None,
            prompt_file: None,
            max_turns: None,
            auto_close: false,
            base_url: None,
            api_key: None,
            stream: true,
            runs_per_day: None,
            tokens_per_day: None,
            peer_runs_per_day: None,
            peer_tokens_per_day: None,
            peer_runs_per_hour: None,
            enabled: true,
            filter_from: Vec::new(),
            filter_key: Vec::new(),
            filter_type: Vec::new(),
            reply: Reply::None,
            timeout_s: None,
            concurrency: 4,
            max_attempts: 3,
            max_auto_replies: toq_protocol::auto_reply::MAX_HOPS,
            max_repeats: toq_protocol::auto_reply::MAX_REPEATS,
            env: Vec::new(),
            cwd: None,
        }
    }
}

impl HandlerConfig {
    /// Says whether a language model answers, and not a command.
    #[must_use]
    pub const fn is_llm(&self) -> bool {
        !self.provider.is_empty()
    }

    /// Returns what the command is without its shell: the program and its arguments.
    #[must_use]
    pub fn program(&self) -> Vec<String> {
        if self.argv.is_empty() { vec!["sh".to_owned(), "-c".to_owned(), self.command.clone()] } else { self.argv.clone() }
    }

    /// Returns which messages it wants. What does not parse was refused when the handler was read.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter {
            from: self.filter_from.iter().map(|text| Pattern::new(text)).collect(),
            keys: self.filter_key.iter().filter_map(|text| PeerKey::parse(text).ok()).collect(),
            kinds: self.filter_type.iter().filter_map(|text| Filter::kind(text)).collect(),
        }
    }

    /// Returns how long one run may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let usual = if self.is_llm() { 300 } else { 60 };
        Duration::from_secs(self.timeout_s.unwrap_or(usual))
    }

    /// Returns what it may spend: what is set, else what is usual for its kind. [`u64::MAX`] is no limit.
    #[must_use]
    pub fn budget(&self) -> Budget {
        let mut budget = if self.is_llm() { Budget::default() } else { Budget::of_a_command() };
        for (set, limit) in [
            (self.runs_per_day, &mut budget.handler.runs),
            (self.tokens_per_day, &mut budget.handler.tokens),
            (self.peer_runs_per_day, &mut budget.peer.runs),
            (self.peer_tokens_per_day, &mut budget.peer.tokens),
            (self.peer_runs_per_hour, &mut budget.peer_hour),
        ] {
            *limit = set.unwrap_or(*limit);
        }
        budget
    }

    /// Returns how many turns of a conversation a model answers.
    #[must_use]
    pub const fn turns(&self) -> Turns {
        Turns::choose(self.max_turns, self.auto_close)
    }

    /// Returns how many automatic answers in a row may have led to a message that it still answers. Whoever names a
    /// number of turns wants them, also where the other side is a program: each turn is two answers.
    #[must_use]
    pub fn max_hops(&self) -> u32 {
        let turns = if self.is_llm() { self.max_turns.unwrap_or(0) } else { 0 };
        self.max_auto_replies.max(turns.saturating_mul(2))
    }
}

/// Says whether a text can name a handler: `[a-z0-9][a-z0-9_-]{0,62}`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let Some((first, rest)) = text.as_bytes().split_first() else { return false };
    text.len() <= 63 && plain(*first) && rest.iter().all(|&byte| plain(byte) || matches!(byte, b'_' | b'-'))
}
