//! In which order a handler takes what it has read.
//!
//! Messages of one conversation are taken one after the other, whatever happens to the earlier ones; different
//! conversations do not wait for each other.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use toq_store::Seq;

/// What was read and is not done.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    jobs: BTreeMap<u64, Job>,
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
    /// Adds a message that was read, unless it is here.
    pub(crate) fn push(&mut self, seq: Seq, conversation: Option<String>) {
        self.jobs.entry(seq.0).or_insert(Job { conversation, phase: Phase::Waiting(Duration::ZERO), is_asked: false });
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
        self.jobs.remove(&seq.0);
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
