//! What reacts to messages: one actor for each configured handler.
//!
//! It owns its place in the log (a consumer like any other), the order in which messages are taken and the seats of
//! its runs. An attempt is committed before it starts, so a message that takes the process down with it is known at
//! the next start. After too many attempts the message is set aside where its owner finds it; none is skipped.
//!
//! What a run does is a [`Work`]; this actor knows neither processes nor providers.
//!
//! What an attacker would try: start a thousand runs (there are seats, and the rest waits in the log), fail for ever
//! (attempts are counted on disk), make two agents answer each other without end (automatic answers are marked and
//! counted), and use a run to do more than answer (its pass is good for one conversation and ends with it).

mod damper;
mod handlers;
pub mod llm;
mod messages;
pub mod pass;
mod purse;
mod queue;
mod run;
mod shell;
pub mod work;
pub mod workshop;

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, Addr, Context, SpawnHandle};
use tokio::sync::{oneshot, watch};
use toq_config::HandlerConfig;
use toq_kit::{Credit, Lifeline};
use toq_protocol::filter::Filter;
use toq_store::Seq;
use toq_store::record::ConsumerRow;

pub use llm::Models;
pub use messages::{CONSUMER, Condition, HandlerName, Pause, Redefine, Resume, Retry, Show, Stop, View};
pub use pass::Pass;
pub use work::{NoHandlers, Order, Reaction, RunError, Running, Streamed, Work, Workshop};
pub use workshop::{Bench, FileWorkshop};

use crate::home::Home;
use crate::workspace::Workspace;
use queue::Queue;

/// One handler.
pub struct HandlerActor {
    home: Arc<Home>,
    workspace: Addr<Workspace>,
    definition: Arc<HandlerConfig>,
    filter: Filter,
    work: Result<Arc<dyn Work>, String>,
    /// Seats that all handlers of the workspace share.
    seats: Credit,
    consumer: String,
    cursor: Seq,
    /// What was confirmed out of order before this life began.
    done: ConsumerRow,
    /// What was read and is not wanted, to be confirmed with the next commit.
    skipped: Vec<Seq>,
    queue: Queue,
    runs: HashMap<u64, RunSeat>,
    is_paused: bool,
    broken: Option<String>,
    timer: Option<SpawnHandle>,
    /// Who waits for the orderly end.
    drains: Vec<oneshot::Sender<()>>,
    is_draining: bool,
    lifeline: Lifeline<HandlerName>,
}

/// A run in progress.
struct RunSeat {
    future: SpawnHandle,
    process: watch::Receiver<Option<u32>>,
}

/// What a handler begins with.
pub struct Beginning {
    /// Its definition.
    pub definition: Arc<HandlerConfig>,
    /// What it does.
    pub work: Result<Arc<dyn Work>, String>,
    /// Seats that all handlers of the workspace share.
    pub seats: Credit,
}

impl HandlerActor {
    /// Makes the actor of a handler.
    #[must_use]
    pub fn new(home: Arc<Home>, workspace: Addr<Workspace>, beginning: Beginning, lifeline: Lifeline<HandlerName>) -> Self {
        let Beginning { definition, work, seats } = beginning;
        Self {
            home,
            workspace,
            filter: definition.filter(),
            consumer: lifeline.key().consumer(),
            definition,
            work,
            seats,
            cursor: Seq(0),
            done: ConsumerRow::default(),
            skipped: Vec::new(),
            queue: Queue::default(),
            runs: HashMap::new(),
            is_paused: false,
            broken: None,
            timer: None,
            drains: Vec::new(),
            is_draining: false,
            lifeline,
        }
    }

    fn condition(&self) -> Condition {
        match (&self.broken, &self.work, self.is_paused) {
            (Some(reason), _, _) | (None, Err(reason), _) => Condition::Broken(reason.clone()),
            (None, Ok(_), true) => Condition::Paused,
            (None, Ok(_), false) => Condition::Working,
        }
    }
}

impl Actor for HandlerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
    }
}
