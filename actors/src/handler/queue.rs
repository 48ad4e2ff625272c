//! In which order a handler takes what it has read.
//!
//! Messages of one conversation are taken one after the other, whatever happens to the earlier ones; different
//! conversations do not wait for each other. Of one conversation only so many are kept here; where it goes on in the log is remembered,
//! so that one that rests keeps nobody else's messages from being read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use toq_store::Seq;

/// How many messages of one conversation are kept.
pub(super) const SHARE: usize = 16;

/// What was read and is not done.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    jobs: BTreeMap<u64, Job>,
    /// How many there are of each conversation.
    counts: HashMap<String, usize>,
    /// Conversations that go on in the log, and from which place on.
    behind: HashMap<String, Seq>,
}

#[derive(Debug)]
struct Job {
    /// Whose conversation it belongs to; `None` where it stands alone.
    conversation: Option<String>,
    phase: Phase,
    /// Whether its owner asked for it, whatever the filter says.
    is_asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It may start at this time of the monotonic clock.
    Waiting(Duration),
    Running,
}

impl Queue {
    /// Adds a message that was read, unless it is here or its conversation has its share; the rest of that is left in the log.
    pub(crate) fn read(&mut self, seq: Seq, conversation: Option<String>) {
        if let Some(name) = &conversation
            && (self.behind.contains_key(name) || self.count(name) >= SHARE)
        {
            self.behind.entry(name.clone()).or_insert(seq);
            return;
        }
        self.push(seq, conversation);
    }

    fn count(&self, conversation: &str) -> usize {
        self.counts.get(conversation).copied().unwrap_or_default()
    }

    /// A conversation that goes on in the log and has room here, and the place from which it goes on; it is taken as read from there.
    pub(crate) fn take_behind(&mut self) -> Option<(String, Seq)> {
        let name = self.behind.keys().find(|name| self.count(name) <= SHARE / 2)?.clone();
        self.behind.remove_entry(&name)
    }

    /// A conversation goes on in the log from this place on.
    pub(crate) fn goes_on(&mut self, conversation: String, from: Seq) {
        self.behind.insert(conversation, from);
    }

    /// Adds a message, unless it is here.
    pub(crate) fn push(&mut self, seq: Seq, conversation: Option<String>) {
        if self.jobs.contains_key(&seq.0) {
            return;
        }
        if let Some(name) = &conversation {
            *self.counts.entry(name.clone()).or_default() += 1;
        }
        self.jobs.insert(seq.0, Job { conversation, phase: Phase::Waiting(Duration::ZERO), is_asked: false });
    }

    /// Adds a message that its owner asked for.
    pub(crate) fn push_asked(&mut self, seq: Seq, conversation: Option<String>) {
        self.push(seq, conversation);
        if let Some(job) = self.jobs.get_mut(&seq.0) {
            job.is_asked = true;
        }
    }

    /// What waits and nobody asked for by name.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = Seq> {
        let waits = |job: &Job| !job.is_asked && job.phase != Phase::Running;
        self.jobs.iter().filter(move |(_, job)| waits(job)).map(|(seq, _)| Seq(*seq))
    }

    /// The next message whose turn it is, which then counts as running.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Seq> {
        let mut busy: HashSet<&str> = HashSet::new();
        let mut found = None;
        for (seq, job) in &self.jobs {
            let is_free = job.conversation.as_deref().is_none_or(|conversation| busy.insert(conversation));
            if is_free && matches!(job.phase, Phase::Waiting(from) if from <= now) {
                found = Some(*seq);
                break;
            }
        }
        let seq = found?;
        self.jobs.get_mut(&seq)?.phase = Phase::Running;
        Some(Seq(seq))
    }

    /// A message is done with.
    pub(crate) fn finish(&mut self, seq: Seq) {
        let Some(name) = self.jobs.remove(&seq.0).and_then(|job| job.conversation) else { return };
        if let Some(count) = self.counts.get_mut(&name) {
            *count -= 1;
        }
        if self.count(&name) == 0 {
            self.counts.remove(&name);
        }
    }

    /// A message is to be tried again, not before this time.
    pub(crate) fn rest(&mut self, seq: Seq, until: Duration) {
        if let Some(job) = self.jobs.get_mut(&seq.0) {
            job.phase = Phase::Waiting(until);
        }
    }

    /// When a message that rests may start again.
    pub(crate) fn next_time(&self, now: Duration) -> Option<Duration> {
        let times = self.jobs.values().filter_map(|job| match job.phase {
            Phase::Waiting(from) if from > now => Some(from),
            _ => None,
        });
        times.min()
    }

    /// How many messages are not done.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn queue(jobs: &[(u64, Option<&str>)]) -> Queue {
        let mut queue = Queue::default();
        jobs.iter().for_each(|(seq, conversation)| queue.push(Seq(*seq), conversation.map(str::to_owned)));
        queue
    }

    #[test]
    fn one_of_each_conversation_runs_and_the_oldest_goes_first() {
        let mut queue = queue(&[(3, Some("a")), (5, Some("a")), (7, Some("b")), (9, None), (11, None)]);

        let taken: Vec<_> = std::iter::from_fn(|| queue.take(NOW)).map(|seq| seq.0).collect();
        queue.finish(Seq(3));

        assert_eq!(taken, [3, 7, 9, 11]);
        assert_eq!(queue.take(NOW), Some(Seq(5)));
    }

    #[test]
    fn a_conversation_has_its_share_and_goes_on_where_it_was_left() {
        let mut queue = Queue::default();
        let all = SHARE as u64 + 5;
        (1..=all).for_each(|seq| queue.read(Seq(seq), Some("a".to_owned())));
        queue.read(Seq(all + 1), Some("b".to_owned()));

        assert_eq!((queue.len(), queue.take_behind()), (SHARE + 1, None));
        (1..=SHARE as u64 / 2).for_each(|seq| queue.finish(Seq(seq)));
        assert_eq!(queue.take_behind(), Some(("a".to_owned(), Seq(SHARE as u64 + 1))));
        assert_eq!(queue.take_behind(), None);
    }

    #[test]
    fn what_rests_holds_back_its_conversation_and_no_other() {
        let mut queue = queue(&[(3, Some("a")), (5, Some("a")), (7, Some("b"))]);
        queue.take(NOW);

        queue.rest(Seq(3), NOW + Duration::from_secs(1));

        assert_eq!(queue.take(NOW), Some(Seq(7)));
        assert_eq!(queue.take(NOW), None);
        assert_eq!(queue.next_time(NOW), Some(NOW + Duration::from_secs(1)));
        assert_eq!(queue.take(NOW + Duration::from_secs(1)), Some(Seq(3)));
    }
}
