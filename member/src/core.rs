//! One channel as its member sees it: what happens when something comes, when something is to be said, and when time passes.
//!
//! Nothing here touches the disk or the network. Every call returns a [`Step`]: the changes that must be on disk before anything
//! else of the step becomes true. Only when they are does [`Core::settle`] let frames be published, messages be read and callers
//! be answered. That is the whole of the durability promise:
//!
//! - a ciphertext leaves after the ratchet that made it was committed with it (threat H6);
//! - a message is shown after the ratchet that opened it, its row and the place in the log were committed together;
//! - nothing is encrypted before the relay's log was read to its end. What is said earlier is kept as a draft. So an old copy of
//!   a directory learns from the log what its later self sent before it could use a key twice, and what was said
//!   offline is encrypted for those who are members then.
//!
//! The relay is not believed: places are counted, a frame that stands where ours was accepted must be ours, and the hash chain in
//! each message is compared with what was read (threat H7).

mod ahead;
mod commit;
mod deliver;
mod drafts;
mod heard;
mod limits;
mod outgoing;
mod say;
mod step;
mod succession;
mod told;
#[cfg(test)]
mod trials;
mod welcomes;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use toq_channels::ChannelName;
use toq_channels::group::{Chain, Group, Head, PAST_EPOCHS};
use toq_dataplane::extension::Tag;
use toq_store::member::{Change, ChannelRow, WelcomeRow};

use crate::error::Error;
use crate::pins::Pins;

pub(crate) use commit::Wish;
pub(crate) use deliver::Item;
pub(crate) use limits::{Limits, octets, weight};
pub(crate) use step::{Stands, Step};

use outgoing::Outgoing;

/// How many frames may be on their way to the relay; more is kept as drafts. Receivers skip at most 1,000 keys of a sender.
const WINDOW: usize = 512;

/// In how many past epochs messages can still be read; an older one reached nobody.
pub(crate) const READABLE: u64 = PAST_EPOCHS;

/// A frame is made again where it is older than this many epochs before it is sent again, so that it is still readable when it lands.
const FRESH: u64 = 2;

/// No log has more places: a relay that gives one out in each nanosecond gets there in nine years. Larger numbers are somebody's
/// invention, and smaller ones can be counted on from without a look at the end of `u64`.
pub(crate) const LAST_PLACE: u64 = 1 << 58;

/// How many places of the log are remembered with their hashes across a restart: members whose messages are on their way meanwhile
/// stood at one of these.
const REMEMBERED: usize = 64;

/// How many happenings of a channel are kept.
pub(crate) const HAPPENINGS: u64 = 1000;

/// Old happenings are forgotten so many at a time.
const FORGET_EVERY: u64 = 100;

/// How a channel stands with the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tie {
    /// Not connected.
    Away,
    /// Connected, and reading what was missed.
    Reading,
    /// Connected, and the log is read.
    Live,
}

/// A question for the log.
#[derive(Clone, Copy, Debug)]
struct Asked {
    tag: Tag,
    after: u64,
    is_answered: bool,
}

/// Somebody who waits for the place of a message.
type Waiter = oneshot::Sender<Result<u64, Error>>;

/// One channel of one member.
pub(crate) struct Core {
    pub name: ChannelName,
    pub id: [u8; 32],
    pub row: ChannelRow,
    pub group: Option<Group>,
    chain: Option<Chain>,
    outgoing: BTreeMap<u64, Outgoing>,
    outgoing_octets: usize,
    drafts: drafts::Drafts,
    next_out: u64,
    by_frame: HashMap<[u8; 32], u64>,
    by_tag: HashMap<[u8; 16], u64>,
    ahead: ahead::Ahead,
    gap_since: Option<Instant>,
    gaps: u32,
    /// Where the log ended when it was asked for, as the relay says.
    end: Option<u64>,
    tie: Tie,
    is_extended: bool,
    wishes: VecDeque<commit::Errand>,
    staged: Option<commit::Staged>,
    waiters: HashMap<u64, Waiter>,
    leaving: Option<(u64, commit::Reply)>,
    /// Welcomes that may still be wanted, by the epoch that their commit began, and those that were handed over in this life.
    welcomes: BTreeMap<u64, WelcomeRow>,
    handed_over: HashSet<u64>,
    /// The subscription that the relay has not answered yet.
    asked: Option<Asked>,
    has_diverged: bool,
    /// The relay named a place that no log has, and that was told.
    has_been_lied_to: bool,
    /// The relay says that it numbers nothing, and it did before.
    is_degraded: bool,
    was_degraded: bool,
    settle_at: Option<Instant>,
    /// The relay did not give us the channel: what it said, and when it is asked again.
    denied: Option<deliver::Denial>,
    /// What was handed out of the messages, as their rows count it.
    octets_read: u64,
    /// There is no room for more messages, and the relay sends none.
    is_full: bool,
    pub limits: Limits,
    /// The channel has to be asked for again, from the cursor.
    pub resubscribe: bool,
    /// Blown where a change could not be written: what is here is then ahead of the disk, and nothing more is written of it.
    pub fuse: Arc<AtomicBool>,
    /// Another group is being written in place of this one; nothing more is decided here.
    pub gives_way: bool,
    /// How often it was written where we stand, in the life of the seat.
    ticks: u64,
    pub padding: bool,
    pub rotate_after: Duration,
    pub pins: Arc<Pins>,
}

