//! What the handlers share.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use tokio::sync::mpsc;
use toq_actors::actix::{self, Addr};
use toq_actors::workspace::Workspace;
use toq_actors::{Home, Registry, WorkspaceRef};
use toq_config::LogLevel;
use toq_kit::{Credit, ask};
use toq_net::neighbours::Neighbours;
use toq_store::Reader;

use crate::custody::Custody;
use crate::error::ApiError;
use crate::guard::Rules;

/// The owner wants the daemon to stop.
#[derive(Clone, Copy, Debug)]
pub struct Shutdown;

/// The surroundings of the HTTP handlers of one workspace.
pub struct Facade {
    /// The workspace that is served.
    pub workspace: WorkspaceRef,
    /// The root of the tree, for describing all of it.
    pub registry: Addr<Registry>,
    /// Who may call.
    pub rules: Rules,
    /// How many connections may be open.
    pub connections: usize,
    /// Requests in progress.
    pub credit: Credit,
    /// The workspace's directory.
    pub dir: PathBuf,
    /// The configuration as the API shows it.
    pub config: RwLock<serde_json::Value>,
    /// How the log is told what to hold from now on.
    pub log_level: fn(LogLevel),
    /// Agents on the local network, where they are looked for.
    pub neighbours: Option<Arc<Neighbours>>,
    /// How the daemon is told to stop.
    pub shutdown: mpsc::Sender<Shutdown>,
    /// Who makes and takes backups.
    pub custody: Arc<dyn Custody>,
    /// The version of this program.
    pub version: &'static str,
}

impl Facade {
    /// Sends a command to the workspace and sees it through.
    pub(crate) async fn ask<M>(&self, command: M) -> Result<M::Result, ApiError>
    where
        Workspace: actix::Handler<M>,
        M: actix::Message + Send + 'static,
        M::Result: Send,
    {
        ask(&self.workspace.address(), command).await.map_err(ApiError::from)
    }

    /// What the workspace's actors share.
    pub(crate) fn home(&self) -> &Home {
        &self.workspace.home
    }

    /// The configuration as it stands, with `changes` made to it.
    pub(crate) fn configured(&self, changes: serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
        let mut config = self.config.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (key, value) in changes {
            match (&mut config[key.as_str()], value) {
                // A table is changed by its keys; the others keep their values.
                (serde_json::Value::Object(table), serde_json::Value::Object(changes)) => table.extend(changes),
                (secret, _) if key == "a2a_api_key" => *secret = toq_config::REDACTED.into(),
                (kept, value) => *kept = value,
            }
        }
        config.clone()
    }

    /// The workspace's log.
    pub(crate) fn reader(&self) -> &Reader {
        self.home().store.reader()
    }
}
