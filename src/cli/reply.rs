//! Answers a message, from within the run of a handler.

use std::time::Duration;

use serde_json::json;
use toq_api::{Client, SendRequest, SendResponse};

use super::desk::Desk;
use super::failure::Failure;
use super::send::input;

/// How long the daemon may take to deliver the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers the message that a handler was started for
#[derive(Debug, clap::Args)]
pub struct Reply {
    /// The text, or - to read it from standard input, which is the default
    #[arg(default_value = "-", allow_hyphen_values = true)]
    text: String,
    /// Ends the conversation with this answer
    #[arg(long)]
    close_thread: bool,
    /// Returns when the answer is safe here, not when it is delivered
    #[arg(long)]
    no_wait: bool,
}

impl Reply {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let outside = || {
            Failure::error("there is no message to answer here").hint("`toq reply` works in the command of a handler; see `toq handler`")
        };
        let variable = |name: &str| desk.world.variable(name).ok_or_else(outside);
        let (url, from) = (variable("TOQ_URL")?, variable("TOQ_FROM")?);
        let text = if self.text == "-" { input()? } else { self.text };
        let client = Client::new(url)?.with_limit(PATIENCE);
        let request = SendRequest {
            thread_id: desk.world.variable("TOQ_THREAD_ID").map(str::to_owned),
            close_thread: self.close_thread,
            ..SendRequest::text(from.to_owned(), text)
        };
        let query = [("wait", if self.no_wait { "false" } else { "true" })];
        let sent: SendResponse =
            client.post(&["v1", "messages"], &query, &request).await.map_err(|error| Failure::from(error).after("Reply failed"))?;
        // A person's answer is nothing: what a handler's command prints may be an answer of its own.
        if desk.output.is_json() { desk.output.answer(|| json!(sent), String::new) } else { Ok(()) }
    }
}
