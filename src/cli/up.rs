//! Starts the daemon.
//!
//! In the background it is this program once more, in a session of its own, with its output in `logs/start.log`. The
//! command returns when the daemon answers, or says why there is none: a taken port must not be something that
//! one finds in a log an hour later.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::json;
use toq_api::ClientError;
use toq_config::{Adapter, ConfigError, Loaded};
use toq_kit::Clock;
use toq_protocol::time::Timestamp;

use super::desk::Desk;
use super::failure::{CONFIGURATION, ERROR, Failure, RUNNING};
use super::identity;
use super::sanitize;
use super::state::{self, State};
use super::takeover;
use crate::backup::{BackupFailure, apply, stage};
use crate::daemon::{self, Surroundings};

/// How long a start may take: opening a large log after a crash is the slowest part.
const START: Duration = Duration::from_secs(30);
/// How often to look whether the daemon is there yet.
const LOOK: Duration = Duration::from_millis(25);
/// How much of the log is shown when a start fails without saying why.
const TAIL: usize = 5;

/// Starts the agent's daemon
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Stays in the foreground and shows messages as they arrive
    #[arg(long)]
    foreground: bool,
    /// Sets a configuration key for this run only
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    overrides: Vec<(String, String)>,
    /// Makes a new identity key where the old one is lost; to everybody else this is another agent
    #[arg(long)]
    new_identity: bool,
    /// Leaves the terminal; how a background daemon is started
    #[arg(long, hide = true, requires = "foreground")]
    detached: bool,
}

impl Up {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        if self.detached {
            // Works because this process was started by another toq and leads no group of its own yet.
            rustix::process::setsid().map_err(|error| Failure::error(format!("cannot leave the terminal: {error}")))?;
        }
        Self::finish_import(&desk.located()?.dir)?;
        let loaded = self.loaded(desk)?;
        if let Some(state) = state::live(&loaded.dir)?
            && state::is_toq(state.pid)
        {
            let text = format!("toq appears to be running (PID {})", state.pid);
            return Err(Failure::told(text).code(RUNNING).hint("Run `toq down` to stop it"));
        }
        if loaded.config.adapter == Adapter::Stdin && !self.foreground {
            return Err(Failure::error("`adapter = \"stdin\"` needs a terminal or a parent that reads it")
                .code(CONFIGURATION)
                .hint("Run `toq up --foreground`, or `toq config set adapter http`"));
        }
        takeover::run(desk, &loaded)?;
        self.begin_anew(&loaded.dir)?;
        if self.foreground {
            let surroundings = Surroundings { home: desk.world.home.clone(), variables: desk.world.variables.clone() };
            return daemon::run(surroundings, loaded, !self.detached)
                .map_err(|error| Failure::error(sanitize::text(&error.to_string())).code(error.exit_code()));
        }
        desk.wait(self.background(desk, loaded))
    }

    /// Makes the key of another agent, where that is wanted and the old one is gone.
    fn begin_anew(&self, dir: &Path) -> Result<(), Failure> {
        if !self.new_identity {
            return Ok(());
        }
        if dir.join("keys").join("identity.key").exists() {
            return Err(
                Failure::error("this agent has its identity key").hint("`toq rotate-keys` replaces it, and tells those who know it")
            );
        }
        identity::make(dir).map(drop)
    }

    /// Carries out an import that waits for this start, or that a crash cut short.
    fn finish_import(dir: &Path) -> Result<(), Failure> {
        let now = Timestamp::from_nanos(Clock::system().wall_nanos());
        let failed = |error: BackupFailure| {
            let is_between = stage::committed(dir).is_dir() || stage::undoing(dir).is_dir();
            let hint = match is_between {
                true => {
                    "Mend that and run the command again: nothing starts between two agents, and the next start goes on with putting the old one back"
                }
                false => "The import was given up and this agent is as it was before; start it again",
            };
            Failure::error(sanitize::text(&super::failure::chain(&error))).hint(hint)
        };
        apply::pending(dir, now).map(drop).map_err(failed)
    }

    fn loaded(&self, desk: &Desk) -> Result<Loaded, Failure> {
        let located = desk.located()?;
        let variables = desk.world.variables.iter().cloned();
        toq_config::WorkspaceConfig::load(&located.dir, variables, &self.overrides).map_err(|error| match error {
            ConfigError::Missing(_) => {
                Failure::told("No workspace found").hint("Run `toq init` to create a workspace, or `toq setup` for guided setup")
            }
            fault @ ConfigError::Fault(_) => Failure::from(fault).code(CONFIGURATION),
            other => other.into(),
        })
    }

    async fn background(self, desk: &Desk, loaded: Loaded) -> Result<(), Failure> {
        let log =
            fresh(&loaded.dir).map_err(|error| Failure::error(format!("cannot write {}: {error}", start_log(&loaded.dir).display())))?;
        let mut child = self.spawn(desk, &loaded.dir, log)?;
        let state = ready(desk, &loaded.dir, &mut child).await?;

        let socket = (loaded.config.adapter == Adapter::Unix).then(|| super::config::socket(&loaded));
        let (name, mode) = (loaded.config.agent_name.as_str(), loaded.config.connection_mode.as_str());
        desk.output.answer(
            || {
                let (port, peer_port) = (state.port, state.peer_port);
                let mut json = json!({"pid": state.pid, "port": port, "peer_port": peer_port, "agent_name": name, "connection_mode": mode});
                if let Some(socket) = &socket {
                    json["socket"] = json!(socket);
                }
                json
            },
            || {
                let api = if state.port == state.peer_port { String::new() } else { format!("\n  api port:        {}", state.port) };
                let socket = socket.as_ref().map(|socket| format!("\n  socket:          {}", socket.display())).unwrap_or_default();
                format!(
                    "toq started as daemon (PID {})\n  agent:           {name}\n  port:            {}{api}{socket}\n  \
                     connection mode: {mode}",
                    state.pid, state.peer_port
                )
            },
        )
    }

    fn spawn(&self, desk: &Desk, dir: &Path, log: File) -> Result<Child, Failure> {
        let mut command = Command::new(&desk.world.exe);
        command.arg("--config-dir").arg(dir).args(["up", "--foreground", "--detached"]);
        for (key, value) in &self.overrides {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let also = log.try_clone()?;
        command.stdin(Stdio::null()).stdout(log).stderr(also);
        command.spawn().map_err(|error| Failure::error(format!("cannot start the daemon: {error}")))
    }
}

