//! One connection: what a member asks for, and what it gets.
//!
//! The actor reads what the member sends and tells topics; [`Plan`] says what goes out next; [`pump`] writes it. What cannot be
//! written stays in the log, however long: a slow reader costs a place in a log and one read of it. What an attacker would try is to
//! send and never to read: each frame on its way into the log holds a share of the connection's window, and an answer that
//! cannot be written keeps it, so the connection is not read any more.

mod answer;
mod plan;
mod publish;
mod pump;
mod reading;

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, ResponseFuture, WrapFuture as _,
};
use prost::bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;
use tonic::{Code, Status, Streaming};
use toq_channels::ChannelName;
use toq_dataplane::Tag;
use toq_kit::{Drain, Lifeline};
use toq_store::StoreError;
use toq_store::relay::Appended;

use crate::arrival::Whole;
use crate::awake::Payer;
use crate::frame::Outbound;
use crate::home::{Account, Counters, Home};
use crate::lobby::Carried;
use crate::plane::max_frame;
use crate::registry::{Registry, Route};
use crate::topic::Order;
use answer::Answer;
use plan::Plan;

/// What is told to who may wait for something that does not come.
const LOST: &str = "the relay lost its place in a channel; connect again and send again what was not accepted";

/// What is told to everybody at the end.
pub const STOPPING: &str = "the relay is being stopped; connect again";

/// A connection's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriberKey(pub u64);

/// Whether the member knows our extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// It gets answers and resumes.
    Extended,
    /// It knows the published protocol only.
    Published,
}

/// Somebody who has connected and may stay.
#[derive(Debug)]
pub struct Newcomer {
    /// Who pays.
    pub account: Account,
    /// Where it comes from: an address, or the first one of a network.
    pub source: IpAddr,
    /// What it speaks.
    pub dialect: Dialect,
    /// What it sends.
    pub incoming: Streaming<Bytes>,
    /// The room that its large frames have until they are in its window.
    pub whole: Whole,
    /// What it gets.
    pub outgoing: mpsc::Sender<Result<Outbound, Status>>,
    /// Its share of its socket; `None` where it came by none.
    pub carried: Option<Carried>,
}

/// A frame has arrived.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Arrived {
    /// What; nobody has looked at it yet.
    pub frame: Bytes,
    /// Its share of the connection's window.
    pub own: OwnedSemaphorePermit,
    /// Its share of what all connections may have on its way.
    pub room: OwnedSemaphorePermit,
}

/// The member sends nothing any more, or the connection is broken.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Ended;

/// There are too many channels in use to do this now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crowded {
    /// Which channel.
    pub channel: ChannelName,
    /// What is not done.
    pub what: Undone,
    /// For a person.
    pub why: String,
}

/// What there was no room for.
#[derive(Debug)]
pub enum Undone {
    /// One of our wishes.
    Wish(u64),
    /// One of our publications.
    Publication {
        /// Its tag.
        tag: Tag,
        /// Its share of the connection's window.
        own: OwnedSemaphorePermit,
    },
}

/// A wish cannot be met from the place that was named.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Lost {
    /// In which channel.
    channel: ChannelName,
    /// Which of our wishes.
    wish: u64,
    /// What the member calls it.
    tag: Option<Tag>,
    /// Why.
    answer: Answer,
    /// The wish's share of the connection's window.
    own: Option<OwnedSemaphorePermit>,
}

/// The connection is to be ended with this last word.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SentAway(pub Status);

/// What the member sends cannot be read any further.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Unreadable(pub Status);

/// The connection is to be ended, if it listens to or waits for this channel; whatever it does where there is none.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct End {
    /// Which channel.
    pub of: Option<ChannelName>,
}

/// The API key of the connection was revoked, or somebody may no longer take part in a channel: what it was let do is to be looked at
/// again.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Recheck {
    /// In which channel, if it is one.
    pub channel: Option<ChannelName>,
}

/// A channel's topic knows that we listen.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Joined {
    /// Which of our wishes.
    pub wish: u64,
    /// How far the log goes.
    pub last: u64,
}

/// A log has grown.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Nudge {
    /// Which channel's.
    pub channel: ChannelName,
    /// How far it goes.
    pub last: u64,
}

/// Something of ours was written, or was not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stored {
    /// Where.
    pub channel: ChannelName,
    /// What.
    pub tag: Tag,
    /// Its share of the connection's window.
    pub own: OwnedSemaphorePermit,
    /// What became of it.
    pub end: Result<Appended, StoreError>,
}

/// See the module.
#[derive(Debug)]
pub struct Subscriber {
    account: Account,
    payer: Payer,
    dialect: Dialect,
    home: Arc<Home>,
    registry: Addr<Registry>,
    plan: Rc<RefCell<Plan>>,
    incoming: Option<(Streaming<Bytes>, Whole)>,
    outgoing: mpsc::Sender<Result<Outbound, Status>>,
    /// What reads and what writes; ended with us.
    hands: Vec<Hand>,
    /// What tags are made of for those who send none: unknown to others, so that nobody can pass something off as ours.
    nonce: [u8; 8],
    made: u64,
    /// Channels that the account may take part in, as far as was asked in this turn of [`Revoked`](crate::revoked::Revoked).
    admitted: HashSet<ChannelName>,
    turn: u64,
    _carried: Option<Carried>,
    lifeline: Lifeline<SubscriberKey>,
}

