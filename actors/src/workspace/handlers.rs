//! Handlers: which there are, whose end means what, and how they answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseActFuture, ResponseFuture, WrapFuture as _};
use futures_util::future::join_all;
use toq_config::HandlerConfig;
use toq_kit::{Backoff, Credit, Drain, Exited, Fate, How, Lifeline};
use toq_protocol::address::Address;
use toq_store::batch::Change;
use toq_store::{Batch, Seq};

use super::{Workspace, WorkspaceError};
use crate::handler::pass::{FindPass, Grant, Opened, Withdraw};
use crate::handler::{Beginning, CONSUMER, Condition, HandlerActor, HandlerName, Pass, Pause, Redefine, Resume, Retry, Show, Stop, View};
use crate::home::Home;

/// The first and the longest pause before a handler that panicked is started again.
const RESTART: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

type Ctx = Context<Workspace>;

/// What a workspace knows of its handlers besides the living ones.
pub(super) struct Handlers {
    /// In the order of the file.
    definitions: Vec<Arc<HandlerConfig>>,
    /// Those that panicked too often, until they are resumed.
    given_up: HashMap<HandlerName, String>,
    pauses: HashMap<HandlerName, Backoff>,
    passes: HashMap<String, Pass>,
    seats: Credit,
}

impl Handlers {
    pub(super) fn new(home: &Home) -> Self {
        Self {
            definitions: Vec::new(),
            given_up: HashMap::new(),
            pauses: HashMap::new(),
            passes: HashMap::new(),
            seats: Credit::new(home.config.limits.max_runs),
        }
    }
}

impl Handlers {
    /// Whether a handler that is switched on wants messages from this address, whatever else it wants of them.
    pub(super) fn names(&self, address: &Address) -> bool {
        let from = address.wire();
        let names = |definition: &Arc<HandlerConfig>| definition.filter().from.iter().any(|pattern| pattern.matches_text(&from));
        self.definitions.iter().filter(|definition| definition.enabled).any(names)
    }
}

/// When the definitions of handlers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// The workspace begins.
    Start,
    /// Its owner says so.
    Reload,
}

/// What a handler that was removed leaves behind. The messages stay in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// Which handler.
    pub handler: HandlerName,
    /// How many messages waited or were being handled.
    pub unhandled: u64,
    /// How many it had set aside.
    pub set_aside: u64,
}

impl LeftBehind {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        format!("removed with {} message(s) unhandled and {} set aside", self.unhandled, self.set_aside)
    }
}

/// What follows from the definitions.
#[derive(Default)]
pub(super) struct Arranged {
    changes: Vec<Change>,
    left: Vec<LeftBehind>,
}

/// Read the handlers' definitions again and live by them; answers when new handlers have their place, and says what those that are gone
/// leave behind.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Vec<LeftBehind>, WorkspaceError>")]
pub struct Reload;

/// Show every handler, in the order of their definitions.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<View>")]
pub struct ShowHandlers;

/// Tell one handler something. Answers how many runs ended, or nothing where no handler has this name.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<usize>")]
pub struct Tell {
    /// Which handler.
    pub handler: HandlerName,
    /// What.
    pub what: Told,
}

/// What a handler can be told.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// Begin no run.
    Pause,
    /// Go on.
    Resume,
    /// End runs at once.
    Stop(Stop),
}

/// Offer messages again that a handler had set aside; answers how many when that is on disk, or nothing where no handler that
/// is switched on has this name.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Option<usize>, WorkspaceError>")]
pub struct TryAgain {
    /// Which handler.
    pub handler: HandlerName,
    /// Which messages.
    pub messages: Vec<Seq>,
}

