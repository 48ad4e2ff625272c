//! The only place that prints.
//!
//! Answers go to standard output, complaints to standard error. With `--json` an answer is one JSON value on one
//! line, and a complaint is one JSON object in the shape of the API's errors.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::failure::Failure;
use super::sanitize;

/// Where answers and complaints go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// How answers look.
    pub form: Form,
    /// Whether complaints may be coloured.
    pub colour: bool,
}

/// How answers look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// Words for people.
    Human,
    /// One JSON value on one line.
    Json,
}

impl Output {
    /// Says whether answers are JSON.
    pub const fn is_json(&self) -> bool {
        matches!(self.form, Form::Json)
    }

    /// Prints an answer in the form that was asked for. Neither form ends with a newline.
    pub fn answer(&self, json: impl FnOnce() -> Value, human: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.form {
            Form::Human => self.line(&human()),
            Form::Json => self.line(&sanitize::json(&json().to_string())),
        }
    }

    /// Prints a line of an answer as it is.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        self.raw(format!("{text}\n").as_bytes())
    }

    /// Prints bytes as they are.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Tells a person something beside the answer; a program does not get it.
    pub fn note(&self, text: &str) {
        if self.form == Form::Human {
            // If the terminal is gone there is nobody left to tell.
            drop(writeln!(io::stderr().lock(), "{text}"));
        }
    }

    /// Warns of something that did not keep the command from doing what it was asked for.
    pub fn warn(&self, text: &str) {
        let line = match self.form {
            Form::Human if self.colour => format!("\u{1b}[33mwarning:\u{1b}[0m {text}"),
            Form::Human => format!("warning: {text}"),
            Form::Json => sanitize::json(&json!({ "warning": text }).to_string()),
        };
        drop(writeln!(io::stderr().lock(), "{line}"));
    }

    /// Asks a question and returns the answer, without the newline.
    pub fn ask(&self, question: &str) -> Result<String, Failure> {
        let mut stderr = io::stderr().lock();
        write!(stderr, "{question} ")?;
        stderr.flush()?;
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Err(Failure::error("the input ended before the question was answered"));
        }
        Ok(line.trim().to_owned())
    }

    /// Prints why a command failed.
    pub fn complain(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        drop(writeln!(io::stderr().lock(), "{}", self.complaint(failure)));
    }

    fn complaint(&self, failure: &Failure) -> String {
        if self.form == Form::Json {
            let mut error = json!({ "message": failure.message, "exit": failure.code });
            if let Some(reason) = failure.reason {
                error["code"] = json!(reason.as_str());
            }
            if let Some(hint) = &failure.hint {
                error["hint"] = json!(hint);
            }
            if let Some((id, state)) = &failure.about {
                error["id"] = json!(id);
                error["state"] = json!(state.as_str());
            }
            return sanitize::json(&json!({ "error": error }).to_string());
        }
        let label = match (failure.plain, self.colour) {
            (true, _) => "",
            (false, false) => "error: ",
            (false, true) => "\u{1b}[31merror:\u{1b}[0m ",
        };
        let mut text = format!("{label}{}", failure.message);
        if let Some((id, state)) = &failure.about {
            text.push_str(&format!("\n  message {id} is {}", state.as_str()));
        }
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n  {hint}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use toq_api::MessageState;

    use super::*;

    #[test]
    fn a_complaint_has_a_label_and_a_hint() {
        let failure = Failure::error("it broke").hint("mend it");

        assert_eq!(Output { form: Form::Human, colour: false }.complaint(&failure), "error: it broke\n  mend it");
        assert_eq!(Output { form: Form::Human, colour: true }.complaint(&failure), "\u{1b}[31merror:\u{1b}[0m it broke\n  mend it");
    }

    #[test]
    fn a_sentence_of_its_own_has_no_label() {
        let text = Output { form: Form::Human, colour: true }.complaint(&Failure::not_running());

        assert_eq!(text, "toq is not running\n  Run `toq up` to start the daemon");
    }

    #[test]
    fn a_complaint_in_json_is_one_object_on_one_line() {
        let failure = Failure { about: Some(("m1".into(), MessageState::Accepted)), ..Failure::error("a\nb") };

        let text = Output { form: Form::Json, colour: true }.complaint(&failure);

        assert!(!text.contains('\n'));
        let json: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(json["error"]["message"], "a\nb");
        assert_eq!(json["error"]["state"], "accepted");
        assert_eq!(json["error"]["exit"], 1);
    }
}