/// Something that runs beside the actor and ends with it, also where the actor panics: it would hold the stream open for ever.
#[derive(Debug)]
struct Hand(AbortHandle);

impl Drop for Hand {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subscriber {
    /// Makes one that reads and writes once it is started.
    #[must_use]
    pub fn new(newcomer: Newcomer, home: Arc<Home>, registry: Addr<Registry>, lifeline: Lifeline<SubscriberKey>) -> Self {
        let Newcomer { account, source, dialect, incoming, whole, outgoing, carried } = newcomer;
        let mut nonce = [0; 8];
        if getrandom::fill(&mut nonce).is_err() {
            tracing::error!("the system has no randomness; a member may be able to hide its messages from another one");
        }
        Self {
            payer: Payer::new(&account.id, source),
            account,
            dialect,
            home,
            registry,
            plan: Rc::new(RefCell::new(Plan::new(dialect))),
            incoming: Some((incoming, whole)),
            outgoing,
            hands: Vec::new(),
            nonce,
            made: 0,
            admitted: HashSet::new(),
            turn: 0,
            _carried: carried,
            lifeline,
        }
    }

    #[cfg(feature = "faults")]
    pub fn break_pump(&self) {
        self.plan.borrow_mut().is_broken = true;
        self.plan.borrow().work.notify_one();
    }

    fn tell(&self, channel: ChannelName, order: Order) {
        self.registry.do_send(Route { channel, payer: self.payer.clone(), order });
    }

    /// Runs a hand beside the actor; one that panics ends the connection, which would otherwise stand still for ever.
    fn lend(&mut self, hand: impl Future<Output = ()> + 'static, ctx: &mut Context<Self>) {
        let hand = toq_kit::spawn(hand);
        self.hands.push(Hand(hand.abort_handle()));
        ctx.spawn(hand.into_actor(self).map(|end, act: &mut Self, ctx: &mut Context<Self>| {
            if end.is_err_and(|error| error.is_panic()) {
                Counters::count(&act.home.counters.panics);
                tracing::error!(connection = act.lifeline.key().0, "a hand of a connection panicked; its member is to connect again");
                act.end(Status::unavailable(LOST), ctx);
            }
        }));
    }

    /// Ends the stream where that is the only way to say it.
    fn is_over(&mut self, answer: &Answer, ctx: &mut Context<Self>) -> bool {
        let word = answer.last_word().filter(|_| self.dialect == Dialect::Published);
        word.map(|word| self.end(word, ctx)).is_some()
    }

    /// Ends the stream with a last word, if there is room for it.
    /// Whether the key that this connection was opened with is taken away.
    pub(super) fn is_revoked(&self) -> bool {
        self.home.guests.as_ref().is_some_and(|guests| guests.revoked().holds(self.account.key.as_deref()))
    }

    pub(super) fn end_as_revoked(&mut self, ctx: &mut Context<Self>) {
        self.end(Status::unauthenticated("the API key of this connection has been revoked; use another key"), ctx);
    }

