//! The root of the tree: every connection and every channel that is awake.
//!
//! Whatever a connection wants of a channel goes through here, so that it reaches the channel's topic in the order in which it was
//! asked for, and a topic that has gone to sleep or panicked is there again. When a topic or the scribe ends badly, publications may be
//! lost that nobody was told of: the connections that could wait for them are ended. Members connect again and send what was
//! not accepted, with the same tags.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, ResponseFuture};
use tonic::Status;
use toq_channels::ChannelName;
use toq_kit::{Drain, Exited, Fate, How, Lifeline, Roster, Seat, drain};
use uuid::Uuid;

use crate::awake::{Awake, Payer};
#[cfg(feature = "faults")]
use crate::drill::Drill;
use crate::holders::Holders;
use crate::home::{Counters, Home};
use crate::scribe::{Scribe, ScribeKey};
use crate::subscriber::{Crowded, End, Newcomer, Recheck, STOPPING, Subscriber, SubscriberKey, Undone};
use crate::sweeper::{Sweeper, SweeperKey};
use crate::topic::{Author, Order, Retire, Topic};

/// See the module.
#[derive(Debug)]
pub struct Registry {
    home: Arc<Home>,
    seat: Seat,
    topics: Roster<ChannelName, Topic>,
    awake: Awake,
    subscribers: Roster<SubscriberKey, Subscriber>,
    holders: Holders,
    scribes: Roster<ScribeKey, Scribe>,
    sweepers: Roster<SweeperKey, Sweeper>,
    next: u64,
    is_draining: bool,
}

/// Somebody has connected.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Connect(pub Box<Newcomer>);

/// Something for a channel's topic.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Route {
    /// Which channel.
    pub channel: ChannelName,
    /// Who pays for waking it.
    pub payer: Payer,
    /// What.
    pub order: Order,
}

/// API keys were revoked, or somebody may no longer take part in a channel.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Revoke {
    /// Which keys.
    pub keys: BTreeSet<Uuid>,
    /// In which channels.
    pub channels: Vec<ChannelName>,
}

/// A topic has nothing to do.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Idle {
    /// Which channel.
    pub channel: ChannelName,
    /// Which life of its topic.
    pub generation: u64,
    /// How much was asked of it in that life.
    pub orders: u64,
}

impl Registry {
    /// Makes the root of a tree whose actors run on `seat`.
    #[must_use]
    pub fn new(home: Arc<Home>, seat: Seat) -> Self {
        Self {
            awake: Awake::new(home.limits.channels_in_use),
            home,
            seat,
            topics: Roster::new(),
            subscribers: Roster::new(),
            holders: Holders::default(),
            scribes: Roster::new(),
            sweepers: Roster::new(),
            next: 1,
            is_draining: false,
        }
    }

    fn scribe(&mut self, parent: Addr<Self>) -> Addr<Scribe> {
        let (home, seat) = (self.home.clone(), self.seat.clone());
        let start = |generation| seat.start(move |_| Scribe::new(home, Lifeline::new(ScribeKey, generation, parent.recipient())));
        self.scribes.find_or_start(&ScribeKey, start).clone()
    }

    /// The topic of a channel, woken where it sleeps.
    fn topic(&mut self, channel: &ChannelName, payer: Payer, parent: Addr<Self>) -> Result<Addr<Topic>, String> {
        if let Some(topic) = self.topics.find(channel) {
            return Ok(topic.clone());
        }
        self.awake.may(&payer)?;
        self.awake.woke(channel, payer);
        let scribe = self.scribe(parent.clone());
        let (home, seat, name) = (self.home.clone(), self.seat.clone(), channel.clone());
        let start = |generation| {
            let lifeline = Lifeline::new(name.clone(), generation, parent.clone().recipient());
            seat.start(move |_| Topic::new(name, home, scribe, parent, lifeline))
        };
        let topic = self.topics.find_or_start(channel, start).clone();
        self.home.counters.topics.store(self.topics.len() as u64, Ordering::Relaxed);
        Ok(topic)
    }

    /// Notes that a topic may be gone.
    fn slept(&mut self, channel: &ChannelName) {
        if self.topics.find(channel).is_none() {
            self.awake.slept(channel);
        }
    }

    /// Ends connections that may wait for an answer that does not come.
    fn end(&self, channel: Option<&ChannelName>) {
        for (_, subscriber) in self.subscribers.iter() {
            subscriber.do_send(End { of: channel.cloned() });
        }
    }

    fn note(&self, how: How) {
        if how == How::Panicked {
            Counters::count(&self.home.counters.panics);
        }
        self.home.counters.topics.store(self.topics.len() as u64, Ordering::Relaxed);
        self.home.counters.connections.store(self.subscribers.len() as u64, Ordering::Relaxed);
    }

    fn sweep(&mut self, parent: Addr<Self>) {
        let (home, seat) = (self.home.clone(), self.seat.clone());
        let start = |generation| seat.start(move |_| Sweeper::new(home, Lifeline::new(SweeperKey, generation, parent.recipient())));
        self.sweepers.find_or_start(&SweeperKey, start);
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sweep(ctx.address());
    }
}

impl Handler<Connect> for Registry {
    type Result = ();

    fn handle(&mut self, Connect(newcomer): Connect, ctx: &mut Self::Context) {
        if self.is_draining {
            // There is room: nothing was sent yet.
            let _gone = newcomer.outgoing.try_send(Err(Status::unavailable(STOPPING)));
            return;
        }
        let key = SubscriberKey(self.next);
        self.next += 1;
        self.holders.entered(key, newcomer.account.key.as_deref());
        let (home, seat, parent) = (self.home.clone(), self.seat.clone(), ctx.address());
        self.subscribers.find_or_start(&key, |generation| {
            let lifeline = Lifeline::new(key, generation, parent.clone().recipient());
            seat.start(move |_| Subscriber::new(*newcomer, home, parent, lifeline))
        });
        self.home.counters.connections.store(self.subscribers.len() as u64, Ordering::Relaxed);
    }
}

