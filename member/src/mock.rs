//! A relay inside the process, for programs' tests and for ours.
//!
//! It keeps a log for each channel in memory and follows the rules of the real one: a total order, no gap, one commit for each
//! epoch, repetitions known by their tag, resumption from a place. Only the network is missing: groups, keys and
//! ciphertext are real. [`Mischief`] makes it a bad relay, for tests of those who must notice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use toq_channels::{ChannelName, frame};
use toq_dataplane::extension::{Carriage, Tag};
use toq_dataplane::link::{Event, LinkError, Refusal};

/// How many entries of a channel are kept; older ones are forgotten as a relay's retention does.
const KEPT: usize = 100_000;

type Bytes = bytes::Bytes;

/// How a relay misbehaves. Probabilities are in 256ths; the dice are seeded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    /// What the dice begin with.
    pub seed: u64,
    /// A delivery is left out; the next one shows the gap.
    pub drop: u8,
    /// A delivery comes twice.
    pub duplicate: u8,
    /// A delivery changes places with the next one.
    pub reorder: u8,
    /// The connection ends.
    pub cut: u8,
    /// A byte of a delivery is changed.
    pub corrupt: u8,
}

/// A relay inside the process. Clones are the same relay.
#[derive(Clone)]
pub struct Relay(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    grew: Notify,
}

#[derive(Default)]
struct State {
    channels: HashMap<[u8; 32], Log>,
    lines: HashMap<u64, Wire>,
    next_line: u64,
    mischief: Mischief,
    is_down: bool,
    is_plain: bool,
    dice: u64,
}

#[derive(Default)]
struct Log {
    /// The place of the first entry that is kept, less one.
    forgotten: u64,
    entries: VecDeque<Entry>,
    tags: HashMap<[u8; 16], u64>,
}

#[derive(Clone)]
struct Entry {
    blob: Bytes,
    carriage: Carriage,
    tag: [u8; 16],
    epoch: Option<u64>,
}

struct Wire {
    subscriptions: HashMap<[u8; 32], Subscription>,
    answers: VecDeque<Event>,
    /// What was published here and not answered. It is answered where it stands in the log; when it is passed again it is delivered.
    outstanding: HashSet<[u8; 16]>,
    held: Option<Event>,
    is_open: bool,
}

struct Subscription {
    name: ChannelName,
    cursor: u64,
    /// Where the log ended when it was asked for, until that was told.
    caught_up_at: Option<u64>,
}

static GROUPS: LazyLock<Mutex<HashMap<String, Weak<Shared>>>> = LazyLock::new(Mutex::default);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Relay {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Relay")
    }
}

