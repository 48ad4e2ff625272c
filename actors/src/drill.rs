//! Panics on demand, to prove that they cost one actor and no message. Only in builds for the checkers.

use actix::{Context, Handler, Message};

use crate::approval::Approval;
use crate::connection::Connection;
use crate::door::Door;
use crate::handler::HandlerActor;
use crate::outbox::Outbox;
use crate::registry::Registry;
use crate::stream::{IncomingStream, OutgoingStream};
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
    /// Every stream, in both directions.
    Streams,
    /// Every open question.
    Approvals,
    /// Every handler.
    Handlers,
    /// Every listener of the process. Only the registry listens to this one.
    Doors,
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
            Drill::Streams => {
                self.incoming.iter().for_each(|(_, child)| child.do_send(drill));
                self.outgoing.iter().for_each(|(_, child)| child.do_send(drill));
            }
            Drill::Approvals => self.approvals.iter().for_each(|(_, child)| child.do_send(drill)),
            Drill::Handlers => self.handlers.iter().for_each(|(_, child)| child.do_send(drill)),
            Drill::Doors => {}
            Drill::Workspace => panic!("a drill"),
        }
    }
}

impl Handler<Drill> for Registry {
    type Result = ();

    fn handle(&mut self, drill: Drill, _: &mut Context<Self>) {
        self.doors.iter().for_each(|(_, child)| child.do_send(drill));
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

drilled!(Approval, Connection, Door, HandlerActor, IncomingStream, Outbox, OutgoingStream, Thread);