/// Waits until the daemon answers, or returns why it will not.
async fn ready(desk: &Desk, dir: &Path, child: &mut Child) -> Result<State, Failure> {
    let begun = super::now();
    while begun.elapsed() < START {
        if let Some(status) = child.try_wait()? {
            return Err(refusal(dir, status));
        }
        // The file may still be the one that a crash left behind, so the process must be ours.
        if let Some(state) = state::read(dir)?.filter(|state| state.pid == child.id()) {
            let client = desk.client_at(state.port)?.with_limit(Duration::from_secs(2));
            if let Ok(()) | Err(ClientError::Api { .. }) = client.health().await {
                return Ok(state);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    let text = format!("toq (PID {}) is not ready after {} s", child.id(), START.as_secs());
    Err(Failure::error(text).hint("It may still be starting: see `toq status` and `toq logs`"))
}

fn refusal(dir: &Path, status: ExitStatus) -> Failure {
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(ERROR);
    let log = fs::read_to_string(start_log(dir)).unwrap_or_default();
    let said = last_words(&log);
    if said.is_empty() {
        return Failure::error(format!("toq did not start ({status})")).code(code).hint("See `toq logs`");
    }
    Failure::told(said).code(code)
}

/// Returns the daemon's complaint, or failing that the end of its log.
fn last_words(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let complaint = lines.iter().rposition(|line| line.starts_with("error: ") || line.starts_with("toq "));
    let from = complaint.unwrap_or(lines.len().saturating_sub(TAIL));
    let safe: Vec<String> = lines[from..].iter().take(TAIL).map(|line| sanitize::name(line)).collect();
    safe.join("\n")
}

/// Where a background daemon prints: why it did not start, and a panic of the allocator. Its log is another file.
fn start_log(dir: &Path) -> PathBuf {
    dir.join("logs").join("start.log")
}

fn fresh(dir: &Path) -> io::Result<File> {
    let path = start_log(dir);
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().write(true).truncate(true).create(true).mode(0o600).open(path)
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| "write KEY=VALUE".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_start_is_told_in_the_daemons_words() {
        let log = "2026-11-21T01:19:01Z  WARN something\nerror: port 9009 is taken\n  use another\n";

        assert_eq!(last_words(log), "error: port 9009 is taken\n  use another");
        assert_eq!(last_words("one\n\ntwo\n"), "one\ntwo");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn a_start_forgets_what_the_last_one_printed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        drop(fresh(dir.path()).expect("the directory is ours"));
        fs::write(start_log(dir.path()), "error: port 9009 is taken").expect("the file is ours");

        let second = fresh(dir.path()).expect("the directory is ours");

        assert_eq!(second.metadata().expect("it is open").len(), 0);
    }

    #[test]
    fn an_assignment_may_contain_more_equal_signs() {
        assert_eq!(assignment("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(assignment("a").is_err());
    }
}