impl Workspace {
    /// Starts, changes and ends handlers so that they are as their definitions say. The changes to be committed
    /// come back, and what is left behind.
    pub(super) fn arrange_handlers(&mut self, occasion: Occasion, ctx: &mut Ctx) -> Result<Arranged, String> {
        let definitions: Vec<_> = self.home.workshop.definitions()?.into_iter().map(Arc::new).collect();
        let mut changes = Vec::new();
        let gone: Vec<HandlerName> = {
            let is_active = |name: &HandlerName| definitions.iter().any(|new| new.enabled && new.name == name.0);
            self.handlers.iter().map(|(name, _)| name.clone()).filter(|name| !is_active(name)).collect()
        };
        for name in gone {
            if let Some(handler) = self.handlers.remove(&name) {
                handler.do_send(Drain { grace: Duration::ZERO });
            }
        }
        let (home, mut left) = (self.home.clone(), Vec::new());
        let reader = home.store.reader();
        for (consumer, place) in reader.consumers().map_err(|error| error.to_string())? {
            let is_gone = |name: &str| !definitions.iter().any(|new| new.name == name);
            if let Some(name) = consumer.strip_prefix(CONSUMER).filter(|name| is_gone(name)) {
                let unhandled = reader.unconfirmed(&place).map_err(|error| error.to_string())?;
                let set_aside = reader.set_aside(&consumer, usize::MAX).map_err(|error| error.to_string())?.len() as u64;
                left.push(LeftBehind { handler: HandlerName(name.to_owned()), unhandled, set_aside });
                changes.extend([Change::RemoveConsumer(consumer.clone()), Change::ForgetSetAside(consumer)]);
            }
        }
        left.retain(|left| left.unhandled + left.set_aside > 0);
        for left in &left {
            tracing::warn!(handler = %left.handler.0, "{}; the messages stay in the history", left.words());
            changes.push(self.event("handler.removed", &left.handler.0, None, Some(&left.words())));
        }
        let before = std::mem::replace(&mut self.arranged.definitions, definitions.clone());
        changes.push(self.recorded_handlers((occasion == Occasion::Reload).then_some(before.as_slice()), &definitions));
        for definition in definitions {
            let name = HandlerName(definition.name.clone());
            if !definition.enabled {
                // It keeps its place: once enabled, it goes on with what waits, and does not react to what came meanwhile.
                changes.push(Change::Rest(name.consumer(), reader.last()));
                continue;
            }
            let is_same = before.iter().any(|old| **old == *definition);
            let work = || self.home.workshop.work(&definition);
            match self.handlers.find(&name) {
                Some(handler) if !is_same => handler.do_send(Redefine { work: work(), definition }),
                Some(_) => {}
                None => {
                    self.arranged.given_up.remove(&name);
                    changes.extend([Change::Wake(name.consumer()), Change::AddConsumer(name.consumer(), reader.last())]);
                    self.start_handler(&definition, ctx);
                }
            }
        }
        Ok(Arranged { changes, left })
    }

    /// Starts the handlers of a workspace that begins.
    pub(super) fn begin_handlers(&mut self, ctx: &mut Ctx) {
        match self.arrange_handlers(Occasion::Start, ctx) {
            Ok(Arranged { changes, .. }) if changes.is_empty() => {}
            Ok(Arranged { changes, .. }) => {
                let journal = self.home.store.journal().clone();
                let committing = async move { journal.commit(Batch::new(changes)).await };
                ctx.spawn(committing.into_actor(self).map(|result, _, _| {
                    if let Err(error) = result {
                        tracing::error!(%error, "the places of new handlers are not on disk");
                    }
                }));
            }
            Err(reason) => tracing::error!(reason = %reason.escape_debug(), "no handler runs"),
        }
    }

    fn start_handler(&mut self, definition: &Arc<HandlerConfig>, ctx: &mut Ctx) {
        let name = HandlerName(definition.name.clone());
        let (home, seat, parent) = (self.home.clone(), self.seat.clone(), ctx.address());
        let work = home.workshop.work(definition);
        let beginning = Beginning { definition: definition.clone(), work, seats: self.arranged.seats.clone() };
        self.handlers.find_or_start(&name, |generation| {
            let lifeline = Lifeline::new(name.clone(), generation, parent.clone().recipient());
            seat.start(move |_| HandlerActor::new(home, parent, beginning, lifeline))
        });
    }

    fn definition(&self, name: &HandlerName) -> Option<Arc<HandlerConfig>> {
        self.arranged.definitions.iter().find(|definition| definition.name == name.0).cloned()
    }
}

impl Handler<Reload> for Workspace {
    type Result = ResponseFuture<Result<Vec<LeftBehind>, WorkspaceError>>;

    fn handle(&mut self, _: Reload, ctx: &mut Ctx) -> Self::Result {
        if self.is_draining {
            return Box::pin(async { Err(WorkspaceError::Draining) });
        }
        match self.arrange_handlers(Occasion::Reload, ctx) {
            Ok(Arranged { changes, left }) if changes.is_empty() => Box::pin(async { Ok(left) }),
            Ok(Arranged { changes, left }) => {
                let journal = self.home.store.journal().clone();
                Box::pin(async move { Ok(journal.commit(Batch::new(changes)).await.map(|_| left)?) })
            }
            Err(reason) => Box::pin(async { Err(WorkspaceError::Handlers(reason)) }),
        }
    }
}

impl Handler<ShowHandlers> for Workspace {
    type Result = ResponseFuture<Vec<View>>;

