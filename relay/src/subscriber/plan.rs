//! What goes out next on a connection.
//!
//! Every channel that the member listens to has a place, and is ready while its log goes further. Publications of the connection
//! itself are known by their tags until they are answered: where the place passes one, the answer is given instead of the row, so answers
//! and deliveries of a channel come in the order of its log, and nobody hears itself.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use prost::bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tonic::Status;
use toq_channels::ChannelName;
use toq_dataplane::Tag;
use toq_dataplane::extension;
use toq_dataplane::wire::message::MessageType;
use toq_dataplane::wire::refused::Code;
use toq_dataplane::wire::{Accepted, CaughtUp, Refused};
use toq_protocol::Timestamp;
use toq_store::StoreError;
use toq_store::relay::Row;

use super::Dialect;
use crate::frame::Outbound;
use crate::home::Account;

/// How long to wait before asking a full channel again, in seconds: room comes as messages grow old, which is not a matter of seconds.
const FULL_FOR: u32 = 60;

/// How long to wait where too many channels are in use, in seconds: those that nobody uses end within that time.
const CROWDED_FOR: u32 = 5;

/// What becomes of a wish or a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is in force, or has this place.
    Accepted(u64),
    /// It is not done.
    Refused {
        /// Why.
        code: Code,
        /// The same for a person, and what to do.
        detail: String,
        /// A place that belongs to it.
        seq: u64,
        /// Seconds until it is worth another try.
        retry_after: u32,
    },
}

impl Answer {
    /// Something is wrong with the frame.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::refused(Code::BadRequest, detail, 0)
    }

    pub fn refused(code: Code, detail: impl Into<String>, seq: u64) -> Self {
        Self::Refused { code, detail: detail.into(), seq, retry_after: 0 }
    }

    pub fn epoch_taken(seq: u64) -> Self {
        Self::refused(Code::EpochTaken, format!("the commit at {seq} ended that epoch; apply it, then make yours again"), seq)
    }

    pub fn no_messages(account: &Account, now: i64) -> Self {
        let most = account.messages_per_month;
        let detail = format!("the account has published its {most} messages of this month; wait for the next one, or ask for another plan");
        Self::Refused { code: Code::OverQuota, detail, seq: 0, retry_after: until_next_month(now) }
    }

    pub fn no_channels(account: &Account) -> Self {
        let detail = format!("the account has begun {} channels and may begin no more; use one of them", account.channels);
        Self::Refused { code: Code::OverQuota, detail, seq: 0, retry_after: u32::MAX }
    }

    pub fn crowded(detail: String) -> Self {
        Self::Refused { code: Code::OverQuota, detail, seq: 0, retry_after: CROWDED_FOR }
    }

    pub fn channel_full(most: u64) -> Self {
        let detail = format!(
            "the channel has no room for more until old messages have gone: it keeps at most {most} bytes, and one account no more of \
             them than are free. Send it again later, send less, or ask the relay's operator for more"
        );
        Self::Refused { code: Code::OverQuota, detail, seq: 0, retry_after: FULL_FOR }
    }

    pub fn unavailable(error: &StoreError) -> Self {
        let detail = match error {
            StoreError::Full => "the relay's disk is full; send it again later",
            _ => "the relay cannot write; send it again later",
        };
        Self::Refused { code: Code::Unavailable, detail: detail.to_owned(), seq: 0, retry_after: 1 }
    }

    /// What a published member's stream ends with: nobody could tell it otherwise that what it sent is lost, and it would go on as if
    /// it were not. `None` where it may go on: what it sent meant nothing, or another member's commit, which it is given, stands before its own.
    pub fn last_word(&self) -> Option<Status> {
        let Self::Refused { code, detail, .. } = self else { return None };
        match code {
            Code::TooLarge => Some(Status::out_of_range(detail)),
            Code::OverQuota => Some(Status::resource_exhausted(detail)),
            Code::Forbidden => Some(Status::permission_denied(detail)),
            Code::Unavailable => Some(Status::unavailable(detail)),
            Code::Unspecified | Code::BadRequest | Code::EpochTaken | Code::Behind => None,
        }
    }

    fn frame(self, tag: Option<Tag>) -> Outbound {
        let tag = tag.map(|tag| Bytes::copy_from_slice(&tag.0)).unwrap_or_default();
        Outbound::message(match self {
            Answer::Accepted(seq) => MessageType::Accepted(Accepted { tag, seq }),
            Answer::Refused { code, detail, seq, retry_after } => {
                MessageType::Refused(Refused { tag, code: code.into(), detail, seq, retry_after })
            }
        })
    }
}

