//! What comes from the relay, put in the order of the log.

use std::time::{Duration, Instant};

use toq_channels::group::{Chain, Head};
use toq_dataplane::extension::Tag;
use toq_dataplane::link::Refusal;
use toq_store::member::{OutKind, OutRow, Standing};

use super::{Core, LAST_PLACE, READABLE, Step, Tie};
use crate::chance::{Now, jitter, random};
use crate::error::{Error, Kind};

/// How long an entry may be missing before it is asked for again.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often a missing entry is asked for again before it is taken for withheld.
const MAX_GAPS: u32 = 4;

/// How long a relay that cannot give the channel now is left alone at most, unless it asks for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a relay may ask to be left alone.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// After which time at most something is tried again, unless the relay asks for longer.
const AGAIN: Duration = Duration::from_secs(1);

/// What is said of a relay that turned off what it had.
const DEGRADED: &str = "the relay does not number what stands in its log any more, so that it could leave out or repeat it; nothing is sent or read until it does";

/// The relay's answer to who asked for the channel, where it is no.
#[derive(Debug)]
pub(super) struct Denial {
    /// What it said.
    detail: String,
    /// Whether asking again is of no use until somebody has changed something.
    is_final: bool,
    /// Whether the credentials are not good for this channel.
    is_forbidden: bool,
    /// How often in a row.
    times: u32,
    again_at: Instant,
}

/// An entry of the log.
#[derive(Debug)]
pub(crate) enum Item {
    /// What somebody published, perhaps ourselves earlier.
    Frame(Vec<u8>),
    /// What we published, by its number in the outbox.
    Ours(u64),
}

impl Item {
    /// How many bytes it has by itself.
    pub(super) fn octets(&self) -> usize {
        match self {
            Item::Frame(frame) => frame.len(),
            Item::Ours(_) => 0,
        }
    }
}

impl Core {
    /// An entry of the log.
    pub(crate) fn delivered(&mut self, seq: u64, item: Item, step: &mut Step, now: Now) {
        // What is not taken now is asked for again.
        if self.is_degraded || self.is_full && self.is_extended {
            return;
        }
        if !self.is_extended {
            if let Item::Frame(frame) = item {
                self.enter(self.row.cursor.saturating_add(1), Item::Frame(frame), step, now);
            }
            return;
        }
        if seq <= self.row.cursor || self.is_unasked() {
            return;
        }
        if seq > LAST_PLACE {
            return self.disbelieve(seq, step, now);
        }
        if seq > self.row.cursor + 1 {
            self.gap_since.get_or_insert(now.instant);
            if !self.ahead.keep(seq, item, self.limits.ahead) {
                // It is there, and comes when what is missing is asked for again.
                self.end = Some(self.end.map_or(seq, |end| end.max(seq)));
            }
            return;
        }
        self.enter(seq, item, step, now);
        self.catch_up(step, now);
        self.ahead.forget_to(self.row.cursor);
        self.gaps = 0;
        if self.ahead.is_empty() && self.end.is_none_or(|end| end <= self.row.cursor) {
            self.gap_since = None;
        }
    }

    /// Reads what waited for the entry that was just read.
    fn catch_up(&mut self, step: &mut Step, now: Now) {
        while !self.is_full
            && let Some(item) = self.ahead.take(self.row.cursor + 1)
        {
            self.enter(self.row.cursor + 1, item, step, now);
        }
    }

    /// A publication is in the log.
    pub(crate) fn accepted(&mut self, tag: Tag, seq: u64, step: &mut Step, now: Now) {
        let Some(n) = self.by_tag.get(&tag.0).copied() else { return };
        let Some(outgoing) = self.outgoing.get(&n) else { return };
        if !outgoing.row.earlier.is_empty() {
            // The relay has one of several frames, and only the log tells which.
            if seq > self.row.cursor {
                self.resubscribe = true;
            } else {
                self.done(n, seq, step, now);
            }
            return;
        }
        if seq > LAST_PLACE {
            return self.disbelieve(seq, step, now);
        }
        if seq > self.row.cursor {
            return self.delivered(seq, Item::Ours(n), step, now);
        }
        // It stands where we have read already, and was not recognised there: an earlier answer got lost.
        match outgoing.row.kind {
            OutKind::Commit => self.lost(step, now),
            OutKind::Proposal => {
                self.tell_unread(seq, step, now);
                self.release(n, step);
                self.go_again();
            }
            OutKind::Message | OutKind::Draft => {
                self.tell_unread(seq, step, now);
                self.publish_again(n, step, now);
            }
        }
    }

    /// The relay says that something of ours stands at a place that we have read, and something else stood there.
    fn tell_unread(&mut self, seq: u64, step: &mut Step, now: Now) {
        let text = format!("the relay says that it has something of this member at place {seq} of the log, and did not show it there");
        self.happen(step, now, "relay_misbehaving", text);
        self.stand(step);
    }

