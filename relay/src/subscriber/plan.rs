//! What goes out next on a connection.
//!
//! Every channel that the member listens to has a place, and is ready while its log goes further. Publications of the connection
//! itself are known by their tags until they are answered: where the place passes one, the answer is given instead of the row, so answers
//! and deliveries of a channel come in the order of its log, and nobody hears itself.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use toq_channels::ChannelName;
use toq_dataplane::Tag;
use toq_dataplane::extension;
use toq_dataplane::wire::CaughtUp;
use toq_dataplane::wire::message::MessageType;
use toq_store::relay::Row;

use super::Dialect;
use super::answer::Answer;
use crate::frame::Outbound;

/// A channel that is listened to.
#[derive(Debug)]
struct Wanted {
    wish: u64,
    tag: Option<Tag>,
    after: Option<u64>,
    /// The wish's share of the window, until it is answered: who does not read its answers cannot wish for more.
    own: Option<OwnedSemaphorePermit>,
    /// `None` until the topic has answered.
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    /// What has been handed on, or passed over.
    cursor: u64,
    /// How far the log goes.
    last: u64,
    /// Where a resumed member is told that it has caught up.
    caught_up_at: Option<u64>,
    /// While a joiner is given earlier commits: the place before the first of them, which is as far as it can have read.
    replayed_from: Option<u64>,
    is_greeted: bool,
    /// Whether the channel is in [`Plan::ready`], once.
    is_ready: bool,
}

/// What was published to a channel under one tag and is not answered yet.
#[derive(Debug, Default)]
struct Outstanding {
    /// How many are on their way to the log: a member may send again what is.
    on_their_way: usize,
    /// The shares of the window of those that are in the log, and whose answer waits for that place to be passed.
    waiting: Vec<OwnedSemaphorePermit>,
    /// Where they stand, once that is known.
    seq: Option<u64>,
    /// Whether the member wants to hear of it.
    is_asked: bool,
}

impl Outstanding {
    const fn is_over(&self) -> bool {
        self.on_their_way == 0 && self.waiting.is_empty()
    }
}

/// What the pump does next.
#[derive(Debug)]
pub enum Step {
    /// Write this.
    Write(Outbound),
    /// Read this stretch of a log.
    Read(Reading),
    /// Wait for [`Plan::work`].
    Wait,
}

/// A stretch of a log that is to be read.
#[derive(Debug)]
pub struct Reading {
    pub channel: ChannelName,
    /// Whether this is still what the member wants is asked by this.
    pub wish: u64,
    pub after: u64,
    pub through: u64,
    /// Present where the wish has not been answered yet.
    pub greeting: Option<Greeting>,
}

/// How the first stretch begins.
#[derive(Debug)]
pub struct Greeting {
    pub tag: Option<Tag>,
    /// Whether the member named the place itself.
    pub is_resumed: bool,
    /// The wish's share of the window.
    pub own: Option<OwnedSemaphorePermit>,
}

/// What a row is to this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// The member does not want it any more.
    Unwanted,
    /// Somebody else's.
    Foreign,
    /// Its own; it wants to hear of it where there is a tag.
    Own(Option<Tag>),
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    dialect: Dialect,
    /// With the share of the window of what is answered, so that who does not read its answers cannot ask for more.
    answers: VecDeque<(Outbound, Option<OwnedSemaphorePermit>)>,
    wanted: HashMap<ChannelName, Wanted>,
    ready: VecDeque<ChannelName>,
    outstanding: HashMap<(ChannelName, Tag), Outstanding>,
    wishes: u64,
    /// Whether the next step is to be none, but a panic.
    #[cfg(feature = "faults")]
    pub is_broken: bool,
    /// Told when there may be a next step.
    pub work: Rc<Notify>,
    /// Told when less is outstanding.
    pub less: Rc<Notify>,
}

