//! Stops a relay and waits until it is gone.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::Data;
use crate::cli::desk::Desk;
use crate::cli::failure::Failure;
use crate::cli::state::is_alive;

/// How often to look whether it is gone.
const LOOK: Duration = Duration::from_millis(25);
/// How long it may take: its grace for connections, its API server's, and some more.
const LIMIT: Duration = Duration::from_secs(40);

/// Stops the relay; what it has accepted is on disk
#[derive(Debug, clap::Args)]
pub struct Down {
    #[command(flatten)]
    data: Data,
}

impl Down {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        self.done(desk).await.map_err(|failure| self.data.runnable(desk, failure))
    }

    async fn done(&self, desk: &Desk) -> Result<(), Failure> {
        let Some(state) = self.data.live(desk)? else {
            return desk.output.answer(|| json!({"stopped": null}), || "no relay runs on this directory".to_owned());
        };
        let process = i32::try_from(state.pid).ok().and_then(Pid::from_raw);
        let process = process.ok_or_else(|| Failure::error(format!("{} is no process id", state.pid)))?;
        kill_process(process, Signal::TERM)
            .map_err(|error| Failure::error(format!("cannot stop the relay (PID {}): {error}", state.pid)))?;
        let begun = crate::cli::now();
        while is_alive(state.pid) {
            if begun.elapsed() > LIMIT {
                let text = format!("the relay (PID {}) is still stopping after {} s", state.pid, LIMIT.as_secs());
                return Err(Failure::error(text).hint("Run `toq relay down` once more to end it at once"));
            }
            tokio::time::sleep(LOOK).await;
        }
        desk.output.answer(|| json!({ "stopped": state.pid }), || format!("relay stopped (PID {})", state.pid))
    }
}
