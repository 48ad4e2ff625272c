//! One message without a daemon.
//!
//! The workspace is opened in this process and locked, the message is committed, its lane is served until the peer has it or
//! an attempt has failed, and everything is closed again. Nothing listens meanwhile: no peers, no API, no handlers. A
//! message that is not delivered stays in its lane, for the next daemon or the next errand.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::System;
use toq_actors::handler::{Work, Workshop};
use toq_actors::registry::Open;
use toq_actors::workspace::{Accepted, Origin, Patience, Send, WorkspaceError};
use toq_actors::{Home, Registry, actix::Actor as _};
use toq_config::{HandlerConfig, Loaded};
use toq_http::refusal::{Explained, too_large};
use toq_kit::{Drain, Seat, ask};
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_store::record::StateRow;

use super::{DaemonError, announce, opening};
use crate::telemetry;

/// How often to look what became of the message.
const LOOK: Duration = Duration::from_millis(25);

/// How long closing may take. What is not finished by then is on disk.
const CLOSING: Duration = Duration::from_secs(2);

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Errand {
    /// To whom.
    pub to: Address,
    /// What it says.
    pub text: String,
    /// The conversation; a new one where there is none.
    pub thread_id: Option<String>,
    /// Whether the conversation ends with it.
    pub close_thread: bool,
    /// How long the peer may take to have it; nothing where it is enough that it is on disk.
    pub patience: Option<Duration>,
}

/// A message that is on disk, and what became of it so far.
#[derive(Debug)]
pub struct Run {
    /// The message.
    pub message: Accepted,
    /// Where it stands.
    pub state: StateRow,
}

/// Why a message was not even accepted.
#[derive(Debug, thiserror::Error)]
pub enum ErrandError {
    /// The workspace cannot be opened.
    #[error("{0}")]
    Closed(#[from] DaemonError),
    /// It is larger than messages may be.
    #[error("{}", .0.message)]
    TooLarge(Explained),
    /// The workspace does not take it.
    #[error(transparent)]
    Untaken(#[from] WorkspaceError),
}

/// Sends one message. `opened` is called when the workspace is ours.
pub fn run(loaded: &Loaded, errand: Errand, opened: impl FnOnce()) -> Result<Run, ErrandError> {
    let body = Json::from_value(&serde_json::json!({ "text": errand.text })).settled();
    let (size, limit) = (body.as_str().len(), loaded.config.max_message_size);
    if size > limit {
        return Err(ErrandError::TooLarge(too_large(size, limit)));
    }
    telemetry::harden();
    let store = opening::log(loaded)?;
    opened();
    let keys = opening::keys(loaded, &store)?;
    let port = own_port(loaded)?;
    let home = opening::home(loaded, store, keys.identity, port, Arc::new(Resting))?;
    System::new().block_on(deliver(home, body, errand))
}

/// The port at which peers reach this agent. Where any port will do it is the one of the last run, or else that of the first run to
/// come, which is chosen now: a message names the address by which its sender is reached.
fn own_port(loaded: &Loaded) -> Result<u16, DaemonError> {
    match (loaded.config.port, announce::last_port(&loaded.dir)) {
        (0, Some(port)) => Ok(port),
        (0, None) => {
            let (_listener, port) = super::bind(loaded)?;
            announce::keep_port(&loaded.dir, port).map_err(DaemonError::Files)?;
            Ok(port)
        }
        (port, _) => Ok(port),
    }
}

async fn deliver(home: Arc<Home>, body: Json, errand: Errand) -> Result<Run, ErrandError> {
    let gone = || WorkspaceError::Draining;
    let registry = Registry::new(home.clock).start();
    let workspace = ask(&registry, Open { home: home.clone(), seat: Seat::Here }).await.map_err(|_| gone())?;
    let send = Send {
        to: vec![errand.to],
        kind: if errand.close_thread { Kind::ThreadClose } else { Kind::MessageSend },
        body: Some(body),
        thread_id: errand.thread_id,
        reply_to: None,
        content_type: Some("application/json".to_owned()),
        idempotency: None,
        // Nobody is told, so that a message which cannot be delivered is kept instead of taken back.
        patience: Patience::Accepted,
        origin: Origin::Owner,
    };
    let accepted = ask(&workspace.address(), send).await.map_err(|_| gone())??;
    let message = accepted.into_iter().next().ok_or_else(gone)?;
    let outcome = outcome(&home, &message, errand.patience.unwrap_or_default()).await;
    let closing = ask(&registry, Drain { grace: CLOSING / 2 });
    // Late or not, what matters is on disk.
    let _late = tokio::time::timeout(CLOSING, closing).await;
    Ok(Run { state: outcome?, message })
}

/// Waits until the message is settled, an attempt to deliver it has failed, or patience ends.
async fn outcome(home: &Home, message: &Accepted, patience: Duration) -> Result<StateRow, WorkspaceError> {
    let until = home.clock.monotonic() + patience;
    loop {
        let entry = home.store.reader().entry(message.seq)?.ok_or(toq_store::StoreError::Record { table: "messages" })?;
        if entry.state.state.is_final() || entry.state.attempts > 0 || home.clock.monotonic() >= until {
            return Ok(entry.state);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The workshop while no daemon runs: handlers keep their places and do nothing.
#[derive(Clone, Copy, Debug)]
struct Resting;

impl Workshop for Resting {
    fn definitions(&self) -> Result<Vec<HandlerConfig>, String> {
        Err("handlers work only while the daemon runs".to_owned())
    }

    fn work(&self, _: &HandlerConfig) -> Result<Arc<dyn Work>, String> {
        Err("handlers work only while the daemon runs".to_owned())
    }
}