impl Plan {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            answers: VecDeque::new(),
            wanted: HashMap::new(),
            ready: VecDeque::new(),
            outstanding: HashMap::new(),
            wishes: 0,
            #[cfg(feature = "faults")]
            is_broken: false,
            work: Rc::default(),
            less: Rc::default(),
        }
    }

    /// Notes that the member wants a channel; returns the number of the wish.
    pub fn want(&mut self, channel: ChannelName, after: Option<u64>, tag: Option<Tag>, own: OwnedSemaphorePermit) -> u64 {
        self.unwant(&channel);
        self.wishes += 1;
        self.wanted.insert(channel, Wanted { wish: self.wishes, tag, after, own: Some(own), place: None });
        self.wishes
    }

    /// Notes that it does not; `false` where it did not before. What it waits for there is answered now.
    pub fn unwant(&mut self, channel: &ChannelName) -> bool {
        let Some(wanted) = self.wanted.remove(channel) else { return false };
        if wanted.place.is_some_and(|place| place.is_ready) {
            self.ready.retain(|ready| ready != channel);
        }
        self.answer_up_to(channel, u64::MAX);
        true
    }

    /// Notes that a wish is not done, and says so.
    pub fn refused(&mut self, channel: &ChannelName, wish: u64, answer: Answer) {
        if self.stands(channel, wish) {
            let (tag, own) = self.wanted.get_mut(channel).map_or((None, None), |wanted| (wanted.tag, wanted.own.take()));
            self.unwant(channel);
            self.answer(tag, answer, own);
        }
    }

    /// Notes that a topic knows of us.
    pub fn joined(&mut self, wish: u64, last: u64) {
        let found = self.wanted.iter_mut().find(|(_, wanted)| wanted.wish == wish && wanted.place.is_none());
        let Some((channel, wanted)) = found else { return };
        let cursor = wanted.after.unwrap_or(last);
        let caught_up_at = wanted.after.map(|_| last);
        wanted.place = Some(Place { cursor, last, caught_up_at, replayed_from: None, is_greeted: false, is_ready: true });
        let channel = channel.clone();
        self.ready.push_back(channel.clone());
        self.answer_up_to(&channel, cursor);
        self.work.notify_one();
    }

    /// Notes that a log goes further.
    pub fn nudged(&mut self, channel: &ChannelName, last: u64) {
        let Some(place) = self.wanted.get_mut(channel).and_then(|wanted| wanted.place.as_mut()) else { return };
        place.last = place.last.max(last);
        if !place.is_ready && place.cursor < place.last {
            place.is_ready = true;
            self.ready.push_back(channel.clone());
            self.work.notify_one();
        }
    }

    /// Notes a publication that is on its way.
    pub fn sent(&mut self, tag: Tag, channel: ChannelName, is_asked: bool) {
        let outstanding = self.outstanding.entry((channel, tag)).or_default();
        outstanding.on_their_way += 1;
        outstanding.is_asked = is_asked;
    }

    /// Notes what became of one. Where its place is yet to be passed, the answer waits for that.
    pub fn stored(&mut self, channel: &ChannelName, tag: Tag, answer: Answer, own: OwnedSemaphorePermit) {
        let key = (channel.clone(), tag);
        // One whose place was passed meanwhile has been answered.
        let Some(outstanding) = self.outstanding.get_mut(&key) else { return };
        outstanding.on_their_way = outstanding.on_their_way.saturating_sub(1);
        if let Answer::Accepted(seq) = answer
            && let Some(wanted) = self.wanted.get(channel)
            && wanted.place.as_ref().map_or(wanted.after, |place| Some(place.cursor)).is_some_and(|cursor| cursor < seq)
        {
            outstanding.seq = Some(seq);
            outstanding.waiting.push(own);
            return;
        }
        let is_asked = outstanding.is_asked;
        self.drop_if_over(&key);
        if is_asked {
            self.answer(Some(tag), answer, Some(own));
        }
        self.less.notify_waiters();
    }

    fn drop_if_over(&mut self, key: &(ChannelName, Tag)) {
        if self.outstanding.get(key).is_some_and(Outstanding::is_over) {
            self.outstanding.remove(key);
        }
    }

    /// Puts an answer before everything else. Published members are told nothing.
    pub fn answer(&mut self, tag: Option<Tag>, answer: Answer, own: Option<OwnedSemaphorePermit>) {
        if self.dialect == Dialect::Extended {
            self.answers.push_back((answer.frame(tag), own));
            self.work.notify_one();
        }
    }

    /// How far the member can have read a channel; `None` where it does not listen to it.
    pub fn cursor(&self, channel: &ChannelName) -> Option<u64> {
        let place = self.wanted.get(channel)?.place.as_ref()?;
        Some(place.replayed_from.unwrap_or(place.cursor))
    }

    /// Notes that earlier commits are handed on, beginning behind a place, or that all of them have been.
    pub fn replays(&mut self, channel: &ChannelName, wish: u64, from: Option<u64>) {
        if let Some(place) = self.place(channel, wish) {
            place.replayed_from = from;
        }
    }

    /// How many channels are listened to.
    pub fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// Whether a channel is listened to.
    pub fn wants(&self, channel: &ChannelName) -> bool {
        self.wanted.contains_key(channel)
    }

    /// The channels that are listened to.
    pub fn channels(&self) -> Vec<ChannelName> {
        self.wanted.keys().cloned().collect()
    }

    /// Whether a channel is listened to or waited for.
    pub fn concerns(&self, channel: &ChannelName) -> bool {
        self.wants(channel) || self.outstanding.keys().any(|(of, _)| of == channel)
    }

    /// The next step. Channels take turns.
    pub fn next(&mut self) -> Step {
        #[cfg(feature = "faults")]
        assert!(!self.is_broken, "a drill");
        if let Some((answer, _own)) = self.answers.pop_front() {
            self.less.notify_waiters();
            return Step::Write(answer);
        }
        while let Some(channel) = self.ready.pop_front() {
            let Some(wanted) = self.wanted.get_mut(&channel) else { continue };
            let Some(place) = &mut wanted.place else { continue };
            place.is_ready = false;
            let own = &mut wanted.own;
            let greet = || Greeting { tag: wanted.tag, is_resumed: wanted.after.is_some(), own: own.take() };
            let greeting = (!place.is_greeted).then(greet);
            if greeting.is_none() && place.cursor >= place.last {
                continue;
            }
            place.is_greeted = true;
            return Step::Read(Reading { channel, wish: wanted.wish, after: place.cursor, through: place.last, greeting });
        }
        Step::Wait
    }

    /// Moves a place past a row and says what it is to us.
    pub fn meet(&mut self, channel: &ChannelName, wish: u64, row: &Row) -> Met {
        let Some(place) = self.place(channel, wish) else { return Met::Unwanted };
        place.cursor = row.seq;
        let key = (channel.clone(), Tag(row.tag));
        let Some(own) = self.outstanding.get_mut(&key) else { return Met::Foreign };
        let is_asked = own.is_asked;
        if own.waiting.is_empty() {
            // The row was read before its author was told: what comes of it is no news then.
            own.on_their_way = own.on_their_way.saturating_sub(1);
        }
        own.waiting.clear();
        own.seq = None;
        self.drop_if_over(&key);
        self.less.notify_waiters();
        Met::Own(is_asked.then_some(Tag(row.tag)))
    }

    /// Moves a place over what is not there any more.
    pub fn skip(&mut self, channel: &ChannelName, wish: u64, to: u64) {
        if let Some(place) = self.place(channel, wish) {
            place.cursor = place.cursor.max(to);
            self.answer_up_to(channel, to);
        }
    }

    /// Ends a stretch: whether the member is to be told that it has caught up, and whether there is more.
    pub fn finish(&mut self, channel: &ChannelName, wish: u64) -> Option<Outbound> {
        let place = self.place(channel, wish)?;
        let cursor = place.cursor;
        let caught_up = place.caught_up_at.take_if(|at| cursor >= *at);
        if cursor < place.last && !place.is_ready {
            place.is_ready = true;
            self.ready.push_back(channel.clone());
        }
        let seq = caught_up?;
        Some(Outbound::message(MessageType::CaughtUp(CaughtUp { channel: Some(extension::name(channel)), seq })))
    }

    /// An answer to a wish, as a frame.
    pub fn greeting(tag: Option<Tag>, answer: Answer) -> Outbound {
        answer.frame(tag)
    }

    /// Whether a wish still stands.
    pub fn stands(&self, channel: &ChannelName, wish: u64) -> bool {
        self.wanted.get(channel).is_some_and(|wanted| wanted.wish == wish)
    }

    fn place(&mut self, channel: &ChannelName, wish: u64) -> Option<&mut Place> {
        self.wanted.get_mut(channel).filter(|wanted| wanted.wish == wish)?.place.as_mut()
    }

    /// Answers what stands up to a place and will not be passed any more.
    fn answer_up_to(&mut self, channel: &ChannelName, seq: u64) {
        let is_past = |of: &ChannelName, own: &Outstanding| of == channel && own.seq.is_some_and(|at| at <= seq);
        let past: Vec<_> = self.outstanding.iter().filter(|((of, _), own)| is_past(of, own)).map(|(key, _)| key.clone()).collect();
        for key in past {
            let Some(own) = self.outstanding.get_mut(&key) else { continue };
            let (at, is_asked, shares) = (own.seq.take(), own.is_asked, std::mem::take(&mut own.waiting));
            self.drop_if_over(&key);
            for share in shares.into_iter().filter(|_| is_asked) {
                self.answer(Some(key.1), Answer::Accepted(at.unwrap_or(seq)), Some(share));
            }
        }
        self.less.notify_waiters();
    }

    fn is_quiet(&self) -> bool {
        self.outstanding.is_empty() && self.answers.is_empty()
    }
}

/// Waits until everything that was published has been answered.
pub async fn quiet(plan: &Rc<RefCell<Plan>>) {
    let less = plan.borrow().less.clone();
    loop {
        let told = less.notified();
        if plan.borrow().is_quiet() {
            return;
        }
        told.await;
    }
}

#[cfg(test)]
mod tests;
