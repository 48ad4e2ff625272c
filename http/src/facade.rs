//! What the handlers share.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::http::StatusCode;
use tokio::sync::mpsc;
use toq_actors::actix::{self, Addr};
use toq_actors::workspace::Workspace;
use toq_actors::{Home, Registry, WorkspaceRef};
use toq_api::{ConfigResponse, ErrorCode};
use toq_config::{Loaded, LogLevel};
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
    /// The configuration as it was read at the start.
    pub config: Loaded,
    /// Its values as they are by now.
    pub in_force: RwLock<serde_json::Value>,
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

    /// Notes that a key has another value from now on.
    pub(crate) fn hold(&self, key: &str, value: serde_json::Value) {
        self.in_force.write().unwrap_or_else(PoisonError::into_inner)[key] = value;
    }

    /// The configuration as the next start would find it, and what the daemon works with instead.
    pub(crate) fn configuration(&self) -> Result<ConfigResponse, ApiError> {
        let config = self.reread()?;
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let keys = toq_config::differing(&config, &in_force);
        let held = keys.iter().map(|key| ((*key).to_owned(), toq_config::lookup(&in_force, key).cloned().unwrap_or_default())).collect();
        Ok(ConfigResponse { config, needs_restart: keys.into_iter().map(str::to_owned).collect(), in_force: held })
    }

    /// The configuration as the next start would find it.
    pub(crate) fn reread(&self) -> Result<serde_json::Value, ApiError> {
        let unusable = |error: toq_config::ConfigError| {
            ApiError::new(ErrorCode::InvalidConfig, format!("the next start would refuse the configuration: {error}"))
                .with_status(StatusCode::INTERNAL_SERVER_ERROR)
                .hint("the daemon works on with what it has read; `toq config check` lists what is to be mended")
        };
        self.config.again().map(|loaded| loaded.to_json()).map_err(unusable)
    }

    /// The workspace's log.
    pub(crate) fn reader(&self) -> &Reader {
        self.home().store.reader()
    }
}
