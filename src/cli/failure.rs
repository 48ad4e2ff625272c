//! Why a command did not do what it was asked for, and the exit code that says so.

use std::fmt;
use std::io;

use toq_api::{ClientError, ErrorCode, MessageState};
use toq_config::{ConfigError, Fault, Place};

use super::sanitize;

/// Something went wrong.
pub const ERROR: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// A daemon runs here already; what a supervisor knows as a temporary failure.
pub const RUNNING: u8 = 75;
/// The configuration cannot be used.
pub const CONFIGURATION: u8 = 78;

/// Why a command failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What went wrong, in one sentence; empty if it was said already or there is nobody to tell.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The daemon's code for it.
    pub reason: Option<ErrorCode>,
    /// The message that was accepted nevertheless, and where it stands.
    pub about: Option<(String, MessageState)>,
    /// Whether the message is a sentence of its own instead of one that needs `error:` before it.
    pub plain: bool,
}

impl Failure {
    /// Makes a failure that is shown behind `error:`.
    pub fn error(message: impl Into<String>) -> Self {
        Self { code: ERROR, message: message.into(), hint: None, reason: None, about: None, plain: false }
    }

    /// Makes a failure that is shown in its own words.
    pub fn told(message: impl Into<String>) -> Self {
        Self { plain: true, ..Self::error(message) }
    }

    /// Makes a failure that shows nothing.
    pub fn silent(code: u8) -> Self {
        Self { code, ..Self::told("") }
    }

    /// Nothing is set up where the command looked.
    pub fn no_setup() -> Self {
        Self::told("Setup not complete").hint("Run `toq init` to create a workspace, or `toq setup` for guided setup")
    }

    /// No daemon runs for this workspace.
    pub fn not_running() -> Self {
        Self::told("toq is not running").hint("Run `toq up` to start the daemon")
    }

    /// Sets another exit code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says first what was tried, unless the reason is that there is no daemon to try it with.
    #[must_use]
    pub fn after(mut self, attempt: &str) -> Self {
        if self.message != Self::not_running().message {
            self.message = format!("{attempt}: {}", self.message);
            self.plain = true;
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotRunning => Self::not_running(),
            ClientError::Api { body, .. } => Self {
                // The daemon may quote what a peer said.
                hint: body.error.hint.as_deref().map(sanitize::text),
                reason: Some(body.error.code),
                about: body.error.id.map(|id| sanitize::name(&id)).zip(body.error.state),
                ..Self::error(sanitize::text(&body.error.message))
            },
            other => Self::error(chain(&other)),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let code = match &error {
            ConfigError::Missing(_) => return Self::no_setup(),
            ConfigError::Fault(fault) if fault.place == Place::Argument => ERROR,
            ConfigError::Fault(_) => CONFIGURATION,
            _ => ERROR,
        };
        let failure = Self::error(sanitize::text(&chain(&error))).code(code);
        match &error {
            ConfigError::Fault(Fault { place: Place::File { path, .. }, key, .. })
                if !key.is_empty() && path.file_name().is_some_and(|name| name == toq_config::FILE) =>
            {
                failure.hint(format!("Mend it in the file, or take it out: `toq config unset {}`", sanitize::name(key)))
            }
            _ => failure,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever reads our output has seen enough, as in `toq messages | head`.
            io::ErrorKind::BrokenPipe => Self::silent(0),
            _ => Self::error(error.to_string()),
        }
    }
}

/// Returns an error and everything that led to it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use toq_api::ErrorBody;

    use super::*;

    #[test]
    fn what_the_daemon_says_is_shown_and_made_harmless() {
        let body = ErrorBody::new(ErrorCode::Rejected, "refused: \u{1b}[2J").about("m1", MessageState::Rejected);

        let failure = Failure::from(ClientError::Api { status: 502, body }).after("Send failed");

        assert_eq!(failure.message, "Send failed: refused: \\u{1b}[2J");
        assert_eq!(failure.about, Some(("m1".into(), MessageState::Rejected)));
        assert_eq!(failure.code, ERROR);
    }

    #[test]
    fn a_daemon_that_is_not_there_is_always_told_the_same_way() {
        let failure = Failure::from(ClientError::NotRunning).after("Send failed");

        assert_eq!(failure, Failure::not_running());
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).code, 0);
    }
}