impl Relay {
    /// A relay of its own.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), grew: Notify::new() }))
    }

    /// The relay that everybody in this process shares who names this group. It lives as long as somebody uses it.
    #[must_use]
    pub fn shared(group: &str) -> Self {
        let mut groups = locked(&GROUPS);
        groups.retain(|_, relay| relay.strong_count() > 0);
        if let Some(relay) = groups.get(group).and_then(Weak::upgrade) {
            return Self(relay);
        }
        let relay = Self::new();
        groups.insert(group.to_owned(), Arc::downgrade(&relay.0));
        relay
    }

    /// A relay that knows nothing beyond the published protocol: no answers, no resumption.
    #[must_use]
    pub fn plain() -> Self {
        let relay = Self::new();
        locked(&relay.0.state).is_plain = true;
        relay
    }

    /// From now on it misbehaves like this.
    pub fn misbehave(&self, mischief: Mischief) {
        let mut state = locked(&self.0.state);
        state.dice = mischief.seed;
        state.mischief = mischief;
    }

    /// Ends all connections and refuses new ones until [`Relay::come_back`].
    pub fn go_away(&self) {
        let mut state = locked(&self.0.state);
        state.is_down = true;
        state.cut_all();
        drop(state);
        self.0.grew.notify_waiters();
    }

    /// Takes connections again.
    pub fn come_back(&self) {
        locked(&self.0.state).is_down = false;
    }

    /// Ends all connections; new ones are taken.
    pub fn cut(&self) {
        locked(&self.0.state).cut_all();
        self.0.grew.notify_waiters();
    }

    /// Says from now on that it knows nothing beyond the published protocol, or that it does again. Connections end.
    pub fn number(&self, is_numbering: bool) {
        let mut state = locked(&self.0.state);
        state.is_plain = !is_numbering;
        state.cut_all();
        drop(state);
        self.0.grew.notify_waiters();
    }

    /// Forgets a channel's log up to a place.
    pub fn forget(&self, channel: &ChannelName, up_to: u64) {
        let mut state = locked(&self.0.state);
        if let Some(log) = state.channels.get_mut(&channel.id()) {
            while log.forgotten < up_to && log.entries.pop_front().is_some() {
                log.forgotten += 1;
            }
        }
    }

    /// Loses a channel's log from a place on, as one does that was restored from a copy. Connections end.
    pub fn lose(&self, channel: &ChannelName, from: u64) {
        let mut state = locked(&self.0.state);
        if let Some(log) = state.channels.get_mut(&channel.id()) {
            while log.head() >= from.max(1)
                && let Some(entry) = log.entries.pop_back()
            {
                log.tags.remove(&entry.tag);
            }
        }
        state.cut_all();
        drop(state);
        self.0.grew.notify_waiters();
    }

    /// Whether all who asked for a channel were sent all of its log, or what was made of it.
    #[must_use]
    pub fn is_passed_on(&self, channel: &ChannelName) -> bool {
        let state = locked(&self.0.state);
        let end = state
            .channels
            .get(&channel.id())
            .map_or(0, |log| log.forgotten.saturating_add(u64::try_from(log.entries.len()).unwrap_or(u64::MAX)));
        let mut subscriptions = state.lines.values().filter(|wire| wire.is_open).filter_map(|wire| wire.subscriptions.get(&channel.id()));
        subscriptions.all(|subscription| subscription.cursor >= end)
    }

    /// What is in a channel's log, from its beginning or what is kept of it.
    #[must_use]
    pub fn log(&self, channel: &ChannelName) -> Vec<Vec<u8>> {
        let state = locked(&self.0.state);
        state.channels.get(&channel.id()).map(|log| log.entries.iter().map(|entry| entry.blob.to_vec()).collect()).unwrap_or_default()
    }

    /// Appends what no member sent, as a hostile relay can.
    pub fn inject(&self, channel: &ChannelName, carriage: Carriage, blob: &[u8]) {
        let mut state = locked(&self.0.state);
        let log = state.channels.entry(channel.id()).or_default();
        log.append(Entry { blob: Bytes::copy_from_slice(blob), carriage, tag: [0; 16], epoch: None });
        drop(state);
        self.0.grew.notify_waiters();
    }

    pub(crate) fn connect(&self) -> Result<Line, LinkError> {
        let mut state = locked(&self.0.state);
        if state.is_down {
            let endpoint = "the process".to_owned();
            return Err(LinkError::Unreachable { endpoint, detail: "it was told to be away".to_owned() });
        }
        state.next_line += 1;
        let id = state.next_line;
        let wire = Wire { subscriptions: HashMap::new(), answers: VecDeque::new(), outstanding: HashSet::new(), held: None, is_open: true };
        state.lines.insert(id, wire);
        let is_extended = !state.is_plain;
        drop(state);
        Ok(Line { relay: self.clone(), hold: Arc::new(Hold { relay: self.clone(), id }), is_extended })
    }
}

