//! Starts a relay.
//!
//! In the background it is this program once more, in a session of its own, with its output in `logs/start.log`. The command
//! returns when both listeners serve, or says why there is no relay.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use toq_config::relay::RelayConfig;
use toq_store::StoreError;

use super::Data;
use crate::cli::desk::Desk;
use crate::cli::failure::{CONFIGURATION, ERROR, Failure, RUNNING, chain};
use crate::cli::sanitize;
use crate::relay::{self, RelayError, State};

/// How long a start may take: opening a large log after a crash is the slowest part.
const START: Duration = Duration::from_secs(30);
/// How often to look whether it is there yet.
const LOOK: Duration = Duration::from_millis(20);

/// Starts the relay and its API server
#[derive(Debug, clap::Args)]
pub struct Up {
    #[command(flatten)]
    data: Data,
    /// Stays in the foreground and shows what happens
    #[arg(long)]
    foreground: bool,
    /// Reads the settings from this file instead of relay.toml in the data directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where members connect; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<SocketAddr>,
    /// Where the API server listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    api: Option<SocketAddr>,
    /// Lets everybody in without a token, as published members need it
    #[arg(long)]
    anonymous: bool,
    /// Leaves the terminal; how a background relay is started
    #[arg(long, hide = true, requires = "foreground")]
    detached: bool,
}

impl Up {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        self.start(desk).map_err(|failure| self.data.runnable(desk, failure))
    }

    fn start(&self, desk: &Desk) -> Result<(), Failure> {
        if self.detached {
            // Works because this process was started by another toq and leads no group of its own yet.
            rustix::process::setsid().map_err(|error| Failure::error(format!("cannot leave the terminal: {error}")))?;
        }
        let dir = self.data.dir(desk)?;
        if dir.exists() && !dir.is_dir() {
            return Err(Failure::error(format!("{} is no directory", dir.display())).hint("Name the relay's data directory with --data"));
        }
        let config = self.settings(desk, &dir)?;
        if let Some(state) = self.data.live(desk)? {
            return Err(running(&dir, state.pid));
        }
        if self.foreground {
            let told = |state: &State| {
                if !self.detached {
                    desk.output.note(&words(state));
                }
            };
            return relay::run(&dir, &config, !self.detached, told).map_err(|error| told_by(&dir, &error));
        }
        // What keeps it from starting is told by the one who starts.
        let warnings = relay::warnings(&dir, &config).unwrap_or_default();
        desk.wait(self.background(desk, &dir, &warnings))
    }

    fn settings(&self, desk: &Desk, dir: &Path) -> Result<RelayConfig, Failure> {
        let file = self.config.as_ref().map(|file| desk.world.cwd.join(file));
        let refused = |error| {
            let failure = Failure::error(sanitize::text(&chain(&error))).code(CONFIGURATION);
            failure.hint("Correct the file, or name another one with --config; without one everything has its default")
        };
        let mut config = RelayConfig::load(dir, file.as_deref()).map_err(refused)?;
        config.grpc = self.grpc.unwrap_or(config.grpc);
        config.api = self.api.unwrap_or(config.api);
        config.anonymous |= self.anonymous;
        Ok(config)
    }

    async fn background(&self, desk: &Desk, dir: &Path, warnings: &[String]) -> Result<(), Failure> {
        let unwritable = |error| {
            let failure = Failure::error(format!("cannot write {}: {error}", start_log(dir).display()));
            failure.hint("Name a directory that you may write with --data")
        };
        let log = fresh(dir).map_err(unwritable)?;
        let mut child = self.spawn(desk, dir, log)?;
        let state = ready(dir, &mut child).await?;
        let warnings: Vec<String> = warnings.iter().map(|warning| self.data.named(desk, warning)).collect();
        if !desk.output.is_json() {
            warnings.iter().for_each(|warning| desk.output.warn(warning));
        }
        let State { pid, grpc, api, anonymous, tls, .. } = &state;
        desk.output.answer(
            || json!({"pid": pid, "grpc": grpc, "api": api, "data": dir, "anonymous": anonymous, "tls": tls, "warnings": warnings}),
            || format!("relay started (PID {})\n{}\n  data: {}", state.pid, words(&state), dir.display()),
        )
    }

    fn spawn(&self, desk: &Desk, dir: &Path, log: File) -> Result<Child, Failure> {
        let mut command = Command::new(&desk.world.exe);
        command.args(["relay", "up", "--foreground", "--detached", "--data"]).arg(dir);
        if let Some(file) = &self.config {
            command.arg("--config").arg(desk.world.cwd.join(file));
        }
        for (name, address) in [("--grpc", self.grpc), ("--api", self.api)] {
            if let Some(address) = address {
                command.arg(name).arg(address.to_string());
            }
        }
        if self.anonymous {
            command.arg("--anonymous");
        }
        let also = log.try_clone()?;
        command.stdin(Stdio::null()).stdout(log).stderr(also);
        command.spawn().map_err(|error| Failure::error(format!("cannot start the relay: {error}")))
    }
}

