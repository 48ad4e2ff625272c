//! The handlers whose answers a language model writes.
//!
//! The model is shown the conversation with one peer and can do two things: answer, and close the thread. It is
//! never given a secret, a file, a tool of ours or another peer's words, so nothing that a message talks it into
//! reaches further than an answer to who talked. What it writes is searched for keys before it leaves.
//!
//! What an attacker would try besides: spend the operator's money (runs are counted on disk before they begin,
//! for each peer and for all), keep a conversation going for ever (turns are counted in the log), and use the
//! model's outages (a provider that fails is left alone, and messages wait).

mod history;
mod speech;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use toq_config::HandlerConfig;
use toq_net::llm::{Client, Endpoint, LlmError, Manner, Patience, Provider, Question, Settings, endpoint};
use toq_protocol::budget::Breaker;
use toq_protocol::dialogue::{Limits, Persona, Prompt, Turns};
use toq_vault::{Reference, Secret, read_private};

use crate::outbox::Lane;
use crate::workspace::WorkspaceError;

use super::purse::Purse;
use super::work::{Order, Reaction, RunError, Running, Work};
use history::Past;
use speech::Speech;

/// The largest prompt file, in bytes.
const MAX_PROMPT: u64 = 256 << 10;

/// Parts of the names of variables whose values are taken for secrets.
const SECRET_NAMES: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSPHRASE", "CREDENTIAL"];

/// What all LLM handlers of a workspace share.
#[derive(Debug)]
pub struct Models {
    dir: PathBuf,
    /// Any of them may be a secret, so none has a printable form.
    variables: Vec<(String, Secret)>,
    /// What must not leave in an answer.
    secrets: Vec<Secret>,
}

impl Models {
    /// Knows the workspace directory, and the environment in which keys and places are named.
    #[must_use]
    pub fn new(dir: PathBuf, variables: Vec<(String, String)>) -> Self {
        let is_secret = |name: &str| SECRET_NAMES.iter().any(|part| name.to_ascii_uppercase().contains(part));
        let of_variables = variables.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| Secret::new(value.trim()));
        let files = ["identity.key", "tls_key.pem", "api.token"].map(|name| dir.join("keys").join(name));
        let of_files = files.iter().filter_map(|path| read_private(path).ok().flatten());
        let of_files = of_files.filter_map(|bytes| Some(Secret::new(String::from_utf8(bytes).ok()?.trim())));
        let secrets = of_variables.chain(of_files).collect();
        let variables = variables.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Self { dir, variables, secrets }
    }

    /// Makes what an LLM handler does.
    ///
    /// # Errors
    /// In words, where its settings cannot work: an unknown provider, a missing key.
    pub fn work(self: &Arc<Self>, definition: &HandlerConfig) -> Result<Arc<dyn Work>, String> {
        let provider = Provider::parse(&definition.provider).ok_or("provider must be openai, anthropic, bedrock, or ollama")?;
        if definition.model.is_empty() {
            return Err("model is required for LLM handlers; name one with --model".to_owned());
        }
        let variable = |name: &str| self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.expose().to_owned());
        let read = |text: &String| Reference::parse(text).and_then(|found| found.read(&self.dir, &variable));
        let key = definition.api_key.as_ref().map(read).transpose().map_err(|error| format!("api_key: {error}"))?;
        let settings = Settings { provider, base_url: definition.base_url.as_deref(), key };
        let endpoint = endpoint(&settings, &variable).map_err(|error| error.to_string())?;
        let patience = Patience { first_byte: definition.timeout(), total: definition.timeout(), ..Patience::default() };
        let client = Client::new(patience);
        Ok(Arc::new(Llm(Arc::new(Asking { models: self.clone(), provider, endpoint, client, breaker: Mutex::default() }))))
    }
}

/// One LLM handler.
struct Llm(Arc<Asking>);

struct Asking {
    models: Arc<Models>,
    provider: Provider,
    endpoint: Endpoint,
    client: Client,
    breaker: Mutex<Breaker>,
}

impl Work for Llm {
    fn run(&self, order: Order) -> Running {
        let asking = self.0.clone();
        Box::pin(async move { asking.answer(&order).await })
    }
}

