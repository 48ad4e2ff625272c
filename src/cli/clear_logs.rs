//! Empties the logs.

use serde_json::json;

use super::desk::Desk;
use super::failure::Failure;

/// Empties the logs; messages are not logs and stay
#[derive(Debug, clap::Args)]
pub struct ClearLogs {}

impl ClearLogs {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let logs = desk.dir()?.join("logs");
        // The daemon appends to whatever file there is, so it need not be asked, and need not run.
        toq_http::logs::clear_files(&logs).map_err(|error| Failure::error(format!("cannot empty {}: {error}", logs.display())))?;
        desk.output.answer(|| json!({"logs": "cleared"}), || "Logs cleared".to_owned())
    }
}
