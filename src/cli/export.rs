//! Makes a backup of the agent.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use toq_api::{ExportRequest, ExportResponse, Secret};
use toq_store::{Options, Store};
use toq_vault::write_private;

use super::desk::Desk;
use super::failure::{Failure, chain};
use super::passphrase::{Purpose, Source};
use super::{sanitize, state};
use crate::backup::apply::STATE;
use crate::backup::export::{Messages, export};

/// How long the daemon may take to read a large log.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Writes this agent to a file that a passphrase closes: its keys, settings, handlers, rules and known peers
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The file; an older one is replaced
    path: PathBuf,
    /// Adds the messages
    #[arg(long)]
    messages: bool,
    #[command(flatten)]
    passphrase: Source,
}

impl Export {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let dir = desk.dir()?;
        let passphrase = self.passphrase.read(desk, Purpose::Close)?;
        let data = match state::live(&dir)? {
            Some(state) => {
                let request = ExportRequest { passphrase: Secret(passphrase.reveal().to_owned()), messages: self.messages };
                let client = desk.client_at(state.port)?.with_limit(PATIENCE);
                let answer: ExportResponse = client.post(&["v1", "backup", "export"], &[], &request).await?;
                answer.data.0
            }
            None => {
                let messages = if self.messages { Messages::Included } else { Messages::LeftOut };
                let store = log(&dir)?;
                export(&dir, store.as_ref().map(Store::reader), messages, &passphrase).map_err(told)?
            }
        };
        let path = std::path::absolute(desk.world.cwd.join(&self.path))?;
        write_private(&path, data.as_bytes()).map_err(|error| Failure::error(sanitize::text(&chain(&error))))?;
        let shown = sanitize::name(&self.path.display().to_string());
        desk.output.answer(|| json!({"exported": self.path, "encrypted": true}), || format!("Exported to {shown} (encrypted)"))
    }
}

/// Opens the log of a workspace whose daemon does not run, if there is one.
pub fn log(dir: &std::path::Path) -> Result<Option<Store>, Failure> {
    let path = dir.join(STATE);
    if !path.exists() {
        return Ok(None);
    }
    Store::open(&path, Options::default()).map(Some).map_err(|error| Failure::error(format!("cannot open the log: {error}")))
}

/// Tells of a failure in its own words.
pub fn told(failure: crate::backup::BackupFailure) -> Failure {
    Failure::error(sanitize::text(&chain(&failure)))
}