    fn handle(&mut self, _: ShowHandlers, _: &mut Ctx) -> Self::Result {
        let asked: Vec<_> = self
            .arranged
            .definitions
            .iter()
            .map(|definition| {
                let name = HandlerName(definition.name.clone());
                let condition = match (definition.enabled, self.arranged.given_up.get(&name)) {
                    (false, _) => Condition::Disabled,
                    (true, Some(reason)) => Condition::Broken(reason.clone()),
                    (true, None) => Condition::Working,
                };
                let resting = View::resting(definition.clone(), condition);
                let shown = self.handlers.find(&name).map(|handler| handler.send(Show));
                async move {
                    match shown {
                        Some(shown) => shown.await.unwrap_or(resting),
                        None => resting,
                    }
                }
            })
            .collect();
        Box::pin(join_all(asked))
    }
}

impl Handler<Tell> for Workspace {
    type Result = ResponseFuture<Option<usize>>;

    fn handle(&mut self, tell: Tell, ctx: &mut Ctx) -> Self::Result {
        let Some(definition) = self.definition(&tell.handler) else { return Box::pin(async { None }) };
        if matches!(tell.what, Told::Resume) && definition.enabled && self.arranged.given_up.remove(&tell.handler).is_some() {
            self.start_handler(&definition, ctx);
        }
        let Some(handler) = self.handlers.find(&tell.handler).cloned() else { return Box::pin(async { Some(0) }) };
        if matches!(tell.what, Told::Resume) {
            // What was broken from its birth, for want of a key, may be made now.
            handler.do_send(Redefine { work: self.home.workshop.work(&definition), definition });
        }
        Box::pin(async move {
            match tell.what {
                Told::Pause => handler.send(Pause).await.map(|()| 0).ok().or(Some(0)),
                Told::Resume => handler.send(Resume).await.map(|()| 0).ok().or(Some(0)),
                Told::Stop(stop) => handler.send(stop).await.ok().or(Some(0)),
            }
        })
    }
}

impl Handler<TryAgain> for Workspace {
    type Result = ResponseActFuture<Self, Result<Option<usize>, WorkspaceError>>;

    fn handle(&mut self, again: TryAgain, _: &mut Ctx) -> Self::Result {
        let TryAgain { handler, messages } = again;
        if self.definition(&handler).is_none_or(|definition| !definition.enabled) {
            return Box::pin(async { Ok(None) }.into_actor(self));
        }
        let (journal, batch) = (self.home.store.journal().clone(), Batch::new(vec![Change::Retry(handler.consumer(), messages.clone())]));
        let committing = async move { journal.commit(batch).await };
        Box::pin(committing.into_actor(self).map(move |result, act, _| {
            result?;
            let count = messages.len();
            // One that does not live finds them in its place when it begins.
            if let Some(living) = act.handlers.find(&handler) {
                living.do_send(Retry(messages));
            }
            Ok(Some(count))
        }))
    }
}

impl Handler<Exited<HandlerName>> for Workspace {
    type Result = ();

    fn handle(&mut self, exited: Exited<HandlerName>, ctx: &mut Ctx) {
        let fate = self.handlers.exited(&exited, self.home.clock.monotonic());
        self.note_end("handler", &exited.key.0, exited.how, fate);
        if fate != Fate::Ignore {
            self.arranged.passes.retain(|_, pass| pass.handler != exited.key);
        }
        if exited.how == How::Finished || fate == Fate::Ignore || self.is_draining {
            return;
        }
        let name = exited.key;
        if fate == Fate::GiveUp {
            self.arranged.given_up.insert(name, "it panicked again and again".to_owned());
            return;
        }
        let pause = self.arranged.pauses.entry(name.clone()).or_insert_with(|| Backoff::new(RESTART.0, RESTART.1));
        let pause = pause.next(self.home.jitter());
        ctx.run_later(pause, move |act, ctx| {
            if let Some(definition) = act.definition(&name).filter(|definition| definition.enabled && !act.is_draining) {
                act.start_handler(&definition, ctx);
            }
        });
    }
}

impl Handler<Grant> for Workspace {
    type Result = ();

    fn handle(&mut self, grant: Grant, _: &mut Ctx) {
        self.arranged.passes.insert(grant.token, grant.pass);
    }
}

impl Handler<Withdraw> for Workspace {
    type Result = ();

    fn handle(&mut self, withdraw: Withdraw, _: &mut Ctx) {
        self.arranged.passes.remove(&withdraw.0);
    }
}

impl Handler<FindPass> for Workspace {
    type Result = actix::MessageResult<FindPass>;

    fn handle(&mut self, find: FindPass, _: &mut Ctx) -> Self::Result {
        actix::MessageResult(self.arranged.passes.get(&find.0).cloned())
    }
}

impl Handler<Opened> for Workspace {
    type Result = ();

    fn handle(&mut self, opened: Opened, _: &mut Ctx) {
        if let Some(pass) = self.arranged.passes.get_mut(&opened.token) {
            pass.streams.push(opened.stream_id);
        }
    }
}
