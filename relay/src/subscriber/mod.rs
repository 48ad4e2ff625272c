//! One connection: what a member asks for, and what it gets.
//!
//! The actor reads what the member sends and tells topics; [`Plan`] says what goes out next; [`pump`] writes it. What cannot be
//! written stays in the log, however long: a slow reader costs a place in a log and one read of it. What an attacker would try is to
//! send and never to read: each frame on its way into the log holds a share of the connection's window, and an answer that
//! cannot be written keeps it, so the connection is not read any more.

mod answer;
mod handlers;
mod messages;
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

use actix::{Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, WrapFuture as _};
use prost::bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tonic::{Status, Streaming};
use toq_channels::ChannelName;
use toq_kit::Lifeline;

use crate::arrival::Whole;
use crate::awake::Payer;
use crate::frame::Outbound;
use crate::home::{Account, Counters, Home};
use crate::lobby::Carried;
use crate::registry::{Registry, Route};
use crate::topic::Order;
use answer::Answer;
use messages::Lost;
pub use messages::{Arrived, Crowded, End, Ended, Joined, Nudge, Recheck, SentAway, Stored, Undone, Unreadable};
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

    /// Whether the key that this connection was opened with is taken away.
    pub(super) fn is_revoked(&self) -> bool {
        self.home.guests.as_ref().is_some_and(|guests| guests.revoked().holds(self.account.key.as_deref()))
    }

    pub(super) fn end_as_revoked(&mut self, ctx: &mut Context<Self>) {
        self.end(Status::unauthenticated("the API key of this connection has been revoked; use another key"), ctx);
    }

    /// Ends the stream with a last word, if there is room for it.
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
