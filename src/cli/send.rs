//! Sends a message: through the daemon where one runs, else from here.

mod at_rest;

use std::io::Read;
use std::time::Duration;

use serde_json::json;
use toq_api::{MessageState, SendRequest, SendResponse, Wait};

use super::desk::Desk;
use super::failure::Failure;
use super::{message, sanitize, state};

/// How long another process may have the workspace before a message is given up.
const LOCKED: Duration = Duration::from_secs(10);
/// How often to look whether it still has it.
const LOOK: Duration = Duration::from_millis(50);
/// How long to wait for the daemon beyond the time that it waits itself.
const MARGIN: Duration = Duration::from_secs(10);
/// The longest wait: a day is a mistake or a job for `toq listen`.
const LONGEST: u64 = 24 * 3600;

/// Sends a message to an agent
#[derive(Debug, clap::Args)]
pub struct Send {
    /// Who gets it: toq://host/agent
    address: String,
    /// The text, or - to read it from standard input
    #[arg(allow_hyphen_values = true)]
    message: String,
    /// Continues this conversation
    #[arg(long, value_name = "ID")]
    thread_id: Option<String>,
    /// Ends the conversation with this message
    #[arg(long)]
    close_thread: bool,
    /// Returns when the message is safe here, not when it is delivered
    #[arg(long, conflicts_with = "wait_reply")]
    no_wait: bool,
    /// Waits for the answer and prints it
    #[arg(long)]
    wait_reply: bool,
    /// How many seconds to wait
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    timeout: u64,
}

impl Send {
    /// Not inside of a runtime, because a workspace that is opened here brings its own.
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        let dir = desk.dir()?;
        let text = match self.message.as_str() {
            "-" => input()?,
            text => text.to_owned(),
        };
        let begun = super::now();
        loop {
            if let Some(state) = state::live(&dir)? {
                return desk.wait(self.hand_over(desk, state.port, text));
            }
            match at_rest::send(&self, desk, &text) {
                // Another command has the workspace, or a daemon that is starting.
                Err(at_rest::Refused::Locked(_)) if begun.elapsed() < LOCKED => desk.wait(async {
                    tokio::time::sleep(LOOK).await;
                    Ok(())
                })?,
                done => return done.map_err(Failure::from),
            }
        }
    }

    async fn hand_over(&self, desk: &Desk, port: u16, text: String) -> Result<(), Failure> {
        let client = desk.client_at(port)?.with_limit(Duration::from_secs(self.timeout) + MARGIN);
        let request = SendRequest {
            thread_id: self.thread_id.clone(),
            close_thread: self.close_thread,
            ..SendRequest::text(self.address.clone(), text)
        };
        let timeout = self.timeout.to_string();
        let query = [("wait", self.wait().as_str()), ("timeout", timeout.as_str())];
        let sent: SendResponse = client.post(&["v1", "messages"], &query, &request).await.map_err(failed)?;
        desk.output.answer(|| json!(sent), || words(&sent))
    }

    const fn wait(&self) -> Wait {
        match (self.no_wait, self.wait_reply) {
            (true, _) => Wait::Acceptance,
            (false, true) => Wait::Reply,
            (false, false) => Wait::Delivery,
        }
    }
}

fn words(sent: &SendResponse) -> String {
    let line = format!("Sent message {} (status: {})", sanitize::name(&sent.id), sent.status.as_str());
    match &sent.reply {
        Some(reply) => format!("{line}\n{}", message::words(reply)),
        None => line,
    }
}

fn failed(error: toq_api::ClientError) -> Failure {
    let failure = Failure::from(error).after("Send failed");
    match &failure.about {
        Some((_, MessageState::Accepted)) if failure.hint.is_none() => {
            failure.hint("It is stored and will be tried again until it expires")
        }
        _ => failure,
    }
}

/// Reads the text, without the newline that `echo` puts at its end.
pub fn input() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use toq_api::{ClientError, ErrorBody, ErrorCode};

    use super::*;

    #[test]
    fn a_sent_message_is_told_as_documented() {
        let sent: SendResponse = serde_json::from_value(json!({"id": "m1", "status": "delivered", "thread_id": "t", "timestamp": "T"}))
            .expect("the published answer is enough");

        assert_eq!(words(&sent), "Sent message m1 (status: delivered)");
    }

    #[test]
    fn a_message_that_is_still_tried_says_so() {
        let body = ErrorBody::new(ErrorCode::DeliveryTimeout, "no ack").about("m1", MessageState::Accepted);

        let failure = failed(ClientError::Api { status: 504, body });

        assert_eq!(failure.message, "Send failed: no ack");
        assert!(failure.hint.expect("there is one").contains("tried again"));
    }
}