    /// The same frame under another tag, which the relay does not know: members who have read it notice, and no others need it less.
    fn publish_again(&mut self, n: u64, step: &mut Step, now: Now) {
        let Some(row) = self.release(n, step) else { return };
        self.put(n, OutRow { tag: random(), ..row }, step);
        if let Some(outgoing) = self.outgoing.get_mut(&n) {
            // A relay that says so each time is not asked without a pause.
            outgoing.not_before = Some(now.instant + jitter(AGAIN));
        }
    }

    /// The relay does not take a publication.
    pub(crate) fn refused(&mut self, tag: Tag, why: Refusal, detail: &str, wait: Duration, step: &mut Step, now: Now) {
        let Some(n) = self.by_tag.get(&tag.0).copied() else { return };
        let is_commit = self.staged.as_ref().is_some_and(|staged| staged.n == n);
        match why {
            Refusal::EpochTaken if is_commit => self.lost(step, now),
            // What a later relay means by a code that is not known here may pass; the message is not given up for it.
            Refusal::OverQuota | Refusal::Unavailable | Refusal::Other => {
                let pause = wait.min(LONGEST_WAIT).max(jitter(AGAIN));
                if let Some(outgoing) = self.outgoing.get_mut(&n) {
                    outgoing.is_published = false;
                    outgoing.not_before = Some(now.instant + pause);
                }
                if why == Refusal::OverQuota {
                    self.happen(step, now, "over_quota", detail.to_owned());
                    self.stand(step);
                }
            }
            _ => {
                let kind = if why == Refusal::TooLarge { Kind::TooLarge } else { Kind::Refused };
                let error = Error::new(kind, format!("the relay refuses it: {detail}"));
                if is_commit {
                    let staged = self.staged.take();
                    self.release(n, step);
                    if let Some(group) = &mut self.group {
                        step.changes.extend(crate::home::changes(group.discard()));
                    }
                    step.answer(staged.and_then(|staged| staged.errand).and_then(|errand| errand.reply), Err(error));
                } else {
                    self.release(n, step);
                    let waiter = self.waiters.remove(&n);
                    step.answer(waiter, Err(error));
                    self.happen(step, now, "message_refused", detail.to_owned());
                    self.stand(step);
                }
            }
        }
    }

    /// What was in the log when it was asked for has been delivered.
    pub(crate) fn caught_up(&mut self, seq: u64, step: &mut Step, now: Now) {
        if self.is_unasked() || self.is_full {
            return;
        }
        if seq > LAST_PLACE {
            return self.disbelieve(seq, step, now);
        }
        if let Some(asked) = self.asked.filter(|asked| seq < asked.after && asked.after == self.row.cursor) {
            return self.shorter(seq, asked.after, step, now);
        }
        if !self.row.was_numbered {
            self.row.was_numbered = true;
            self.stand(step);
        }
        self.denied = None;
        self.end = Some(seq);
        if self.row.cursor < seq {
            // Something is missing before its end.
            self.gap_since.get_or_insert(now.instant);
        }
    }

    /// The relay's log ends before what was read of it: it lost its end, or it is another one. What comes now takes the place of
    /// what was lost, so it is read from there on; if it were taken for what was read already, it would be missed without a word.
    fn shorter(&mut self, seq: u64, read: u64, step: &mut Step, now: Now) {
        let detail = format!("the relay's log ends at place {seq}, and this member has read up to {read} of it: the relay lost its end");
        self.happen(step, now, "relay_misbehaving", detail);
        self.chain = match seq {
            0 => Some(Chain::new()),
            _ => self.chain.as_ref().and_then(|chain| chain.back_to(seq)),
        };
        self.row.cursor = seq;
        self.stand(step);
        self.resubscribe = true;
    }

    /// Goes live where everything was read that was in the log when it was asked for.
    pub(crate) fn look_for_the_end(&mut self, step: &mut Step, now: Now) {
        if self.tie == Tie::Reading && self.end.is_some_and(|end| end <= self.row.cursor) {
            self.tie = Tie::Live;
            self.gaps = 0;
            self.refresh(step, now);
        }
    }

    /// The relay names a place that no log has. Nothing is done with it: a cursor that went there would never come back.
    fn disbelieve(&mut self, seq: u64, step: &mut Step, now: Now) {
        if !self.has_been_lied_to {
            self.has_been_lied_to = true;
            self.happen(step, now, "relay_misbehaving", format!("the relay names place {seq} of the log, which no log has"));
            self.stand(step);
        }
    }

    /// The relay no longer keeps what we have not read; `oldest` is the first place that it has.
    pub(crate) fn behind(&mut self, oldest: u64, step: &mut Step, now: Now) {
        if oldest > LAST_PLACE {
            return self.disbelieve(oldest, step, now);
        }
        // Whoever has just made the group, under a name that is older, misses nothing either.
        // Only who made a group was ever in its first epoch.
        let is_first = self.group.is_some() && self.epoch() == 0;
        if self.row.cursor == 0 && (self.chain.is_none() || is_first) {
            // Nothing was read yet, and the adder did not say where to begin: at what the relay has. Whoever makes a group says it to all
            // who join, so that its chain may begin with anything.
            self.row.cursor = oldest.saturating_sub(1);
            self.chain = is_first.then(|| Chain::begin_at(Head { seq: self.row.cursor, hash: [0; 32] }));
            self.stand(step);
            self.resubscribe = true;
            return;
        }
        let read = self.row.cursor;
        self.fall_behind(format!("the relay keeps the log from place {oldest} on, this member has read up to {read}"), step, now);
    }

