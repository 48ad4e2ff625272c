//! Panics on demand, to prove that they cost one actor and nothing that was accepted. Only in builds for the checkers.

use actix::{Context, Handler, Message};
use toq_channels::ChannelName;

use crate::scribe::Scribe;
use crate::subscriber::Subscriber;
use crate::sweeper::Sweeper;
use crate::topic::Topic;

/// Who shall panic.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum Drill {
    /// The topic of this channel.
    Topic(ChannelName),
    /// Every connection.
    Subscribers,
    /// What writes to every connection.
    Pumps,
    /// The scribe.
    Scribe,
    /// The sweeper.
    Sweeper,
}

impl Handler<Drill> for Subscriber {
    type Result = ();

    fn handle(&mut self, drill: Drill, _: &mut Context<Self>) {
        match drill {
            Drill::Pumps => self.break_pump(),
            _ => panic!("a drill"),
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

drilled!(Scribe, Sweeper, Topic);