impl Core {
    /// A channel as its rows say, before it is told [what was on its way](Core::recall).
    pub(crate) fn new(name: ChannelName, row: ChannelRow, group: Option<Group>, welcomes: Vec<(u64, WelcomeRow)>) -> Self {
        let chain = row.chain.map(|hash| {
            let head = Head { seq: row.cursor, hash };
            match row.cursor {
                0 => Chain::new(),
                _ => Chain::from_bytes(&row.heads).filter(|chain| chain.head() == head).unwrap_or_else(|| Chain::begin_at(head)),
            }
        });
        Self {
            id: name.id(),
            name,
            row,
            group,
            chain,
            outgoing: BTreeMap::new(),
            outgoing_octets: 0,
            drafts: drafts::Drafts::default(),
            next_out: 1,
            by_frame: HashMap::new(),
            by_tag: HashMap::new(),
            ahead: ahead::Ahead::default(),
            gap_since: None,
            gaps: 0,
            end: None,
            tie: Tie::Away,
            is_extended: true,
            wishes: VecDeque::new(),
            staged: None,
            waiters: HashMap::new(),
            leaving: None,
            welcomes: welcomes.into_iter().collect(),
            handed_over: HashSet::new(),
            asked: None,
            has_diverged: false,
            has_been_lied_to: false,
            is_degraded: false,
            was_degraded: false,
            settle_at: None,
            denied: None,
            octets_read: 0,
            is_full: false,
            limits: Limits::default(),
            resubscribe: false,
            fuse: Arc::new(AtomicBool::new(false)),
            gives_way: false,
            ticks: 0,
            padding: false,
            rotate_after: Duration::MAX,
            pins: Arc::default(),
        }
    }

    /// The channel is about to be asked for: from which place on.
    pub(crate) fn asking(&mut self, tag: Tag) -> u64 {
        let after = self.row.cursor;
        self.asked = self.is_extended.then_some(Asked { tag, after, is_answered: false });
        after
    }

    /// The relay has begun to send what was asked for under this tag.
    pub(crate) fn subscribed(&mut self, tag: Tag) {
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.tag == tag) {
            asked.is_answered = true;
        }
    }

    /// Whether what comes belongs to an earlier question. It stands elsewhere in the log than where we read, and comes again.
    fn is_unasked(&self) -> bool {
        self.asked.is_some_and(|asked| !asked.is_answered)
    }

    /// A connection is there; `is_extended` says whether the relay answers.
    pub(crate) fn connected(&mut self, is_extended: bool) {
        self.is_extended = is_extended;
        // Whoever is between could leave out the header that says so, and with it everything by which a bad relay is noticed.
        self.is_degraded = !is_extended && self.row.was_numbered;
        self.tie = if is_extended || self.is_degraded { Tie::Reading } else { Tie::Live };
        self.resubscribe = false;
        self.end = None;
        self.ahead.clear();
        self.gap_since = None;
        for outgoing in self.outgoing.values_mut() {
            outgoing.is_published = false;
        }
    }

    /// The connection is gone.
    pub(crate) fn disconnected(&mut self) {
        self.tie = Tie::Away;
        self.asked = None;
        self.ahead.clear();
        self.gap_since = None;
    }

    /// Whether the relay sends the channel though this member has nothing more to do with it, or has no room for more. Asked once.
    pub(crate) fn is_unwanted(&mut self) -> bool {
        let is_unwanted = self.tie != Tie::Away && (self.group.is_none() || self.is_full && self.is_extended);
        if is_unwanted {
            self.disconnected();
        }
        is_unwanted
    }

    /// The changes of a step are on disk. `of` is the fuse of the core that made it: another one has other frames of these numbers.
    pub(crate) fn settle(&mut self, step: &mut Step, of: &Arc<AtomicBool>) {
        for n in step.sealed.drain(..).filter(|_| Arc::ptr_eq(of, &self.fuse)) {
            if let Some(outgoing) = self.outgoing.get_mut(&n) {
                outgoing.is_committed = true;
            }
        }
        for answer in step.answers.drain(..) {
            answer();
        }
    }

    /// Whoever invites answers those who come, also where somebody else made the channel.
    pub(crate) fn answer_joins(&mut self) -> Step {
        let mut step = Step::default();
        if !self.row.answers_joins {
            self.row.answers_joins = true;
            self.stand(&mut step);
        }
        step
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.group.as_ref().map_or(0, Group::epoch)
    }

    fn head(&self) -> Option<Head> {
        self.chain.as_ref().map(Chain::head).filter(|head| head.seq > 0)
    }

    /// How this member stands.
    pub(crate) fn stands(&self) -> Stands {
        Stands { standing: self.row.standing, last: self.row.next_in.saturating_sub(1), tick: self.ticks }
    }

    /// Writes where we stand.
    fn stand(&mut self, step: &mut Step) {
        self.row.chain = self.chain.as_ref().map(|chain| chain.head().hash);
        self.row.heads = self.chain.as_ref().map(|chain| chain.to_bytes(REMEMBERED)).unwrap_or_default();
        self.ticks += 1;
        step.stands = Some(self.stands());
        let change = Change::Channel(self.id, self.row.clone());
        match step.stands_at.and_then(|at| step.changes.get_mut(at)) {
            Some(earlier) => *earlier = change,
            None => {
                step.stands_at = Some(step.changes.len());
                step.changes.push(change);
            }
        }
    }
}