fn words(state: &State) -> String {
    let scheme = if state.tls { "https" } else { "http" };
    let who = if state.anonymous { "everybody, without a token" } else { "who has a token" };
    format!("  members: {scheme}://{}\n  API:     {scheme}://{}\n  admits:  {who}", state.grpc, state.api)
}

fn running(dir: &Path, pid: u32) -> Failure {
    Failure::told(format!("a relay is running on {} (PID {pid})", dir.display())).code(RUNNING).hint("Run `toq relay down` to stop it")
}

fn told_by(dir: &Path, error: &RelayError) -> Failure {
    match error {
        RelayError::Up(toq_relay::UpError::Store(StoreError::AlreadyOpen(path))) => {
            let text = format!("{} is open in another process: a relay is running on {}", path.display(), dir.display());
            Failure::told(text).code(RUNNING).hint("Run `toq relay down` to stop it, or use another --data directory")
        }
        RelayError::Up(toq_relay::UpError::Listen { address, error: why }) => {
            let hint = match why.kind() {
                io::ErrorKind::AddrNotAvailable => {
                    format!("This machine has no address {}: take one of its own, or 0.0.0.0 or [::] for all of them", address.ip())
                }
                io::ErrorKind::PermissionDenied => format!("Not everybody may listen at port {}: choose one above 1023", address.port()),
                _ => format!("Stop what listens at {address}, or choose another address; port 0 takes a free one"),
            };
            Failure::error(sanitize::text(&error.to_string())).hint(hint)
        }
        RelayError::Up(toq_relay::UpError::Store(broken)) if broken.is_damage() => {
            Failure::error(sanitize::text(&error.to_string())).hint(toq_relay::MEND)
        }
        _ => Failure::error(sanitize::text(&error.to_string())),
    }
}

/// Waits until the relay says where it is, or returns why it will not.
async fn ready(dir: &Path, child: &mut Child) -> Result<State, Failure> {
    let begun = crate::cli::now();
    while begun.elapsed() < START {
        // The file may still be the one that a crash left behind, so the process must be ours.
        if let Some(state) = State::read(dir).filter(|state| state.pid == child.id()) {
            return Ok(state);
        }
        if let Some(status) = child.try_wait()? {
            let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(ERROR);
            let said: Vec<String> =
                fs::read_to_string(start_log(dir)).unwrap_or_default().lines().rev().take(5).map(sanitize::name).collect();
            let said: Vec<String> = said.into_iter().rev().collect();
            let text = if said.is_empty() { format!("the relay did not start ({status})") } else { said.join("\n") };
            return Err(Failure::told(text).code(code));
        }
        tokio::time::sleep(LOOK).await;
    }
    let text = format!("the relay (PID {}) is not ready after {} s", child.id(), START.as_secs());
    Err(Failure::error(text).hint(format!("It may still be starting: see {}", dir.join("logs").display())))
}

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