/// Seconds until the next month begins; at most a day too many.
fn until_next_month(now: i64) -> u32 {
    let text = Timestamp::from_nanos(now).to_string();
    let day: u32 = text.get(8..10).and_then(|day| day.parse().ok()).unwrap_or(1);
    32_u32.saturating_sub(day).saturating_mul(24 * 3600)
}

/// A channel that is listened to.
#[derive(Debug)]
struct Wanted {
    wish: u64,
    tag: Option<Tag>,
    after: Option<u64>,
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
    is_ready: bool,
}

/// A publication that is not answered yet.
#[derive(Debug)]
struct Outstanding {
    channel: ChannelName,
    /// Where it stands, once that is known.
    seq: Option<u64>,
    /// Whether the member wants to hear of it.
    is_asked: bool,
    /// Its share of the window.
    own: OwnedSemaphorePermit,
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
#[derive(Clone, Debug)]
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
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    pub tag: Option<Tag>,
    /// Whether the member named the place itself.
    pub is_resumed: bool,
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
    outstanding: HashMap<Tag, Outstanding>,
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
    pub fn want(&mut self, channel: ChannelName, after: Option<u64>, tag: Option<Tag>) -> u64 {
        self.unwant(&channel);
        self.wishes += 1;
        self.wanted.insert(channel, Wanted { wish: self.wishes, tag, after, place: None });
        self.wishes
    }

    /// Notes that it does not; `false` where it did not before. What it waits for there is answered now.
    pub fn unwant(&mut self, channel: &ChannelName) -> bool {
        let was_wanted = self.wanted.remove(channel).is_some();
        if was_wanted {
            self.answer_up_to(channel, u64::MAX);
        }
        was_wanted
    }

    /// Notes that a wish is not done, and says so.
    pub fn refused(&mut self, channel: &ChannelName, wish: u64, answer: Answer) {
        if self.stands(channel, wish) {
            let tag = self.wanted.get(channel).and_then(|wanted| wanted.tag);
            self.unwant(channel);
            self.answer(tag, answer, None);
        }
    }

    /// Notes that a topic knows of us.
    pub fn joined(&mut self, wish: u64, last: u64) {
        let found = self.wanted.iter_mut().find(|(_, wanted)| wanted.wish == wish);
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
    pub fn sent(&mut self, tag: Tag, channel: ChannelName, is_asked: bool, own: OwnedSemaphorePermit) {
        self.outstanding.insert(tag, Outstanding { channel, seq: None, is_asked, own });
    }

    /// Notes what became of one. Where its place is yet to be passed, the answer waits for that.
    pub fn stored(&mut self, channel: &ChannelName, tag: Tag, answer: Answer) {
        let Some(outstanding) = self.outstanding.get_mut(&tag) else { return };
        if let Answer::Accepted(seq) = answer
            && let Some(wanted) = self.wanted.get(channel)
            && wanted.place.as_ref().map_or(wanted.after, |place| Some(place.cursor)).is_some_and(|cursor| cursor < seq)
        {
            outstanding.seq = Some(seq);
            return;
        }
        if let Some(Outstanding { is_asked: true, own, .. }) = self.outstanding.remove(&tag) {
            self.answer(Some(tag), answer, Some(own));
        }
        self.less.notify_waiters();
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
        self.wants(channel) || self.outstanding.values().any(|outstanding| outstanding.channel == *channel)
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
            let greeting = (!place.is_greeted).then_some(Greeting { tag: wanted.tag, is_resumed: wanted.after.is_some() });
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
        match self.outstanding.remove(&Tag(row.tag)) {
            Some(own) if own.channel == *channel => {
                self.less.notify_waiters();
                Met::Own(own.is_asked.then_some(Tag(row.tag)))
            }
            Some(other) => {
                self.outstanding.insert(Tag(row.tag), other);
                Met::Foreign
            }
            None => Met::Foreign,
        }
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
        let is_past = |own: &Outstanding| own.channel == *channel && own.seq.is_some_and(|at| at <= seq);
        let past: Vec<Tag> = self.outstanding.iter().filter(|(_, own)| is_past(own)).map(|(tag, _)| *tag).collect();
        for tag in past {
            if let Some(Outstanding { seq: Some(seq), is_asked: true, own, .. }) = self.outstanding.remove(&tag) {
                self.answer(Some(tag), Answer::Accepted(seq), Some(own));
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
