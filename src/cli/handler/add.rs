//! Adds a handler.

use serde_json::{Map, Value, json};
use toq_config::handlers::{self, PROVIDERS};

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::sanitize;
use super::{failed, reload, warn};

/// Adds a handler: a command or a language model that reacts to messages
#[derive(Debug, clap::Args)]
pub struct Add {
    /// What it is called: lower-case letters, digits, - and _
    name: String,
    /// Runs this in a shell for each message
    #[arg(long, conflicts_with = "argv")]
    command: Option<String>,
    /// Runs this program with these arguments for each message, without a shell: -- PROGRAM ARGUMENTS
    #[arg(last = true, value_name = "PROGRAM")]
    argv: Vec<String>,
    /// Lets a language model answer: openai, anthropic, bedrock or ollama
    #[arg(long)]
    provider: Option<String>,
    /// The provider's model
    #[arg(long)]
    model: Option<String>,
    /// The system prompt
    #[arg(long)]
    prompt: Option<String>,
    /// A file with the system prompt
    #[arg(long, value_name = "PATH")]
    prompt_file: Option<String>,
    /// Answers this many messages of a conversation
    #[arg(long, value_name = "N")]
    max_turns: Option<u32>,
    /// Lets the model end a conversation
    #[arg(long)]
    auto_close: bool,
    /// Where the provider is, if not at its usual place: a server that speaks as OpenAI does
    #[arg(long, value_name = "URL", requires = "provider")]
    base_url: Option<String>,
    /// Where the key for that place is kept: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE", requires = "provider")]
    api_key_from: Option<String>,
    /// Sends long answers whole, and not as they are written
    #[arg(long, requires = "provider")]
    no_stream: bool,
    /// Lets the model answer this often in a day
    #[arg(long, value_name = "N", requires = "provider")]
    runs_per_day: Option<u64>,
    /// Lets the model read and write this many tokens in a day
    #[arg(long, value_name = "N", requires = "provider")]
    tokens_per_day: Option<u64>,
    /// Lets one peer have this many of the answers of a day
    #[arg(long, value_name = "N", requires = "provider")]
    peer_runs_per_day: Option<u64>,
    /// Lets one peer have this many runs in an hour
    #[arg(long, value_name = "N")]
    peer_runs_per_hour: Option<u64>,
    /// Lets one peer have this many of the tokens of a day
    #[arg(long, value_name = "N", requires = "provider")]
    peer_tokens_per_day: Option<u64>,
    /// Only messages from addresses that match this pattern and are proven, not only claimed; may be repeated
    #[arg(long, value_name = "PATTERN")]
    from: Vec<String>,
    /// Only messages with this key; may be repeated
    #[arg(long)]
    key: Vec<String>,
    /// Only messages of this type; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<String>,
    /// Sends the command's standard output as the answer: stdout
    #[arg(long, value_name = "WHAT")]
    reply: Option<String>,
    /// Ends a run after this many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Has this many runs at a time
    #[arg(long, value_name = "N")]
    concurrency: Option<u64>,
    /// Sets a message aside after this many attempts
    #[arg(long, value_name = "N")]
    max_attempts: Option<u64>,
    /// Gives the command this variable of the daemon's environment; may be repeated
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,
    /// Runs the command in this directory
    #[arg(long, value_name = "PATH")]
    cwd: Option<String>,
}

impl Add {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let name = self.name.clone();
        let values = self.values()?;
        let added = handlers::add(&desk.dir()?, &values).map_err(failed)?;
        reload(desk).await?;
        warn(desk, &name).await?;
        desk.output.answer(|| json!(added), || format!("Added handler '{}'", sanitize::name(&name)))
    }

    /// The keys of the definition.
    fn values(self) -> Result<Map<String, Value>, Failure> {
        let has_command = self.command.is_some() || !self.argv.is_empty();
        match (has_command, &self.provider) {
            (false, None) => return Err(Failure::error("specify --command for a shell handler or --provider for an LLM handler")),
            (true, Some(_)) => return Err(Failure::error("cannot use both --command and --provider")),
            (_, Some(provider)) if !PROVIDERS.contains(&provider.as_str()) => {
                return Err(Failure::error("provider must be openai, anthropic, bedrock, or ollama"));
            }
            (_, Some(_)) if self.model.is_none() => return Err(Failure::error("--model is required for LLM handlers")),
            _ => {}
        }
        let values = json!({
            "name": self.name,
            "command": self.command,
            "argv": self.argv,
            "provider": self.provider,
            "model": self.model,
            "prompt": self.prompt,
            "prompt_file": self.prompt_file,
            "max_turns": self.max_turns,
            "auto_close": self.auto_close.then_some(true),
            "base_url": self.base_url,
            "api_key": self.api_key_from,
            "stream": self.no_stream.then_some(false),
            "runs_per_day": self.runs_per_day,
            "tokens_per_day": self.tokens_per_day,
            "peer_runs_per_day": self.peer_runs_per_day,
            "peer_runs_per_hour": self.peer_runs_per_hour,
            "peer_tokens_per_day": self.peer_tokens_per_day,
            "filter_from": self.from,
            "filter_key": self.key,
            "filter_type": self.kind,
            "reply": self.reply,
            "timeout_s": self.timeout,
            "concurrency": self.concurrency,
            "max_attempts": self.max_attempts,
            "env": self.env,
            "cwd": self.cwd,
        });
        let mut values = values.as_object().cloned().unwrap_or_default();
        values.retain(|_, value| !value.is_null());
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::super::arguments::{Arguments, Command};
    use super::super::Action;
    use super::*;

    fn values(arguments: &[&str]) -> Result<Map<String, Value>, Failure> {
        let all = ["toq", "handler", "add"].iter().chain(arguments);
        match Arguments::try_parse_from(all).expect("it parses").command {
            Some(Command::Handler(handler)) => match handler.action {
                Action::Add(add) => add.values(),
                _ => panic!("it is an add"),
            },
            _ => panic!("it is a handler"),
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_the_published_words() {
        for (arguments, words) in [
            (&["x"][..], "specify --command for a shell handler or --provider for an LLM handler"),
            (&["x", "--command", "cat", "--provider", "openai"], "cannot use both --command and --provider"),
            (&["x", "--provider", "eliza"], "provider must be openai, anthropic, bedrock, or ollama"),
            (&["x", "--provider", "openai"], "--model is required for LLM handlers"),
        ] {
            assert_eq!(values(arguments).expect_err("refused").message, words);
        }
    }

    #[test]
    fn filters_may_be_repeated_and_a_program_needs_no_shell() {
        let values =
            values(&["x", "--from", "toq://a/*", "--from", "toq://b/*", "--type", "thread.close", "--", "cat", "-u"]).expect("valid");

        assert_eq!(Value::Object(values.clone())["filter_from"], json!(["toq://a/*", "toq://b/*"]));
        assert_eq!(Value::Object(values)["argv"], json!(["cat", "-u"]));
    }
}