impl Handler<Route> for Registry {
    type Result = ();

    fn handle(&mut self, route: Route, ctx: &mut Self::Context) {
        let Route { channel, payer, order } = route;
        if let Order::Leave(_) = order {
            // Who sleeps knows of nobody.
            if let Some(topic) = self.topics.find(&channel) {
                self.awake.asked(&channel);
                topic.do_send(order);
            }
            return;
        }
        match self.topic(&channel, payer, ctx.address()) {
            Ok(topic) => {
                self.awake.asked(&channel);
                topic.do_send(order);
            }
            Err(why) => match order {
                Order::Join { subscriber, wish, .. } => subscriber.do_send(Crowded { channel, what: Undone::Wish(wish), why }),
                Order::Publish { author: Author { subscriber, tag, own }, .. } => {
                    subscriber.do_send(Crowded { channel, what: Undone::Publication { tag, own }, why });
                }
                Order::Leave(_) => {}
            },
        }
    }
}

impl Handler<Revoke> for Registry {
    type Result = ();

    fn handle(&mut self, revoke: Revoke, _: &mut Self::Context) {
        // Only those whom it concerns: whoever may revoke and register would have everybody else look again and again.
        for holder in revoke.keys.iter().flat_map(|key| self.holders.of(key)) {
            if let Some(subscriber) = self.subscribers.find(holder) {
                subscriber.do_send(Recheck { channel: None });
            }
        }
        for channel in revoke.channels {
            if let Some(topic) = self.topics.find(&channel) {
                topic.do_send(Recheck { channel: Some(channel) });
            }
        }
    }
}

impl Handler<Idle> for Registry {
    type Result = ();

    fn handle(&mut self, idle: Idle, _: &mut Self::Context) {
        // Something may have been routed to it since it looked: then it is not idle, and looks again later.
        if !self.awake.is_quiet(&idle.channel, idle.orders) {
            return;
        }
        if let Some(topic) = self.topics.remove_generation(&idle.channel, idle.generation) {
            self.slept(&idle.channel);
            topic.do_send(Retire::WhenDone);
        }
    }
}

impl Handler<Exited<ChannelName>> for Registry {
    type Result = ();

    fn handle(&mut self, exited: Exited<ChannelName>, _: &mut Self::Context) {
        let fate = self.topics.exited(&exited, self.home.clock.monotonic());
        self.slept(&exited.key);
        self.note(exited.how);
        if exited.how == How::Finished || self.is_draining {
            return;
        }
        tracing::error!(channel = %exited.key, how = ?exited.how, ?fate, "a topic ended; its connections are to connect again");
        self.end(Some(&exited.key));
    }
}

impl Handler<Exited<SubscriberKey>> for Registry {
    type Result = ();

    fn handle(&mut self, exited: Exited<SubscriberKey>, _: &mut Self::Context) {
        self.subscribers.exited(&exited, self.home.clock.monotonic());
        self.holders.left(exited.key);
        self.note(exited.how);
    }
}

impl Handler<Exited<ScribeKey>> for Registry {
    type Result = ();

    fn handle(&mut self, exited: Exited<ScribeKey>, _: &mut Self::Context) {
        self.scribes.exited(&exited, self.home.clock.monotonic());
        self.note(exited.how);
        if self.is_draining {
            return;
        }
        tracing::error!(how = ?exited.how, "the scribe ended; everybody is to connect again");
        // Topics hold its address.
        let names: Vec<_> = self.topics.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(topic) = self.topics.remove(&name) {
                topic.do_send(Retire::Now);
            }
            self.slept(&name);
        }
        self.end(None);
    }
}

impl Handler<Exited<SweeperKey>> for Registry {
    type Result = ();

    fn handle(&mut self, exited: Exited<SweeperKey>, ctx: &mut Self::Context) {
        let fate = self.sweepers.exited(&exited, self.home.clock.monotonic());
        self.note(exited.how);
        if !self.is_draining && fate == Fate::Forget {
            tracing::error!(how = ?exited.how, "the sweeper ended and is started again");
            ctx.run_later(Duration::from_secs(1), |act, ctx| act.sweep(ctx.address()));
        }
    }
}

#[cfg(feature = "faults")]
impl Handler<Drill> for Registry {
    type Result = ();

    fn handle(&mut self, drill: Drill, _: &mut Self::Context) {
        match &drill {
            Drill::Topic(name) => self.topics.find(name).into_iter().for_each(|topic| topic.do_send(drill.clone())),
            Drill::Subscribers | Drill::Pumps => self.subscribers.iter().for_each(|(_, child)| child.do_send(drill.clone())),
            Drill::Scribe => self.scribes.iter().for_each(|(_, child)| child.do_send(drill.clone())),
            Drill::Sweeper => self.sweepers.iter().for_each(|(_, child)| child.do_send(drill.clone())),
        }
    }
}

impl Handler<Drain> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, order: Drain, _: &mut Self::Context) -> Self::Result {
        self.is_draining = true;
        let subscribers: Vec<_> = self.subscribers.iter().map(|(_, subscriber)| subscriber.clone().recipient()).collect();
        Box::pin(drain(subscribers, order.grace))
    }
}

#[cfg(test)]
mod tests;