impl Asking {
    async fn answer(&self, order: &Order) -> Result<Reaction, RunError> {
        let definition = &order.definition;
        if let Some(pause) = self.breaker().pause(order.home.clock.monotonic()) {
            return Err(RunError::Postponed { reason: "the provider fails; it is left alone for a while".to_owned(), pause });
        }
        let past = Past::read(order)?;
        check_lane(order)?;
        let operator = self.prompt(definition)?;
        let turns = definition.turns();
        if !past.is_whole && turns != Turns::Unlimited {
            return Err(RunError::Hopeless("the thread is too long for its turns to be counted".to_owned()));
        }
        let persona = Persona { prompt: operator.as_deref(), turns, auto_close: definition.auto_close };
        let Some(prompt) = past.dialogue.prompt(persona, Limits::default()) else {
            tracing::debug!(handler = %definition.name, turn = past.dialogue.turn(), "the conversation is over; no answer");
            return Ok(Reaction::Nothing);
        };
        let purse = Purse::open(order)?;
        purse.begin_run(order).await?;
        let mut speech = Speech::new(order, self.secrets());
        let spoken = tokio::time::timeout(definition.timeout(), self.converse(order, &prompt, &mut speech)).await;
        let cost = speech.cost(&prompt);
        let spoken = spoken.unwrap_or(Err(LlmError::Timeout("the whole run")));
        purse.spend(order, cost).await;
        match spoken {
            Ok(()) => {
                self.breaker().succeed();
                // The answer is there; what is left is to commit it, which takes as long as it takes.
                speech.finish(&prompt).await
            }
            Err(error) => Err(self.failed(&error, order.home.clock.monotonic())),
        }
    }

    /// Asks and passes on what is answered.
    async fn converse(&self, order: &Order, prompt: &Prompt, speech: &mut Speech<'_>) -> Result<(), LlmError> {
        let manner = if order.definition.stream { Manner::Streamed } else { Manner::Whole };
        let question = Question { provider: self.provider, model: &order.definition.model, prompt, manner, now: order.home.wall() };
        let mut answer = self.client.ask(&self.endpoint, &question).await?;
        speech.listen(&mut answer).await
    }

    /// What follows from a failure: the same again later, nothing for this message, or nothing at all.
    fn failed(&self, error: &LlmError, now: Duration) -> RunError {
        if error.is_outage() {
            self.breaker().fail(now, error.retry_after());
        }
        let reason = error.to_string();
        match error {
            LlmError::BadRequest { status: 404, .. } => RunError::Broken(reason),
            LlmError::BadRequest { .. } => RunError::Hopeless(reason),
            error if !error.is_retryable() => RunError::Broken(reason),
            error => match error.retry_after() {
                Some(pause) => RunError::Delayed { reason, pause },
                None => RunError::Failed(reason),
            },
        }
    }

    /// The operator's prompt as it is now.
    fn prompt(&self, definition: &HandlerConfig) -> Result<Option<String>, RunError> {
        let Some(file) = &definition.prompt_file else { return Ok(definition.prompt.clone()) };
        // Beside the workspace's directory, which is where `toq up` is called.
        let path = self.models.dir.parent().unwrap_or(Path::new(".")).join(file);
        // Without its prompt a handler would say anything to anybody, so it rests instead.
        let broken = |why: &dyn std::fmt::Display| RunError::Broken(format!("prompt_file {}: {why}", path.display()));
        let length = std::fs::metadata(&path).map_err(|error| broken(&error))?.len();
        if length > MAX_PROMPT {
            return Err(broken(&format!("it is larger than {MAX_PROMPT} bytes")));
        }
        std::fs::read_to_string(&path).map(Some).map_err(|error| broken(&error))
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        self.models.secrets.iter().map(Secret::expose).chain(self.endpoint.credential().secrets())
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that would be set aside is not paid for.
fn check_lane(order: &Order) -> Result<(), RunError> {
    let (home, share) = (&order.home, order.home.config.limits.answers_per_address);
    let waiting = home.store.reader().lane_len(&Lane::of(&order.message.from).0, share);
    match waiting.map_err(|error| RunError::Failed(format!("the queue cannot be read: {error}")))? {
        waiting if waiting >= share => Err(RunError::Hopeless(WorkspaceError::LaneFull(share).to_string())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_environment_is_printed() {
        let variables = vec![("OPENAI_API_KEY".to_owned(), "canary-3f1c".to_owned()), ("PLAIN".to_owned(), "canary-9d2e".to_owned())];

        let shown = format!("{:?}", Models::new(PathBuf::from("/nowhere"), variables));

        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_handler_that_cannot_work_says_what_is_missing() {
        let models = Arc::new(Models::new(PathBuf::from("/nowhere"), Vec::new()));
        let why = |provider: &str, model: &str, api_key: Option<&str>| {
            let definition = HandlerConfig {
                provider: provider.to_owned(),
                model: model.to_owned(),
                api_key: api_key.map(str::to_owned),
                ..HandlerConfig::default()
            };
            models.work(&definition).err().unwrap_or_default()
        };

        assert!(why("openai", "m", None).contains("OPENAI_API_KEY is not set"));
        assert!(why("bedrock", "m", None).contains("AWS_ACCESS_KEY_ID is not set"));
        assert!(why("anthropic", "", None).contains("model is required"));
        assert!(why("openai", "m", Some("env:MY_KEY")).contains("MY_KEY is not set"));
        assert!(why("openai", "m", Some("canary-3f1c")).contains("env:NAME or file:PATH"));
        assert_eq!(why("ollama", "m", None), "");
    }
}
