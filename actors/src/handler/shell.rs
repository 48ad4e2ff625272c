//! Shell handlers: a command for each message.
//!
//! What an attacker would try is in `toq_net::shell`. Here is which parts of a message the command gets: as environment
//! variables with fixed names, without NULs and of bounded length, and whole as JSON on its standard input.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toq_config::handlers::Reply;
use toq_net::shell::{Command, End, MAX_VALUE, Progress, Scribe, Source, run};
use toq_protocol::canonical::Json;

use super::purse::Purse;
use super::work::{Order, Reaction, RunError, Running, Work};
use super::workshop::Bench;

/// Variables of the daemon's environment that every command gets.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// A command for each message.
pub(super) struct Shell {
    bench: Arc<Bench>,
}

impl Shell {
    pub(super) const fn new(bench: Arc<Bench>) -> Self {
        Self { bench }
    }
}

impl Work for Shell {
    fn run(&self, order: Order) -> Running {
        let bench = self.bench.clone();
        Box::pin(async move { react(&bench, order).await })
    }
}

async fn react(bench: &Bench, order: Order) -> Result<Reaction, RunError> {
    let definition = order.definition.clone();
    Purse::open(&order)?.begin_run(&order).await?;
    let command = Command {
        supervisor: bench.program.clone(),
        program: definition.program(),
        environment: environment(bench, &order),
        cwd: cwd(&bench.dir, definition.cwd.as_deref()),
        lock: bench.lock(),
        input: input(&order),
        limit: definition.timeout(),
    };
    let home = order.home.clone();
    let mut log = Scribe::new(&bench.logs(), &definition.name);
    let (mut answer, mut is_whole) = (Vec::new(), true);
    let keeps_answer = definition.reply == Reply::Stdout;
    let note = |result: std::io::Result<()>| {
        if let Err(error) = result {
            tracing::warn!(handler = %definition.name, %error, "the output of a run is lost");
        }
    };
    let end = run(command, async |progress| match progress {
        Progress::Began(process) => {
            log.began(process);
            order.process.send_replace(Some(process));
        }
        Progress::Out(bytes) => {
            if keeps_answer {
                answer.extend_from_slice(&bytes);
            }
            note(log.take(Source::Out, bytes, home.wall()).await);
        }
        Progress::Err(bytes) => note(log.take(Source::Err, bytes, home.wall()).await),
        Progress::Full(source) => {
            is_whole = is_whole && source == Source::Err;
            note(log.take(source, b"\n[the rest of the output is not kept]\n".to_vec(), home.wall()).await);
        }
    })
    .await;
    let last = match &end {
        Ok(end) => format!("exited with status {end}"),
        Err(error) => format!("could not run: {error}"),
    };
    note(log.finish(last, home.wall()).await);
    match end {
        Ok(End::Exited(0)) if keeps_answer => answered(&answer, is_whole, home.config.max_message_size),
        Ok(End::Exited(0)) => Ok(Reaction::Nothing),
        Ok(End::TimedOut) => Err(RunError::Failed(format!("it took longer than {} s", definition.timeout().as_secs()))),
        Ok(end) => Err(RunError::Failed(end.to_string())),
        Err(error) => Err(RunError::Failed(format!("it could not run: {error}"))),
    }
}

/// The answer that a command wrote; none where it wrote nothing.
fn answered(output: &[u8], is_whole: bool, limit: usize) -> Result<Reaction, RunError> {
    let text = String::from_utf8_lossy(output);
    let text = text.trim_end_matches(['\n', '\r']);
    if !is_whole || Json::from_text(text).as_str().len() > limit {
        return Err(RunError::Failed("its answer is longer than a message may be".to_owned()));
    }
    if text.is_empty() {
        return Ok(Reaction::Nothing);
    }
    Ok(Reaction::Answer { text: text.to_owned(), close_thread: false, stream: None })
}

