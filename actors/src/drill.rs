//! Panics on demand, to prove that they cost one actor and no message. Only in builds for the checkers.

use actix::{Context, Handler, Message};

use crate::connection::Connection;
use crate::outbox::Outbox;
use crate::thread::Thread;
use crate::workspace::Workspace;

/// Who shall panic.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub enum Drill {
    /// Every connection of the workspace.
    Connections,
    /// Every outbox.
    Outboxes,
    /// Every thread.
    Threads,
    /// The workspace itself.
    Workspace,
}

impl Handler<Drill> for Workspace {
    type Result = ();

    fn handle(&mut self, drill: Drill, _: &mut Context<Self>) {
        match drill {
            Drill::Connections => self.connections.iter().for_each(|(_, child)| child.do_send(drill)),
            Drill::Outboxes => self.outboxes.iter().for_each(|(_, child)| child.do_send(drill)),
            Drill::Threads => self.threads.iter().for_each(|(_, child)| child.do_send(drill)),
            Drill::Workspace => panic!("a drill"),
        }
    }
}

macro_rules! drilled {
    ($($actor:ty),*) => {$(
        impl Handler<Drill> for $actor {
            type Result = ();

            fn handle(&mut self, _: Drill, _: &mut Context<Self>) {
                panic!("a drill")
            }
        }
    )*};
}

drilled!(Connection, Outbox, Thread);