impl Log {
    fn head(&self) -> u64 {
        self.forgotten + u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    fn append(&mut self, entry: Entry) -> u64 {
        self.entries.push_back(entry);
        if self.entries.len() > KEPT
            && let Some(old) = self.entries.pop_front()
        {
            self.tags.remove(&old.tag);
            self.forgotten += 1;
        }
        self.head()
    }

    fn get(&self, seq: u64) -> Option<&Entry> {
        let index = seq.checked_sub(self.forgotten + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }
}

impl State {
    fn cut_all(&mut self) {
        for wire in self.lines.values_mut() {
            wire.is_open = false;
        }
    }

    /// The dice of `Mischief`: splitmix64.
    fn roll(&mut self, chance: u8) -> bool {
        if chance == 0 {
            return false;
        }
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((z ^ (z >> 31)) & 0xff).unwrap_or(0) < chance
    }

    /// The next event of a line, good or bad.
    fn next(&mut self, id: u64) -> Result<Option<Event>, LinkError> {
        let closed = || LinkError::Closed("the relay went away".to_owned());
        let mischief = self.mischief;
        if self.roll(mischief.cut)
            && let Some(wire) = self.lines.get_mut(&id)
        {
            wire.is_open = false;
        }
        let wire = self.lines.get_mut(&id).ok_or_else(closed)?;
        if !wire.is_open {
            return Err(closed());
        }
        if let Some(event) = wire.answers.pop_front() {
            return Ok(Some(event));
        }
        if let Some(event) = wire.held.take() {
            return Ok(Some(event));
        }
        let Some(event) = self.honest(id) else { return Ok(None) };
        if !matches!(event, Event::Delivered { .. }) {
            return Ok(Some(event));
        }
        if self.roll(mischief.drop) {
            return self.next(id);
        }
        if self.roll(mischief.duplicate)
            && let Some(wire) = self.lines.get_mut(&id)
        {
            wire.held = Some(event.clone());
            return Ok(Some(event));
        }
        if self.roll(mischief.reorder)
            && let Some(later) = self.honest(id)
        {
            if let Some(wire) = self.lines.get_mut(&id) {
                wire.held = Some(event);
            }
            return Ok(Some(later));
        }
        if self.roll(mischief.corrupt)
            && let Event::Delivered { channel, seq, blob, carriage } = event
        {
            let mut changed = blob.to_vec();
            if let Some(last) = changed.last_mut() {
                *last ^= 1;
            }
            return Ok(Some(Event::Delivered { channel, seq, blob: changed.into(), carriage }));
        }
        Ok(Some(event))
    }

    /// The next event of a line as the rules want it.
    fn honest(&mut self, id: u64) -> Option<Event> {
        let Self { channels, lines, is_plain, .. } = self;
        let wire = lines.get_mut(&id)?;
        for (channel, subscription) in &mut wire.subscriptions {
            let Some(log) = channels.get(channel) else {
                if subscription.caught_up_at.take().is_some() && !*is_plain {
                    return Some(Event::CaughtUp { channel: subscription.name.clone(), seq: 0 });
                }
                continue;
            };
            if let Some(at) = subscription.caught_up_at
                && at <= subscription.cursor
            {
                subscription.caught_up_at = None;
                if !*is_plain {
                    return Some(Event::CaughtUp { channel: subscription.name.clone(), seq: at });
                }
            }
            while let Some(entry) = log.get(subscription.cursor + 1) {
                subscription.cursor += 1;
                let seq = subscription.cursor;
                if !wire.outstanding.remove(&entry.tag) {
                    let channel = subscription.name.clone();
                    return Some(Event::Delivered { channel, seq, blob: entry.blob.clone(), carriage: entry.carriage });
                }
                if !*is_plain {
                    return Some(Event::Accepted { tag: Tag(entry.tag), seq });
                }
            }
        }
        None
    }
}

struct Hold {
    relay: Relay,
    id: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        locked(&self.relay.0.state).lines.remove(&self.id);
    }
}

/// A connection to a relay inside the process.
#[derive(Clone)]
pub(crate) struct Line {
    relay: Relay,
    hold: Arc<Hold>,
    is_extended: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({})", self.hold.id)
    }
}

impl Line {
    pub(crate) const fn is_extended(&self) -> bool {
        self.is_extended
    }

