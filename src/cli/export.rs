//! Makes a backup of the agent.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use toq_api::{ExportRequest, ExportResponse, Secret};
use toq_store::{Options, Store, StoreError};
use toq_vault::backup::BackupError;
use toq_vault::write_private;

use super::desk::Desk;
use super::failure::{Failure, chain};
use super::passphrase::{Purpose, Source};
use super::{sanitize, state};
use crate::backup::BackupFailure;
use crate::backup::apply::STATE;
use crate::backup::export::{FEWER, Messages, export};
use crate::daemon::opening::has_lost_key;

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
        keyed(&dir)?;
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
                export(&dir, store.as_ref().map(Store::reader), messages, &passphrase).map_err(|failure| match failure {
                    BackupFailure::Backup(BackupError::TooLarge { .. }) if self.messages => told(failure).hint(FEWER),
                    failure => told(failure),
                })?
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
    log_at_rest(dir).map_err(|error| {
        let failure = Failure::error(sanitize::text(&format!("cannot open the log: {error}")));
        if error.is_damage() { failure.hint(LOG_HINT) } else { failure }
    })
}

/// The same, with what is wrong with it for who wants to know.
pub fn log_at_rest(dir: &std::path::Path) -> Result<Option<Store>, StoreError> {
    let path = dir.join(STATE);
    if !path.exists() {
        return Ok(None);
    }
    Store::open(&path, Options::default()).map(Some)
}

/// What to do about a log that is damaged.
pub const LOG_HINT: &str = "bring back a copy of the workspace, or move its state.redb away and `toq import` a backup; without either its rules are lost, blocks among them";

/// Says why there is nothing to take out of a workspace that has no key.
pub fn keyed(dir: &std::path::Path) -> Result<(), Failure> {
    if dir.join("keys").join("identity.key").exists() {
        return Ok(());
    }
    Err(match has_lost_key(dir) {
        true => Failure::error("the identity key is gone").hint("Bring keys/identity.key back from a copy, or `toq import` a backup"),
        false => Failure::error("this agent has no keys yet").hint("Run `toq up` once, which makes them"),
    })
}

/// Tells of a failure in its own words.
pub fn told(failure: BackupFailure) -> Failure {
    Failure::error(sanitize::text(&chain(&failure)))
}
