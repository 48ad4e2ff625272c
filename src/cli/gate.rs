//! Where rules and questions are: with the daemon, or in the workspace's own log while none runs.

use std::collections::HashSet;
use std::time::Duration;

use toq_actors::workspace::{Rule, decide_at_rest};
use toq_api::{ApprovalDecision, ApprovalsResponse, Client, Decision, PeersResponse, PermissionsResponse, RuleBody};
use toq_http::{ApiError, listing, rules};
use toq_kit::Clock;
use toq_protocol::policy::Ruling;
use toq_protocol::time::Timestamp;
use toq_store::{Reader, Store, StoreError};

use super::desk::Desk;
use super::failure::Failure;
use super::{sanitize, state, takeover};
use crate::daemon::{DaemonError, opening};

/// How long another process may have the workspace before a command gives up.
const LOCKED: Duration = Duration::from_secs(10);
/// How often to look whether it still has it.
const LOOK: Duration = Duration::from_millis(50);

/// What keeps the rules of a workspace.
pub enum Gate {
    /// Its daemon.
    Daemon(Client),
    /// Its log, which no other process has open meanwhile. Nobody is told of what is decided before a daemon runs again, which tells who
    /// was let in; the others hear of it when they come again.
    Log(Box<Store>),
}

impl Gate {
    /// Finds the daemon, or opens the log where none runs.
    pub async fn open(desk: &Desk) -> Result<Self, Failure> {
        let dir = desk.dir()?;
        let begun = super::now();
        loop {
            if let Some(state) = state::live(&dir)? {
                return Ok(Self::Daemon(desk.client_at(state.port)?));
            }
            let loaded = desk.loaded(&[])?;
            takeover::run(desk, &loaded)?;
            match opening::log(&loaded) {
                Ok(store) => return Ok(Self::Log(Box::new(store))),
                // Another command has the workspace, or a daemon that is starting.
                Err(DaemonError::Running) if begun.elapsed() < LOCKED => tokio::time::sleep(LOOK).await,
                Err(error) => return Err(Failure::error(sanitize::text(&error.to_string())).code(error.exit_code())),
            }
        }
    }

    /// Returns the peers that were here.
    pub async fn peers(&self) -> Result<PeersResponse, Failure> {
        match self {
            Self::Daemon(client) => Ok(client.get(&["v1", "peers"], &[]).await?),
            Self::Log(store) => read(store, |reader| listing::peers(reader, &HashSet::new())),
        }
    }

    /// Returns who waits for a decision.
    pub async fn approvals(&self) -> Result<ApprovalsResponse, Failure> {
        match self {
            Self::Daemon(client) => Ok(client.get(&["v1", "approvals"], &[]).await?),
            Self::Log(store) => read(store, listing::approvals),
        }
    }

    /// Returns the rules.
    pub async fn permissions(&self) -> Result<PermissionsResponse, Failure> {
        match self {
            Self::Daemon(client) => Ok(client.get(&["v1", "permissions"], &[]).await?),
            Self::Log(store) => read(store, listing::permissions),
        }
    }

    /// Makes a rule.
    pub async fn add(&self, body: &RuleBody, ruling: Ruling) -> Result<(), Failure> {
        match self {
            Self::Daemon(client) => {
                let path = if ruling == Ruling::Approve { "approve" } else { "block" };
                Ok(client.post(&["v1", path], &[], body).await?)
            }
            Self::Log(store) => decide(store, rules::adding(body, ruling)).await,
        }
    }

    /// Takes a rule back.
    pub async fn remove(&self, body: &RuleBody, ruling: Ruling) -> Result<(), Failure> {
        match (self, ruling) {
            (Self::Daemon(client), Ruling::Approve) => Ok(client.post(&["v1", "revoke"], &[], body).await?),
            (Self::Daemon(client), Ruling::Block) => Ok(client.delete(&["v1", "block"], Some(body)).await?),
            (Self::Log(store), _) => decide(store, rules::removing(body, ruling)).await,
        }
    }

    /// Answers the question of a key; approved, it is let in whether it asked or not.
    pub async fn decide(&self, key: &str, decision: Decision) -> Result<(), Failure> {
        match self {
            Self::Daemon(client) => Ok(client.post(&["v1", "approvals", key], &[], &ApprovalDecision { decision }).await?),
            Self::Log(store) => decide(store, rules::deciding(key, decision)).await,
        }
    }
}

fn read<T>(store: &Store, read: impl FnOnce(&Reader) -> Result<T, StoreError>) -> Result<T, Failure> {
    read(store.reader())
        .map_err(|error| Failure::error(format!("the log cannot be read: {error}")).hint("`toq doctor` looks at the workspace"))
}

async fn decide(store: &Store, rule: Result<Rule, ApiError>) -> Result<(), Failure> {
    let rule = rule.map_err(|error| {
        let told = &error.body().error;
        Failure { hint: told.hint.as_deref().map(sanitize::text), reason: Some(told.code), ..Failure::error(sanitize::text(&told.message)) }
    })?;
    let now = Timestamp::from_nanos(Clock::system().wall_nanos());
    let decided = decide_at_rest(store, &[rule], now).await;
    decided.map_err(|error| Failure::error(format!("the decision cannot be written: {error}")).hint("`toq doctor` looks at the disk"))
}
