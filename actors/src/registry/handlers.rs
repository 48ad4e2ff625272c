//! Opening, finding, starting again, draining.

use std::time::Duration;

use actix::{
    ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Recipient, ResponseActFuture, ResponseFuture, WrapFuture as _,
};
use futures_util::future::join_all;
use tokio::sync::watch;
use toq_kit::{Backoff, Drain, Exited, Fate, How, Lifeline, drain};

use super::{Close, Find, Found, Kept, Open, OpenDoor, Registry, WorkspaceId, WorkspaceRef, Workspaces};
use crate::describe::{Describe, Description};
use crate::door::{Door, DoorKey};
use crate::home::Counters;
use crate::workspace::Workspace;

/// Pauses before a workspace is started again.
const RESTART_FIRST: Duration = Duration::from_millis(100);
/// See [`RESTART_FIRST`].
const RESTART_LONGEST: Duration = Duration::from_secs(30);

type Ctx = Context<Registry>;

impl Registry {
    fn start(&mut self, id: &WorkspaceId, ctx: &mut Ctx) -> Option<Addr<Workspace>> {
        let kept = self.kept.get(id)?;
        let (home, seat, parent) = (kept.home.clone(), kept.seat.clone(), ctx.address());
        let started = self.workspaces.find_or_start(id, |generation| {
            let lifeline = Lifeline::new(id.clone(), generation, parent.recipient());
            let own_seat = seat.clone();
            seat.start(move |_| Workspace::new(home, own_seat, lifeline))
        });
        Some(started.clone())
    }
}

impl Handler<Open> for Registry {
    type Result = actix::MessageResult<Open>;

    fn handle(&mut self, open: Open, ctx: &mut Ctx) -> Self::Result {
        let id = WorkspaceId(open.home.id.clone());
        let (home, seat, parent) = (open.home.clone(), open.seat.clone(), ctx.address());
        let address = self.workspaces.find_or_start(&id, |generation| {
            let lifeline = Lifeline::new(id.clone(), generation, parent.recipient());
            let own_seat = seat.clone();
            seat.start(move |_| Workspace::new(home, own_seat, lifeline))
        });
        let address = address.clone();
        let kept = self.kept.entry(id).or_insert_with(|| Kept {
            home: open.home.clone(),
            seat: open.seat,
            current: watch::Sender::new(address),
            backoff: Backoff::new(RESTART_FIRST, RESTART_LONGEST),
        });
        actix::MessageResult(WorkspaceRef { home: open.home, current: kept.current.subscribe() })
    }
}

impl Handler<Workspaces> for Registry {
    type Result = actix::MessageResult<Workspaces>;

    fn handle(&mut self, _: Workspaces, _: &mut Ctx) -> Self::Result {
        let reference = |kept: &Kept| WorkspaceRef { home: kept.home.clone(), current: kept.current.subscribe() };
        actix::MessageResult(self.kept.values().map(reference).collect())
    }
}

impl Handler<Exited<WorkspaceId>> for Registry {
    type Result = ();

    fn handle(&mut self, exited: Exited<WorkspaceId>, ctx: &mut Ctx) {
        let fate = self.workspaces.exited(&exited, self.clock.monotonic());
        let Some(kept) = self.kept.get_mut(&exited.key) else { return };
        if exited.how == How::Panicked {
            Counters::count(&kept.home.counters.panics);
        }
        if fate == Fate::Ignore || self.is_draining {
            return;
        }
        let pause = kept.backoff.next(kept.home.jitter());
        tracing::error!(workspace = %exited.key.0, how = ?exited.how, ?pause, "a workspace ended and is started again from its rows");
        ctx.run_later(pause, move |act, ctx| {
            let Some(address) = act.start(&exited.key, ctx) else { return };
            if let Some(kept) = act.kept.get(&exited.key) {
                kept.current.send_replace(address);
            }
        });
    }
}

impl Handler<Close> for Registry {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, close: Close, _: &mut Ctx) -> Self::Result {
        let kept = self.kept.remove(&close.0);
        let workspace = self.workspaces.remove(&close.0);
        let grace = kept.map_or(Duration::ZERO, |kept| kept.home.config.graceful_shutdown_timeout);
        let draining = async move {
            if let Some(workspace) = workspace {
                drain(vec![workspace.recipient()], grace).await;
            }
        };
        Box::pin(draining.into_actor(self).map(|(), _, _| ()))
    }
}

