//! Who sits at a door and has not shown who it is.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use tokio::task::AbortHandle;

/// Seats for newcomers, bounded altogether and by source.
pub(super) struct Seats {
    size: usize,
    per_source: usize,
    /// In the order of arrival.
    taken: BTreeMap<u64, (IpAddr, AbortHandle)>,
    sources: HashMap<IpAddr, usize>,
    next: u64,
    evicted: u64,
}

impl Seats {
    pub(super) fn new(size: usize, per_source: usize) -> Self {
        Self { size, per_source: per_source.min(size), taken: BTreeMap::new(), sources: HashMap::new(), next: 0, evicted: 0 }
    }

    /// Makes room for one more from `source`: the longest seated of that source leaves if it has its share,
    /// else the longest seated of all if every seat is taken.
    pub(super) fn make_room(&mut self, source: IpAddr) -> u64 {
        let leaver = if self.sources.get(&source).is_some_and(|count| *count >= self.per_source) {
            self.taken.iter().find(|(_, (from, _))| *from == source).map(|(number, _)| *number)
        } else if self.taken.len() >= self.size {
            self.taken.keys().next().copied()
        } else {
            None
        };
        if let Some(number) = leaver {
            if let Some((_, task)) = self.taken.get(&number) {
                task.abort();
            }
            self.evicted += 1;
            self.leave(number);
        }
        self.next += 1;
        self.next
    }

    pub(super) fn sit(&mut self, number: u64, source: IpAddr, task: AbortHandle) {
        self.taken.insert(number, (source, task));
        *self.sources.entry(source).or_default() += 1;
    }

    pub(super) fn leave(&mut self, number: u64) {
        let Some((source, _)) = self.taken.remove(&number) else { return };
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn clear(&mut self) {
        for (_, task) in self.taken.values() {
            task.abort();
        }
        self.taken.clear();
        self.sources.clear();
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn the_longest_seated_leaves_when_every_seat_is_taken() {
        run(async {
            let mut seats = Seats::new(3, 2);
            let mut tasks = Vec::new();
            for last in [1, 2, 3, 4] {
                let number = seats.make_room(source(last));
                let task = toq_kit::spawn(std::future::pending::<()>());
                seats.sit(number, source(last), task.abort_handle());
                tasks.push(task);
            }

            assert_eq!((seats.len(), seats.evicted()), (3, 1));
            assert!(tasks.remove(0).await.expect_err("aborted").is_cancelled());
        });
    }

    #[test]
    fn a_source_with_its_share_gives_up_its_own_seat() {
        run(async {
            let mut seats = Seats::new(10, 2);
            let mut tasks = Vec::new();
            for last in [1, 2, 2, 2] {
                let number = seats.make_room(source(last));
                let task = toq_kit::spawn(std::future::pending::<()>());
                seats.sit(number, source(last), task.abort_handle());
                tasks.push(task);
            }

            assert_eq!(seats.len(), 3);
            assert!(tasks.remove(1).await.expect_err("aborted").is_cancelled());
        });
    }
}
