//! Stops the daemon and waits until it is gone.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use toq_config::WorkspaceConfig;
use toq_config::registry::Entry;

use super::agents;
use super::desk::Desk;
use super::failure::Failure;
use super::state::{self, is_alive, is_toq};

/// How often to look whether the daemon is gone.
const LOOK: Duration = Duration::from_millis(25);
/// How long a daemon may take beyond the time that it gives to work in progress.
const MARGIN: Duration = Duration::from_secs(10);
/// The time for work in progress where the configuration cannot be read.
const GRACE: Duration = Duration::from_secs(60);

/// Stops the agent's daemon
#[derive(Debug, clap::Args)]
pub struct Down {
    /// Lets work in progress finish; a stop always does
    #[arg(long)]
    graceful: bool,
    /// Stops the agent of this name, wherever its workspace is
    #[arg(long, value_name = "AGENT")]
    name: Option<String>,
}

impl Down {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let (dir, pid) = match self.target(desk)? {
            Some(target) => target,
            None => {
                let text = "toq is not running (no PID file found)".to_owned();
                return desk.output.answer(|| json!({"stopped": null}), || text);
            }
        };
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = process.ok_or_else(|| Failure::error(format!("{pid} is no process id")))?;
        kill_process(process, Signal::TERM).map_err(|error| Failure::error(format!("cannot stop toq (PID {pid}): {error}")))?;
        let grace = WorkspaceConfig::load(&dir, desk.world.variables.iter().cloned(), &[])
            .map_or(GRACE, |loaded| loaded.config.graceful_shutdown_timeout);
        gone(pid, grace + MARGIN).await?;

        let words = match (&self.name, self.graceful) {
            (Some(name), _) => format!("toq down '{name}' (PID {pid})"),
            (None, true) => format!("toq down --graceful (PID {pid})"),
            (None, false) => format!("toq down (PID {pid})"),
        };
        desk.output.answer(|| json!({ "stopped": pid }), || words)
    }

    fn target(&self, desk: &Desk) -> Result<Option<(PathBuf, u32)>, Failure> {
        if let Some(name) = &self.name {
            let is_meant = |entry: &Entry| entry.name == *name && is_toq(entry.pid);
            let entries: Vec<_> = agents::list(desk.home()?).into_iter().filter(is_meant).collect();
            return match entries.as_slice() {
                [] => Err(Failure::error(format!("No agent named '{name}' found"))),
                [entry] => Ok(Some((entry.config_dir.clone(), entry.pid))),
                _ => Err(Failure::error(format!("several agents are named '{name}'"))
                    .hint("`toq agents` shows their directories: `toq --config-dir PATH down` stops the one")),
            };
        }
        let dir = desk.located()?.dir;
        let live = state::live(&dir)?.filter(|state| is_toq(state.pid));
        Ok(live.map(|state| (dir, state.pid)))
    }
}

async fn gone(pid: u32, limit: Duration) -> Result<(), Failure> {
    let begun = super::now();
    while is_alive(pid) {
        if begun.elapsed() > limit {
            return Err(Failure::error(format!("toq (PID {pid}) is still stopping after {} s", limit.as_secs())).hint("See `toq logs`"));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