impl Registry {
    /// Starts the actor of a door that is listened at; false where the process has no descriptor left for it.
    fn listen(&mut self, key: DoorKey, ctx: &mut Ctx) -> bool {
        let Some((kept, _)) = self.listening.get(&key) else { return true };
        let open = match kept.again() {
            Ok(open) => open,
            Err(error) => {
                tracing::error!(address = %key.0, %error, "a listener cannot be started again yet");
                return false;
            }
        };
        let (clock, parent, seat) = (self.clock, ctx.address(), open.seat.clone());
        self.doors.find_or_start(&key, |generation| {
            let lifeline = Lifeline::new(key, generation, parent.clone().recipient());
            seat.start(move |_| Door::new(open, clock, parent, lifeline))
        });
        true
    }

    fn listen_later(&mut self, key: DoorKey, ctx: &mut Ctx) {
        let Some((_, backoff)) = self.listening.get_mut(&key) else { return };
        // One listener has nobody to keep in step with, so its pauses need no jitter.
        let pause = backoff.next(0);
        ctx.run_later(pause, move |act, ctx| {
            if !act.is_draining && !act.listen(key, ctx) {
                act.listen_later(key, ctx);
            }
        });
    }
}

impl Handler<OpenDoor> for Registry {
    type Result = ();

    fn handle(&mut self, open: OpenDoor, ctx: &mut Ctx) {
        let Ok(address) = open.listener.local_addr() else { return };
        let key = DoorKey(address);
        self.listening.insert(key, (open, Backoff::new(RESTART_FIRST, RESTART_LONGEST)));
        if !self.listen(key, ctx) {
            self.listen_later(key, ctx);
        }
    }
}

impl Handler<Exited<DoorKey>> for Registry {
    type Result = ();

    fn handle(&mut self, exited: Exited<DoorKey>, ctx: &mut Ctx) {
        let fate = self.doors.exited(&exited, self.clock.monotonic());
        if fate == Fate::Ignore || self.is_draining {
            return;
        }
        tracing::error!(address = %exited.key.0, how = ?exited.how, "a listener ended and is started again");
        self.listen_later(exited.key, ctx);
    }
}

impl Handler<Find> for Registry {
    type Result = Found;

    fn handle(&mut self, find: Find, _: &mut Ctx) -> Found {
        let named = |kept: &&Kept| find.target.as_deref().is_none_or(|name| kept.home.config.agent_name.as_str() == name);
        let is_ambiguous = find.target.is_none() && self.kept.len() != 1;
        let found = self.kept.values().find(named).filter(|_| !is_ambiguous);
        match found {
            Some(kept) => Found::Workspace(kept.current.borrow().clone()),
            None => Found::Nobody(self.kept.values().next().map_or_else(String::new, |kept| kept.home.config.agent_name.to_string())),
        }
    }
}

impl Handler<Drain> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, order: Drain, _: &mut Ctx) -> Self::Result {
        self.is_draining = true;
        self.listening.clear();
        let doors: Vec<_> = self.doors.iter().map(|(_, door)| door.clone().recipient()).collect();
        let workspaces: Vec<_> = self.workspaces.iter().map(|(_, workspace)| workspace.clone().recipient()).collect();
        Box::pin(async move {
            drain(doors, order.grace).await;
            drain(workspaces, order.grace).await;
        })
    }
}

impl Handler<Describe> for Registry {
    type Result = ResponseFuture<Description>;

    fn handle(&mut self, _: Describe, _: &mut Ctx) -> Self::Result {
        let doors = self.doors.iter().map(|(_, door)| door.clone().recipient());
        let workspaces = self.workspaces.iter().map(|(_, workspace)| workspace.clone().recipient());
        let children: Vec<Recipient<Describe>> = doors.chain(workspaces).collect();
        let panics = self.doors.panics() + self.workspaces.panics();
        Box::pin(async move {
            let children = join_all(children.iter().map(|child| child.send(Describe))).await.into_iter().filter_map(Result::ok).collect();
            Description { name: "registry".to_owned(), kind: "registry", detail: vec![("panics", panics.to_string())], children }
        })
    }
}