    /// This member has missed what it needs to go on, and has to be added again.
    pub(super) fn fall_behind(&mut self, detail: String, step: &mut Step, now: Now) {
        // Who wants to leave, or must not encrypt, is not asked to come again for this.
        if self.row.standing == Standing::Member {
            self.row.standing = Standing::Behind;
        }
        self.happen(step, now, "behind", detail);
        self.stand(step);
        self.give_up(step);
    }

    /// The relay does not give us the channel. It is asked again, after a while that grows or that it named; where it will not
    /// either by itself, whoever waits for something here is told why.
    pub(crate) fn not_subscribed(&mut self, why: Refusal, detail: &str, wait: Duration, step: &mut Step, now: Now) {
        let is_final = !matches!(why, Refusal::Unavailable | Refusal::OverQuota);
        let times = self.denied.as_ref().map_or(0, |denial| denial.times).saturating_add(1);
        let is_known = self.denied.as_ref().is_some_and(|denial| denial.is_final && denial.detail == detail);
        let pause = if is_final { LONGEST_PAUSE } else { Duration::from_secs(1 << times.min(6)).min(LONGEST_PAUSE) };
        let again_at = now.instant + wait.min(LONGEST_WAIT).max(jitter(pause));
        self.denied = Some(Denial { detail: detail.to_owned(), is_final, is_forbidden: why == Refusal::Forbidden, times, again_at });
        if is_final && !is_known {
            self.happen(step, now, "subscription_refused", detail.to_owned());
            self.stand(step);
        }
        let Err(error) = self.may_hope() else { return };
        for errand in std::mem::take(&mut self.wishes) {
            step.answer(errand.reply, Err(error.clone()));
        }
    }

    /// Whether a change of the group can be settled here: the relay has not said that it does not give us the channel.
    pub(super) fn may_hope(&self) -> Result<(), Error> {
        let Some(denial) = self.denied.as_ref().filter(|denial| denial.is_final) else { return Ok(()) };
        let text = format!("the relay does not give {} to this member: {}; it is asked again every minute", self.name, denial.detail);
        Err(Error::new(if denial.is_forbidden { Kind::Auth } else { Kind::Transport }, text))
    }

    /// What keeps changes from being settled, where it is known.
    pub(crate) fn hindrance(&self) -> Option<&str> {
        let denial = self.denied.as_ref().map(|denial| denial.detail.as_str());
        let full = self.is_full.then_some("too many messages wait to be read here; read some first");
        denial.or(full).or(self.is_degraded.then_some(DEGRADED))
    }

    /// Time passes: an entry that is missing for too long is asked for again.
    pub(crate) fn look_for_gaps(&mut self, step: &mut Step, now: Now) {
        if self.is_degraded && !self.was_degraded {
            self.happen(step, now, "relay_misbehaving", DEGRADED.to_owned());
            self.stand(step);
        }
        self.was_degraded = self.is_degraded;
        if self.tie != Tie::Away
            && let Some(denial) = self.denied.as_mut().filter(|denial| denial.again_at <= now.instant)
        {
            // One question at a time; the answer says when the next is due.
            denial.again_at = now.instant + LONGEST_PAUSE;
            self.resubscribe = true;
        }
        if self.gap_since.is_none_or(|since| now.instant.duration_since(since) < PATIENCE) {
            return;
        }
        self.gap_since = None;
        self.gaps += 1;
        if self.gaps <= MAX_GAPS {
            self.resubscribe = true;
            return;
        }
        // The relay was asked often enough. What is missing is named, and the rest is read.
        let next = self.ahead.first().map(|next| next.saturating_sub(1));
        let Some(to) = next.or(self.end) else { return };
        let from = self.row.cursor + 1;
        if to < from {
            return;
        }
        self.happen(step, now, "relay_misbehaving", format!("the relay withholds places {from} to {to} of the log"));
        self.gaps = 0;
        if next.is_none() {
            // There is only the relay's word that the log goes on. Places are passed over for an entry that is here, and not for a
            // number: if these come after all, they are read.
            self.end = Some(self.row.cursor);
            return self.stand(step);
        }
        self.row.cursor = to;
        self.row.has_skipped = true;
        self.chain = None;
        self.catch_up(step, now);
        self.stand(step);
    }

    /// A message of ours stands at this place.
    pub(super) fn done(&mut self, n: u64, seq: u64, step: &mut Step, now: Now) {
        let Some(row) = self.release(n, step) else { return };
        let waiter = self.waiters.remove(&n);
        if row.kind == OutKind::Message && row.epoch + READABLE < self.epoch() {
            // So many commits stand before it that nobody could read it.
            return self.say_again(row.payload, waiter, step, now);
        }
        step.answer(waiter, Ok(seq));
    }
}