    fn end(&mut self, word: Status, ctx: &mut Context<Self>) {
        // A reader that has left no room for it learns of the end from the end.
        let _full = self.outgoing.try_send(Err(word));
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Actor for Subscriber {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some((incoming, whole)) = self.incoming.take() {
            self.lend(reading::read(incoming, whole, ctx.address(), self.home.clone()), ctx);
        }
        let pump = pump::run(self.plan.clone(), self.home.clone(), self.outgoing.clone(), self.dialect, ctx.address());
        self.lend(pump, ctx);
        // A published member cannot get another token, so its stream outlives the one that it came with.
        if let (Some(until), Dialect::Extended) = (self.account.until, self.dialect) {
            let left = u64::try_from(until.saturating_sub(self.home.seconds())).unwrap_or(0);
            ctx.run_later(Duration::from_secs(left), |act, ctx| {
                act.end(Status::unauthenticated("the token has expired; exchange the API key for a new one and connect again"), ctx);
            });
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.hands.clear();
        for channel in self.plan.borrow().channels() {
            self.tell(channel, Order::Leave(*self.lifeline.key()));
        }
    }
}

impl Handler<Ended> for Subscriber {
    type Result = ();

    fn handle(&mut self, _: Ended, ctx: &mut Self::Context) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Crowded> for Subscriber {
    type Result = ();

    fn handle(&mut self, crowded: Crowded, ctx: &mut Self::Context) {
        Counters::count(&self.home.counters.refused);
        let Crowded { channel, what, why } = crowded;
        let answer = Answer::crowded(why);
        if self.is_over(&answer, ctx) {
            return;
        }
        let mut plan = self.plan.borrow_mut();
        match what {
            Undone::Wish(wish) => plan.refused(&channel, wish, answer),
            Undone::Publication { tag, own } => plan.stored(&channel, tag, answer, own),
        }
    }
}

impl Handler<Lost> for Subscriber {
    type Result = ();

    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        Counters::count(&self.home.counters.refused);
        let Lost { channel, wish, tag, answer, own } = lost;
        let is_over = self.plan.borrow().stands(&channel, wish);
        if is_over {
            self.plan.borrow_mut().unwant(&channel);
        }
        self.plan.borrow_mut().answer(tag, answer, own);
        if is_over {
            // A topic that somebody listens to never sleeps.
            self.tell(channel, Order::Leave(*self.lifeline.key()));
        }
    }
}

impl Handler<SentAway> for Subscriber {
    type Result = ();

    fn handle(&mut self, SentAway(word): SentAway, ctx: &mut Self::Context) {
        self.end(word, ctx);
    }
}

impl Handler<Unreadable> for Subscriber {
    type Result = ();

    fn handle(&mut self, Unreadable(status): Unreadable, ctx: &mut Self::Context) {
        Counters::count(&self.home.counters.refused);
        let limits = &self.home.limits;
        let word = match status.code() {
            Code::OutOfRange => Status::out_of_range(format!(
                "the frame is larger than the {} bytes that this relay reads at once, and a message may have {}; send less at once",
                max_frame(limits),
                limits.max_message
            )),
            _ => status,
        };
        self.end(word, ctx);
    }
}

impl Handler<End> for Subscriber {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        if end.of.is_none_or(|channel| self.plan.borrow().concerns(&channel)) {
            self.end(Status::unavailable(LOST), ctx);
        }
    }
}

impl Handler<Recheck> for Subscriber {
    type Result = ();

    fn handle(&mut self, recheck: Recheck, ctx: &mut Self::Context) {
        if self.is_revoked() {
            return self.end_as_revoked(ctx);
        }
        let Some(channel) = recheck.channel.filter(|channel| self.plan.borrow().wants(channel)) else { return };
        if self.admit(&channel).is_ok() {
            return;
        }
        if self.dialect == Dialect::Extended {
            // Its wish was answered long ago. Who connects again asks again, and is told.
            let why = format!("the account may no longer take part in {channel}; connect again for the other channels");
            return self.end(Status::aborted(why), ctx);
        }
        self.plan.borrow_mut().unwant(&channel);
        self.tell(channel, Order::Leave(*self.lifeline.key()));
    }
}

impl Handler<Joined> for Subscriber {
    type Result = ();

    fn handle(&mut self, joined: Joined, _: &mut Self::Context) {
        self.plan.borrow_mut().joined(joined.wish, joined.last);
    }
}

impl Handler<Nudge> for Subscriber {
    type Result = ();

    fn handle(&mut self, nudge: Nudge, _: &mut Self::Context) {
        self.plan.borrow_mut().nudged(&nudge.channel, nudge.last);
    }
}

impl Handler<Stored> for Subscriber {
    type Result = ();

    fn handle(&mut self, stored: Stored, ctx: &mut Self::Context) {
        let answer = match stored.end {
            Ok(Appended::At(seq) | Appended::Known(seq)) => Answer::Accepted(seq),
            Ok(Appended::EpochTaken(seq)) => Answer::epoch_taken(seq),
            Ok(Appended::NoMessages) => Answer::no_messages(&self.account, self.home.clock.wall_nanos()),
            Ok(Appended::NoChannels) => Answer::no_channels(&self.account),
            Ok(Appended::ChannelFull) => Answer::channel_full(self.home.retention.bytes_per_channel),
            Err(error) => Answer::unavailable(&error),
        };
        if matches!(answer, Answer::Refused { .. }) {
            Counters::count(&self.home.counters.refused);
            tracing::debug!(channel = %stored.channel, ?answer, "a publication was refused");
        }
        if self.is_over(&answer, ctx) {
            return;
        }
        self.plan.borrow_mut().stored(&stored.channel, stored.tag, answer, stored.own);
    }
}

impl Handler<Drain> for Subscriber {
    type Result = ResponseFuture<()>;

    /// What was published before is answered before the end, if that is possible within the time.
    fn handle(&mut self, order: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (plan, address) = (self.plan.clone(), ctx.address());
        if let Some(Hand(reading)) = self.hands.first() {
            reading.abort();
        }
        let last_word = self.outgoing.clone();
        Box::pin(async move {
            let quiet = plan::quiet(&plan);
            if tokio::time::timeout(order.grace, quiet).await.is_err() {
                tracing::debug!("a connection is closed with publications that were not answered");
            }
            let word = Status::unavailable(STOPPING);
            let _late = tokio::time::timeout(order.grace, last_word.send(Err(word))).await;
            address.do_send(Ended);
        })
    }
}
