//! A message that is sent while no daemon runs.

use std::time::Duration;

use serde_json::json;
use toq_api::{MessageState, SendResponse, SendStatus};
use toq_http::refusal::{Explained, explain};
use toq_protocol::address::Address;
use toq_protocol::reason::Reason;
use toq_store::record::State;

use super::super::desk::Desk;
use super::super::failure::{Failure, RUNNING};
use super::super::sanitize;
use super::super::takeover;
use super::Send;
use crate::daemon::DaemonError;
use crate::daemon::errand::{self, Errand, ErrandError};

/// Why a message was not sent.
pub enum Refused {
    /// Another process has the workspace for now.
    Locked(Failure),
    /// For good.
    Failed(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Locked(failure) | Refused::Failed(failure) => failure,
        }
    }
}

/// Sends a message from here. Where it cannot be delivered now it stays in the workspace, and this says so.
pub fn send(command: &Send, desk: &Desk, text: &str) -> Result<(), Refused> {
    if command.wait_reply {
        return Err(Failure::not_running()
            .hint("An answer comes in only while the daemon runs: `toq up`, or send without --wait-reply")
            .into());
    }
    let to = Address::parse_strict(&command.address)
        .map_err(|error| Failure::told(format!("Send failed: {error}")).hint("An address looks like toq://host:port/agent"))?;
    let shown = sanitize::name(&command.address);
    let loaded = desk.loaded(&[])?;
    takeover::run(desk, &loaded)?;
    let errand = Errand {
        to: to.clone(),
        text: text.to_owned(),
        thread_id: command.thread_id.clone(),
        close_thread: command.close_thread,
        patience: (!command.no_wait).then_some(Duration::from_secs(command.timeout)),
    };
    let connecting = || {
        if !command.no_wait && !desk.output.is_json() {
            // If nobody reads it, the message matters all the same.
            let _gone = desk.output.line(&format!("Connecting to {shown}..."));
        }
    };
    let run = errand::run(&loaded, errand, connecting).map_err(|error| {
        let failure = Failure::error(sanitize::text(&error.to_string()));
        match error {
            ErrandError::TooLarge(Explained { hint, .. }) => {
                Refused::Failed(Failure { hint: hint.map(str::to_owned), ..failure.after("Send failed") })
            }
            ErrandError::Closed(DaemonError::Running) => Refused::Locked(failure.code(RUNNING)),
            ErrandError::Closed(error) => Refused::Failed(failure.code(error.exit_code())),
            ErrandError::Untaken(_) => Refused::Failed(failure.after("Send failed")),
        }
    })?;
    let id = run.message.id.to_string();
    let response = |status, state| SendResponse {
        id: id.clone(),
        status,
        state: Some(state),
        thread_id: run.message.thread_id.clone(),
        timestamp: run.message.timestamp.to_string(),
        reply: None,
    };
    let agent = to.agent();
    match run.state.state {
        State::Delivered => desk.output.answer(
            || json!(response(SendStatus::Delivered, MessageState::Delivered)),
            || format!("connected to {agent} ({shown})\nSent message {id}\nAck received"),
        )?,
        State::Accepted if command.no_wait => {
            desk.output.note("toq is not running: the message goes out with the next `toq up` or `toq send`");
            desk.output
                .answer(|| json!(response(SendStatus::Queued, MessageState::Accepted)), || format!("Sent message {id} (status: queued)"))?;
        }
        State::Accepted => {
            let why = run.state.reason.unwrap_or_else(|| format!("no ack received within {} s", command.timeout));
            let explained = explain(&why);
            // What waits for an approval is kept here anyway.
            let is_asked = why.starts_with(Reason::PendingApproval.as_str());
            let advice = explained.hint.filter(|_| !is_asked).map(|hint| format!("; {hint}")).unwrap_or_default();
            let mut failure = Failure::told(format!("Send failed: {}{advice}", sanitize::text(&explained.message)))
                .hint("It is kept here and goes out with the next `toq up` or `toq send`, until it expires");
            failure.about = Some((id, MessageState::Accepted));
            return Err(failure.into());
        }
        ended => {
            let why = run.state.reason.unwrap_or_else(|| ended.as_str().to_owned());
            let explained = explain(&why);
            let mut failure = Failure::told(format!("Send failed: {}", sanitize::text(&explained.message)));
            failure.hint = explained.hint.map(str::to_owned);
            let state = serde_json::from_value(json!(ended.as_str())).unwrap_or(MessageState::DeadLetter);
            failure.about = Some((id, state));
            return Err(failure.into());
        }
    }
    Ok(())
}