/// What a command reads: the message, and what this daemon knows of who sent it.
fn input(order: &Order) -> Vec<u8> {
    let mut event = order.message.to_event();
    event["verified"] = order.proof.is_proven().into();
    event["verified_by"] = order.proof.as_str().into();
    if let Some(is_bound) = order.is_bound {
        event["bound"] = is_bound.into();
    }
    Json::from_value(&event).as_str().as_bytes().to_vec()
}

/// Relative to the directory that holds the workspace.
fn cwd(dir: &Path, wanted: Option<&Path>) -> PathBuf {
    let base = dir.parent().unwrap_or(dir);
    wanted.map_or_else(|| base.to_owned(), |wanted| base.join(wanted))
}

/// The whole environment of a command.
fn environment(bench: &Bench, order: &Order) -> Vec<(String, String)> {
    let is_allowed = |name: &str| INHERITED.contains(&name) || order.definition.env.iter().any(|allowed| allowed == name);
    let inherited = bench.variables.iter().filter(|(name, _)| is_allowed(name)).cloned();
    let message = &order.message;
    let (text, is_cut) = value(&message.body.as_ref().and_then(Json::text).unwrap_or_default());
    let own = [
        ("TOQ_FROM", message.from.wire()),
        ("TOQ_VERIFIED", if order.proof.is_proven() { order.proof.as_str().to_owned() } else { String::new() }),
        ("TOQ_THREAD_ID", message.thread_id.clone().unwrap_or_default()),
        ("TOQ_TYPE", message.kind.as_str().to_owned()),
        ("TOQ_ID", message.id.to_string()),
        ("TOQ_HANDLER", order.definition.name.clone()),
        ("TOQ_ATTEMPT", order.attempt.to_string()),
        ("TOQ_URL", format!("http://127.0.0.1:{}/runs/{}", bench.api_port, order.token)),
    ];
    let mut variables: Vec<(String, String)> = inherited.collect();
    variables.extend(own.into_iter().map(|(name, text)| (name.to_owned(), value(&text).0)));
    variables.push(("TOQ_TEXT".to_owned(), text));
    if is_cut {
        variables.push(("TOQ_TEXT_TRUNCATED".to_owned(), "1".to_owned()));
    }
    variables
}

/// A value that the system takes: without NULs, cut where it is too long. True where it was cut.
fn value(text: &str) -> (String, bool) {
    let mut clean: String = text.chars().filter(|letter| *letter != '\0').collect();
    let is_cut = clean.len() > MAX_VALUE;
    let end = (0..=MAX_VALUE.min(clean.len())).rev().find(|end| clean.is_char_boundary(*end)).unwrap_or_default();
    clean.truncate(end);
    (clean, is_cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_no_nul_and_an_end() {
        assert_eq!(value("a\0b"), ("ab".to_owned(), false));
        assert!(!value(&"x".repeat(MAX_VALUE)).1);
        let (cut, is_cut) = value(&"ä".repeat(MAX_VALUE));
        assert!(is_cut && cut.len() <= MAX_VALUE && cut.chars().all(|letter| letter == 'ä'));
    }

    #[test]
    fn an_answer_is_what_was_written_without_the_last_newline() {
        let answer = |output: &[u8]| answered(output, true, 100);

        assert_eq!(answer(b"hi\nyou\n"), Ok(Reaction::Answer { text: "hi\nyou".to_owned(), close_thread: false, stream: None }));
        assert_eq!(answer(b"\n"), Ok(Reaction::Nothing));
        assert!(answer(&[b'x'; 101]).is_err());
        assert!(answered(b"cut", false, 100).is_err());
    }

    #[test]
    fn a_command_runs_beside_its_workspace() {
        let dir = Path::new("/home/me/project/.toq");

        assert_eq!(cwd(dir, None), Path::new("/home/me/project"));
        assert_eq!(cwd(dir, Some(Path::new("sub"))), Path::new("/home/me/project/sub"));
        assert_eq!(cwd(dir, Some(Path::new("/tmp"))), Path::new("/tmp"));
    }
}