    pub(crate) fn subscribe(&self, channel: &ChannelName, after: u64, tag: Tag) -> Result<(), LinkError> {
        self.with(|state, id| {
            let head = state.channels.get(&channel.id()).map_or(0, Log::head);
            let forgotten = state.channels.get(&channel.id()).map_or(0, |log| log.forgotten);
            let is_plain = state.is_plain;
            let Some(wire) = state.lines.get_mut(&id) else { return };
            if !is_plain && after < forgotten {
                let detail = format!("places up to {forgotten} are no longer kept; subscribe after the oldest that is");
                let why = Refusal::Behind;
                let retry_after = std::time::Duration::ZERO;
                wire.answers.push_back(Event::Refused { tag: Some(tag), why, detail, seq: forgotten + 1, retry_after });
                return;
            }
            let cursor = if is_plain { head } else { after };
            let caught_up_at = Some(head);
            wire.subscriptions.insert(channel.id(), Subscription { name: channel.clone(), cursor, caught_up_at });
            if !is_plain {
                wire.answers.push_back(Event::Accepted { tag, seq: head });
            }
        })
    }

    pub(crate) fn unsubscribe(&self, channel: &ChannelName) -> Result<(), LinkError> {
        self.with(|state, id| {
            if let Some(wire) = state.lines.get_mut(&id) {
                wire.subscriptions.remove(&channel.id());
            }
        })
    }

    pub(crate) fn publish(
        &self,
        channel: &ChannelName,
        carriage: Carriage,
        blob: Bytes,
        tag: Tag,
        seen: Option<u64>,
    ) -> Result<(), LinkError> {
        self.with(|state, id| {
            let epoch = frame::peek(&blob).ok().filter(|head| head.kind == frame::Kind::Commit).map(|head| head.epoch);
            let is_plain = state.is_plain;
            let log = state.channels.entry(channel.id()).or_default();
            if !is_plain && let Some(seq) = log.tags.get(&tag.0).copied() {
                if let Some(wire) = state.lines.get_mut(&id) {
                    let is_ahead = wire.subscriptions.get(&channel.id()).is_some_and(|subscription| subscription.cursor < seq);
                    if is_ahead {
                        wire.outstanding.insert(tag.0);
                    } else {
                        wire.answers.push_back(Event::Accepted { tag, seq });
                    }
                }
                return;
            }
            // A commit travels as a private message in channels whose handshakes are encrypted; its head tells all the same.
            if let (false, Some(epoch), Some(seen)) = (is_plain, epoch, seen) {
                let beyond = (seen + 1..=log.head()).find(|seq| log.get(*seq).is_some_and(|entry| entry.epoch == Some(epoch)));
                if let Some(seq) = beyond
                    && let Some(wire) = state.lines.get_mut(&id)
                {
                    let detail = format!("the commit at place {seq} is of the same epoch; read it, then make a new one");
                    let (why, retry_after) = (Refusal::EpochTaken, std::time::Duration::ZERO);
                    wire.answers.push_back(Event::Refused { tag: Some(tag), why, detail, seq, retry_after });
                    return;
                }
            }
            let seq = log.append(Entry { blob, carriage, tag: tag.0, epoch });
            log.tags.insert(tag.0, seq);
            if let Some(wire) = state.lines.get_mut(&id) {
                wire.outstanding.insert(tag.0);
            }
        })
    }

    /// The next event; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let grown = self.relay.0.grew.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            match locked(&self.relay.0.state).next(self.hold.id) {
                Ok(Some(event)) => return Some(event),
                Err(end) => return Some(Event::Closed(end)),
                Ok(None) => {}
            }
            grown.await;
        }
    }

    fn with(&self, work: impl FnOnce(&mut State, u64)) -> Result<(), LinkError> {
        let mut state = locked(&self.relay.0.state);
        if !state.lines.get(&self.hold.id).is_some_and(|wire| wire.is_open) {
            return Err(LinkError::Closed("the relay went away".to_owned()));
        }
        work(&mut state, self.hold.id);
        drop(state);
        self.relay.0.grew.notify_waiters();
        Ok(())
    }
}
