//! One channel that is awake: who listens, and the order in which publications reach the pen.
//!
//! It keeps no message. What it knows (how far the log goes, who listens) is told to it again whenever it is started, so it sleeps
//! when nobody needs it. It looks at no token and no byte of a message: its subscribers have done that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, StreamHandler, WrapFuture as _,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::wrappers::WatchStream;
use toq_channels::ChannelName;
use toq_dataplane::Tag;
use toq_kit::Lifeline;
use toq_store::relay::{Append, Appended};

use crate::home::{Counters, Home};
use crate::registry::{Idle, Registry};
use crate::scribe::{Scribe, Write, Written};
use crate::subscriber::{Joined, Nudge, Recheck, Stored, Subscriber, SubscriberKey};

/// How often a topic that nobody listens to offers to end. Waking it costs one look at its log.
const SLEEPY: Duration = Duration::from_secs(5);

/// What is asked of a topic.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Order {
    /// Somebody wants to listen.
    Join {
        /// Who.
        key: SubscriberKey,
        /// Where it is told.
        subscriber: Addr<Subscriber>,
        /// Which of its wishes this is.
        wish: u64,
    },
    /// Somebody does not listen any more.
    Leave(SubscriberKey),
    /// Something is to be appended.
    Publish {
        /// What.
        append: Append,
        /// Who is told of it.
        author: Author,
        /// Its share of what all connections may have on its way.
        room: OwnedSemaphorePermit,
    },
}

/// Who published, and what it calls it.
#[derive(Debug)]
pub struct Author {
    /// Where it is told.
    pub subscriber: Addr<Subscriber>,
    /// The tag, its own or made for it.
    pub tag: Tag,
    /// Its share of its connection's window: it goes with the publication, however many have the same tag.
    pub own: OwnedSemaphorePermit,
}

/// Nothing will be asked of a topic any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Retire {
    /// Finish what was asked before, and end.
    WhenDone,
    /// End: nobody will answer what was asked before.
    Now,
}

/// See the module.
#[derive(Debug)]
pub struct Topic {
    name: ChannelName,
    wire_name: Arc<str>,
    home: Arc<Home>,
    scribe: Addr<Scribe>,
    registry: Addr<Registry>,
    listeners: HashMap<SubscriberKey, Addr<Subscriber>>,
    /// How far the log goes.
    last: u64,
    writing: usize,
    /// How much was asked of it so far.
    orders: u64,
    is_retiring: bool,
    lifeline: Lifeline<ChannelName>,
}

impl Topic {
    /// Makes one that looks at its log once it is started.
    #[must_use]
    pub fn new(
        name: ChannelName,
        home: Arc<Home>,
        scribe: Addr<Scribe>,
        registry: Addr<Registry>,
        lifeline: Lifeline<ChannelName>,
    ) -> Self {
        let wire_name = name.as_str().into();
        Self {
            name,
            wire_name,
            home,
            scribe,
            registry,
            listeners: HashMap::new(),
            last: 0,
            writing: 0,
            orders: 0,
            is_retiring: false,
            lifeline,
        }
    }

    fn doze(&self, ctx: &mut Context<Self>) {
        ctx.run_interval(SLEEPY, |act, _| {
            // One that is gone need not have said so.
            act.listeners.retain(|_, subscriber| subscriber.connected());
            if act.listeners.is_empty() && act.writing == 0 {
                let (channel, generation) = (act.name.clone(), act.lifeline.generation());
                act.registry.do_send(Idle { channel, generation, orders: act.orders });
            }
        });
    }

    fn retire(&mut self, ctx: &mut Context<Self>) {
        if self.is_retiring && self.writing == 0 {
            self.lifeline.finish();
            ctx.stop();
        }
    }
}

impl Actor for Topic {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // First listen, then look: what is appended between the two is heard of.
        ctx.add_stream(WatchStream::from_changes(self.home.bus.listen(&self.wire_name)));
        self.doze(ctx);
        let (home, name) = (self.home.clone(), self.wire_name.clone());
        let looking = async move { home.log.ends(&name).await };
        ctx.wait(looking.into_actor(self).map(|ends, act: &mut Self, ctx: &mut Context<Self>| match ends {
            Ok(ends) => act.last = act.last.max(ends.last),
            Err(error) => {
                tracing::error!(channel = %act.name, %error, "a log cannot be read");
                ctx.terminate();
            }
        }));
    }
}

impl Handler<Order> for Topic {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Self::Context) {
        self.orders += 1;
        match order {
            Order::Join { key, subscriber, wish } => {
                subscriber.do_send(Joined { wish, last: self.last });
                self.listeners.insert(key, subscriber);
            }
            Order::Leave(key) => {
                self.listeners.remove(&key);
            }
            Order::Publish { append, author, room } => {
                self.writing += 1;
                self.scribe.do_send(Write { append, topic: ctx.address(), author, room });
            }
        }
    }
}

impl Handler<Written> for Topic {
    type Result = ();

    fn handle(&mut self, written: Written, ctx: &mut Self::Context) {
        self.writing = self.writing.saturating_sub(1);
        match &written.end {
            Ok(Appended::At(seq)) => {
                self.last = self.last.max(*seq);
                Counters::count(&self.home.counters.accepted);
                self.home.bus.tell(&self.wire_name, *seq);
            }
            Ok(Appended::Known(seq)) => {
                // It may have been told of as not written: then nobody has heard of it yet.
                self.last = self.last.max(*seq);
                Counters::count(&self.home.counters.repeated);
                self.home.bus.tell(&self.wire_name, *seq);
            }
            Ok(_) => {}
            Err(error) => tracing::error!(channel = %self.name, %error, "a publication was not stored"),
        }
        let Author { subscriber, tag, own } = written.author;
        subscriber.do_send(Stored { channel: self.name.clone(), tag, own, end: written.end });
        self.retire(ctx);
    }
}

impl Handler<Retire> for Topic {
    type Result = ();

    fn handle(&mut self, retire: Retire, ctx: &mut Self::Context) {
        self.is_retiring = true;
        if retire == Retire::Now {
            self.writing = 0;
        }
        self.retire(ctx);
    }
}

impl Handler<Recheck> for Topic {
    type Result = ();

    fn handle(&mut self, recheck: Recheck, _: &mut Self::Context) {
        for subscriber in self.listeners.values() {
            subscriber.do_send(recheck.clone());
        }
    }
}

impl StreamHandler<u64> for Topic {
    fn handle(&mut self, last: u64, _: &mut Self::Context) {
        self.last = self.last.max(last);
        // One that is gone need not have said so.
        self.listeners.retain(|_, subscriber| subscriber.connected());
        for subscriber in self.listeners.values() {
            subscriber.do_send(Nudge { channel: self.name.clone(), last: self.last });
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}
