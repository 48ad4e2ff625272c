//! Handlers: what reacts to messages.
//!
//! Definitions are changed in `handlers.toml`, with or without a daemon; one that runs is told to read them again.

mod add;
mod list;

use std::path::Path;

use serde_json::{Map, Value, json};
use toq_actors::handler::{Bench, FileWorkshop, Workshop as _};
use toq_api::{
    ClientError, ErrorCode, HandlerChanged, HandlerLeft, HandlerView, Peer, PeersResponse, RetryRequest, RetryResponse, StopHandlerRequest,
    StopHandlerResponse,
};
use toq_config::handlers::{self, HandlersError, is_name};
use toq_protocol::address::Address;

use super::desk::Desk;
use super::failure::{Failure, chain};
use super::{sanitize, state};

/// Adds, lists, changes and stops handlers, which react to messages
#[derive(Debug, clap::Args)]
pub struct Handler {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    Add(Box<add::Add>),
    List(list::List),
    /// Shows everything about a handler; of variables and keys the names, never the values
    Show(Named),
    /// Removes a handler
    Remove(Named),
    /// Lets a handler react again: to what waited when it was disabled, and to what comes from now on
    Enable(Named),
    /// Keeps a handler from reacting; what waits for it stays, what comes meanwhile is not for it
    Disable(Named),
    /// Lets a handler begin nothing until it is resumed or the daemon starts again; messages wait
    Pause(Named),
    /// Lets a handler go on that was paused, or is broken
    Resume(Named),
    /// Ends the runs of a handler, with everything that they started
    Stop {
        /// Which handler
        name: String,
        /// Only the run with this process id
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Prints what the runs of a handler wrote
    Logs(Named),
    /// Lists the messages that a handler failed on too often
    SetAside(Named),
    /// Has handlers forget what was said with an agent so far; history keeps the messages
    Forget {
        /// The agent: its key, or the address of a known peer
        peer: String,
    },
    /// Has a handler try messages again that it failed on too often
    Retry {
        /// Which handler
        name: String,
        /// The ids of the messages
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// All that were set aside
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

/// A handler's name.
#[derive(Debug, clap::Args)]
struct Named {
    /// Which handler
    name: String,
}

impl Handler {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self.action {
            Action::Add(add) => add.run(desk).await,
            Action::List(list) => list.run(desk).await,
            Action::Show(Named { name }) => list::show(desk, &name).await,
            Action::Remove(Named { name }) => {
                handlers::remove(&desk.dir()?, &name).map_err(failed)?;
                let left = reload(desk).await?.into_iter().find(|left| left.name == name);
                if let Some(left) = &left {
                    let (unhandled, set_aside) = (left.unhandled, left.set_aside);
                    desk.output
                        .warn(&format!("it leaves {unhandled} message(s) unhandled and {set_aside} set aside; `toq messages` has them"));
                }
                desk.output.answer(|| json!({ "removed": name, "left": left }), || format!("Removed handler '{}'", sanitize::name(&name)))
            }
            Action::Enable(Named { name }) => switch(desk, &name, true).await,
            Action::Disable(Named { name }) => switch(desk, &name, false).await,
            Action::Pause(Named { name }) => turn(desk, &name, "pause", "Paused").await,
            Action::Resume(Named { name }) => turn(desk, &name, "resume", "Resumed").await,
            Action::Stop { name, pid } => stop(desk, name, pid).await,
            Action::Logs(Named { name }) => logs(desk, &name),
            Action::Retry { name, ids, all } => retry(desk, &name, (!all).then_some(ids)).await,
            Action::Forget { peer } => forget(desk, peer).await,
            Action::SetAside(Named { name }) => list::set_aside(desk, &name).await,
        }
    }
}

async fn switch(desk: &Desk, name: &str, enabled: bool) -> Result<(), Failure> {
    let change: Map<String, Value> = [("enabled".to_owned(), Value::from(enabled))].into_iter().collect();
    handlers::update(&desk.dir()?, name, &change).map_err(failed)?;
    reload(desk).await?;
    if enabled && state::live(&desk.dir()?)?.is_some() {
        let client = desk.client()?;
        let view: HandlerView = client.get(&["v1", "handlers", name], &[]).await?;
        if view.state == "broken" || view.state == "paused" {
            let _: HandlerChanged = client.post(&["v1", "handlers", name, "resume"], &[], &json!({})).await?;
        }
    }
    if enabled {
        warn(desk, name).await?;
    }
    let word = if enabled { "Enabled" } else { "Disabled" };
    desk.output.answer(|| json!({"name": name, "enabled": enabled}), || format!("{word} handler '{}'", sanitize::name(name)))
}

/// Pauses or resumes a handler of the daemon that runs.
async fn turn(desk: &Desk, name: &str, what: &str, word: &str) -> Result<(), Failure> {
    let told: Result<HandlerChanged, _> = desk.client()?.post(&["v1", "handlers", name, what], &[], &json!({})).await;
    let told = told.map_err(|error| if is_not_found(&error) { unknown(name) } else { error.into() })?;
    if let Some(reason) = &told.broken {
        desk.output.warn(&broken(name, reason));
    }
    desk.output.answer(|| json!(told), || format!("{word} handler '{}'", sanitize::name(name)))
}

/// Says so where a handler does not work, which its definition alone does not show.
async fn warn(desk: &Desk, name: &str) -> Result<(), Failure> {
    let dir = desk.dir()?;
    if state::live(&dir)?.is_some() {
        let view: HandlerView = desk.client()?.get(&["v1", "handlers", name], &[]).await?;
        if let Some(reason) = view.reason.filter(|_| view.state == "broken") {
            desk.output.warn(&broken(name, &reason));
        }
        return Ok(());
    }
    let Some(definition) = handlers::load(&dir)?.into_iter().find(|definition| definition.name == name) else { return Ok(()) };
    let bench = Bench { dir, program: desk.world.exe.clone(), variables: desk.world.variables.clone(), api_port: 0 };
    if let Err(reason) = FileWorkshop::new(bench).work(&definition) {
        desk.output
            .warn(&broken(name, &format!("{reason} (as things are here and now; what counts is the daemon's environment at its start)")));
    }
    Ok(())
}

fn broken(name: &str, reason: &str) -> String {
    let (name, reason) = (sanitize::name(name), sanitize::text(reason));
    format!(
        "handler '{name}' is broken and reacts to nothing: {reason}\n  once that is put right: `toq handler resume {name}`; messages wait until then"
    )
}

fn is_not_found(error: &ClientError) -> bool {
    matches!(error, ClientError::Api { body, .. } if body.error.code == ErrorCode::NotFound)
}

fn unknown(name: &str) -> Failure {
    Failure::told(format!("Handler '{}' not found", sanitize::name(name))).hint("`toq handler list` shows them")
}

async fn stop(desk: &Desk, name: String, pid: Option<u32>) -> Result<(), Failure> {
    let request = StopHandlerRequest { name, pid };
    let stopped: StopHandlerResponse = desk.client()?.post(&["v1", "handlers", "stop"], &[], &request).await?;
    if stopped.stopped == 0 {
        // The route says 0 of a handler that does not exist, as the published one does.
        let shown: Result<HandlerView, _> = desk.client()?.get(&["v1", "handlers", &stopped.name], &[]).await;
        shown.map_err(|error| if is_not_found(&error) { unknown(&stopped.name) } else { error.into() })?;
    }
    let words = || format!("Stopped {} process(es) for '{}'", stopped.stopped, sanitize::name(&stopped.name));
    desk.output.answer(|| json!(stopped), words)
}

async fn retry(desk: &Desk, name: &str, ids: Option<Vec<String>>) -> Result<(), Failure> {
    let answer: RetryResponse = desk.client()?.post(&["v1", "handlers", name, "retry"], &[], &RetryRequest { ids }).await?;
    let words = || format!("Handler '{}' tries {} message(s) again", sanitize::name(&answer.name), answer.retried);
    desk.output.answer(|| json!(answer), words)
}

async fn forget(desk: &Desk, peer: String) -> Result<(), Failure> {
    let client = desk.client()?;
    let keys = if peer.starts_with("ed25519:") {
        vec![peer]
    } else {
        let known: PeersResponse = client.get(&["v1", "peers"], &[]).await?;
        // One address is written in several ways: with its default port and without.
        let wanted = Address::parse(&peer)
            .map(|address| address.key())
            .map_err(|error| Failure::error(format!("'{}' is no address: {error}", sanitize::text(&peer))))?;
        let is_wanted = |known: &Peer| Address::parse(&known.address).is_ok_and(|address| address.key() == wanted);
        known.peers.into_iter().filter(is_wanted).map(|known| known.public_key).collect()
    };
    let [key] = keys.as_slice() else {
        let told = if keys.is_empty() { "no peer is known" } else { "several peers are known" };
        return Err(Failure::error(format!("{told} by this address")).hint("`toq peers` shows them; name the one by its key"));
    };
    client
        .delete::<(), ()>(&["v1", "peers", key, "conversations"], None)
        .await
        .map_err(|error| Failure::from(error).after("Nothing was forgotten"))?;
    desk.output.answer(|| json!({ "forgotten": key }), || format!("Handlers know nothing of {} any more", sanitize::name(key)))
}

fn logs(desk: &Desk, name: &str) -> Result<(), Failure> {
    let none = || format!("No logs for handler '{}'", sanitize::name(name));
    // The name becomes part of a path.
    let log = if is_name(name) { read(&desk.dir()?, name) } else { None };
    let Some(log) = log else { return desk.output.answer(|| json!({"lines": []}), none) };
    let text = String::from_utf8_lossy(&log);
    desk.output
        .answer(|| json!({ "lines": text.lines().collect::<Vec<_>>() }), || text.lines().map(sanitize::text).collect::<Vec<_>>().join("\n"))
}

/// The log before and the log now; nothing where there is neither.
fn read(dir: &Path, name: &str) -> Option<Vec<u8>> {
    let path = toq_net::shell::RunLog::path(&dir.join("logs").join("handlers"), name);
    let texts = [path.with_extension("log.1"), path].map(|path| std::fs::read(path).ok());
    texts.iter().any(Option::is_some).then(|| texts.into_iter().flatten().flatten().collect())
}

/// Tells a daemon that runs to read the definitions again; what handlers that are gone leave behind.
async fn reload(desk: &Desk) -> Result<Vec<HandlerLeft>, Failure> {
    if state::live(&desk.dir()?)?.is_none() {
        return Ok(Vec::new());
    }
    let told: Result<HandlerChanged, _> = desk.client()?.post(&["v1", "handlers", "reload"], &[], &json!({})).await;
    match told {
        Ok(changed) => Ok(changed.left),
        Err(error) => Err(Failure::from(error).after("handlers.toml is changed, but the daemon did not take it over")),
    }
}

/// In the published words.
fn failed(error: HandlersError) -> Failure {
    match error {
        HandlersError::Exists(_) => Failure::error(format!("io error: {error}")),
        HandlersError::Unknown(name) => Failure::told(format!("Handler '{}' not found", sanitize::name(&name))),
        HandlersError::Config(error) => error.into(),
        other => Failure::error(chain(&other)),
    }
}
