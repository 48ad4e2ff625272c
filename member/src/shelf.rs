//! The messages of a channel that are at hand, and what is known of those on the disk.
//!
//! Messages have numbers that rise. Some tasks put them on the disk and then here, others read them, and a reader's look at the disk may
//! be older than what was put here meanwhile: so whoever looks first takes down how far the disk went then.

use std::collections::VecDeque;

use toq_store::member::{HappeningRow, InRow, Standing};

use crate::core::{HAPPENINGS, Stands, octets};

/// How many messages are kept at hand; the others are read from the disk when their turn comes.
const PAGE: usize = 512;

/// How many bytes they may have.
const PAGE_OCTETS: usize = 16 << 20;

/// The messages at hand.
#[derive(Default)]
pub(crate) struct Shelf {
    page: VecDeque<(u64, InRow)>,
    page_octets: usize,
    /// The last number that was put into the page.
    read_to: u64,
    /// The last number that is on the disk.
    newest: u64,
    /// What was handed out last, and is done with when the next is asked for.
    at: Option<u64>,
    /// Up to where messages were handed out, in the bytes that their rows count.
    octets_read: u64,
    happenings: VecDeque<(u64, HappeningRow)>,
    stands: Option<Stands>,
}

/// A stretch of numbers that is on the disk and not at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The number before the first of them.
    pub after: u64,
    /// The last that was on the disk when this was found out.
    pub newest: u64,
}

/// What a reader gets.
pub(crate) enum Taken {
    /// Messages, and the number up to which earlier ones are done with.
    Messages(Vec<(u64, InRow)>, Option<u64>),
    /// The page is empty; there is more on the disk.
    Read(Stretch),
    /// There is nothing; the number is as above.
    Nothing(Option<u64>),
    /// There is nothing, and nothing will come while the member stands so; the number is as above.
    Over(Option<u64>),
}

impl Shelf {
    /// With a disk that goes up to `newest`, of which so many bytes were handed out, and these happenings.
    pub(crate) fn new(newest: u64, octets_read: u64, happenings: impl IntoIterator<Item = (u64, HappeningRow)>) -> Self {
        Self { newest, octets_read, happenings: happenings.into_iter().collect(), ..Self::default() }
    }

    /// Up to where messages were handed out, in the bytes that their rows count.
    pub(crate) fn octets_read(&self) -> u64 {
        self.octets_read
    }

    /// Messages are on the disk.
    pub(crate) fn arrived(&mut self, rows: impl IntoIterator<Item = (u64, InRow)>) {
        for (n, row) in rows {
            // Two tasks write, and the one that was first may be told last.
            self.newest = self.newest.max(n);
            if self.read_to + 1 == n && self.page.len() < PAGE && self.page_octets < PAGE_OCTETS {
                self.read_to = n;
                self.page_octets = self.page_octets.saturating_add(octets(&row));
                self.page.push_back((n, row));
            }
        }
    }

    /// How the member stands is on the disk. Of what two tasks tell, the later counts.
    pub(crate) fn stands(&mut self, stands: Stands) {
        if self.stands.is_none_or(|before| before.tick <= stands.tick) {
            self.stands = Some(stands);
        }
    }

    /// Whether all messages were handed out, and no more will come.
    pub(crate) fn is_over(&self) -> bool {
        let ends = |standing| matches!(standing, Standing::Removed | Standing::Left | Standing::Behind);
        let is_read = |last| self.page.is_empty() && self.newest <= self.read_to && last <= self.read_to;
        self.stands.is_some_and(|stands| ends(stands.standing) && is_read(stands.last))
    }

    /// Happenings are on the disk.
    pub(crate) fn happened(&mut self, rows: impl IntoIterator<Item = (u64, HappeningRow)>) {
        for (n, row) in rows {
            let at = self.happenings.partition_point(|(earlier, _)| *earlier < n);
            self.happenings.insert(at, (n, row));
            if self.happenings.len() > usize::try_from(HAPPENINGS).unwrap_or(1000) {
                self.happenings.pop_front();
            }
        }
    }

    /// How many messages were not handed out. Where there is a stretch to be read first, they may be fewer: some of it may have been read
    /// before the last restart.
    pub(crate) fn waiting(&self) -> (usize, Option<Stretch>) {
        let on_disk = self.newest.saturating_sub(self.read_to);
        let count = self.page.len().saturating_add(usize::try_from(on_disk).unwrap_or(usize::MAX));
        let unread = self.page.is_empty() && on_disk > 0;
        (count, unread.then_some(Stretch { after: self.read_to, newest: self.newest }))
    }

    /// The next messages, at most `most` and so many bytes, but one whatever its size. What was handed out before is done with,
    /// unless these are `more` of the same.
    pub(crate) fn take(&mut self, most: usize, bytes: usize, more: bool) -> Taken {
        if self.page.is_empty() && self.newest > self.read_to {
            return Taken::Read(Stretch { after: self.read_to, newest: self.newest });
        }
        let done = if more { None } else { self.at.take() };
        let mut left = bytes;
        let fits = |(_, row): &&(u64, InRow)| {
            let has_room = octets(row) <= left;
            left = left.saturating_sub(octets(row));
            has_room
        };
        let fitting = self.page.iter().take(most).take_while(fits).count();
        let count = if more { fitting } else { fitting.max(1).min(most).min(self.page.len()) };
        let rows: Vec<_> = self.page.drain(..count).collect();
        match rows.last() {
            Some((n, last)) => {
                self.at = Some(*n);
                self.octets_read = self.octets_read.max(last.octets);
                let taken: usize = rows.iter().map(|(_, row)| octets(row)).sum();
                self.page_octets = self.page_octets.saturating_sub(taken);
                Taken::Messages(rows, done)
            }
            None if self.is_over() => Taken::Over(done),
            None => Taken::Nothing(done),
        }
    }

    /// Puts messages from the disk into the page: the first of `stretch`, as it was found after the stretch was.
    pub(crate) fn fill(&mut self, stretch: Stretch, rows: Vec<(u64, InRow)>) {
        if self.read_to != stretch.after || !self.page.is_empty() {
            return;
        }
        // Rows of the stretch that are not there any more were read before the last restart. Of later ones this says nothing.
        self.read_to = rows.last().map_or(stretch.newest, |(n, _)| *n);
        self.page_octets = rows.iter().map(|(_, row)| octets(row)).sum();
        self.page.extend(rows);
    }

    /// Nothing more will be done with what was handed out up to this number.
    pub(crate) fn is_done(&mut self, n: u64) {
        if self.at == Some(n) {
            self.at = None;
        }
    }

    /// Happenings after a number.
    pub(crate) fn happenings(&self, after: u64) -> Vec<(u64, HappeningRow)> {
        self.happenings.iter().filter(|(n, _)| *n > after).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u64) -> (u64, InRow) {
        sized(n, 1)
    }

    fn sized(n: u64, bytes: usize) -> (u64, InRow) {
        (n, InRow { seq: n, epoch: 1, sender: Vec::new(), proven: None, leaf: 0, payload: vec![0; bytes], octets: n * 1000 })
    }

    fn numbers(taken: Taken) -> Vec<u64> {
        match taken {
            Taken::Messages(rows, _) => rows.into_iter().map(|(n, _)| n).collect(),
            Taken::Read(stretch) => panic!("there is something at hand, not on the disk: {stretch:?}"),
            Taken::Nothing(_) => Vec::new(),
            Taken::Over(_) => panic!("more may come"),
        }
    }

    fn stretch(taken: Taken) -> Stretch {
        let Taken::Read(stretch) = taken else { panic!("nothing is at hand") };
        stretch
    }

    #[test]
    fn what_comes_between_an_empty_look_at_the_disk_and_its_end_is_not_skipped() {
        // After an orderly close everything up to 5 was read and is gone.
        let mut shelf = Shelf::new(5, 0, []);
        let looked = stretch(shelf.take(1, usize::MAX, false));

        shelf.arrived([row(6), row(7)]);
        shelf.fill(looked, Vec::new());

        let again = stretch(shelf.take(1, usize::MAX, false));
        assert_eq!(again, Stretch { after: 5, newest: 7 });
        shelf.fill(again, vec![row(6), row(7)]);
        assert_eq!(numbers(shelf.take(9, usize::MAX, false)), [6, 7]);
    }

    #[test]
    fn what_was_read_before_the_last_restart_does_not_wait() {
        let mut shelf = Shelf::new(5, 0, []);
        let (_, on_disk) = shelf.waiting();

        shelf.fill(on_disk.expect("the disk has to be looked at first"), Vec::new());
        assert_eq!(shelf.waiting(), (0, None));
        shelf.arrived([row(6), row(7)]);
        assert_eq!(shelf.waiting(), (2, None));
    }

    #[test]
    fn two_tasks_that_tell_in_the_wrong_order_hide_nothing() {
        let mut shelf = Shelf::new(4, 0, []);
        shelf.fill(Stretch { after: 0, newest: 4 }, Vec::new());

        shelf.arrived([row(6)]);
        shelf.arrived([row(5)]);

        assert_eq!(numbers(shelf.take(9, usize::MAX, false)), [5]);
        let on_disk = stretch(shelf.take(9, usize::MAX, true));
        assert_eq!(on_disk, Stretch { after: 5, newest: 6 });
    }

    #[test]
    fn what_two_tasks_saw_is_told_in_the_order_of_its_numbers() {
        let happening =
            |n: u64| (n, HappeningRow { kind: n.to_string(), subject: vec![], by: vec![], epoch: 0, detail: String::new(), at: 0 });
        let mut shelf = Shelf::new(0, 0, [happening(1)]);

        shelf.happened([happening(3)]);
        shelf.happened([happening(2)]);

        assert_eq!(shelf.happenings(0).into_iter().map(|(n, _)| n).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn who_is_out_reads_everything_that_came_before_and_then_no_more() {
        let mut shelf = Shelf::new(0, 0, []);
        shelf.arrived([row(1), row(2)]);
        // Told by another task, which was first: three messages came before, and one is not here yet.
        shelf.stands(Stands { standing: Standing::Removed, last: 3, tick: 2 });
        shelf.stands(Stands { standing: Standing::Member, last: 3, tick: 1 });

        assert_eq!(numbers(shelf.take(9, usize::MAX, false)), [1, 2]);
        assert!(matches!(shelf.take(9, usize::MAX, false), Taken::Nothing(Some(2))) && !shelf.is_over());
        shelf.arrived([row(3)]);
        assert_eq!(numbers(shelf.take(9, usize::MAX, false)), [3]);
        assert!(matches!(shelf.take(9, usize::MAX, false), Taken::Over(Some(3))));

        shelf.stands(Stands { standing: Standing::Member, last: 3, tick: 3 });
        assert!(matches!(shelf.take(9, usize::MAX, false), Taken::Nothing(None)), "it was added again");
    }

    #[test]
    fn a_reader_is_given_no_more_bytes_than_it_wants_but_always_one_message() {
        let mut shelf = Shelf::new(0, 0, []);
        shelf.arrived([sized(1, 100), sized(2, 40), sized(3, 40), sized(4, 40)]);

        assert_eq!(numbers(shelf.take(9, 80, false)), [1]);
        assert_eq!(numbers(shelf.take(9, 80, false)), [2, 3]);
        assert_eq!(numbers(shelf.take(9, 10, true)), [0; 0]);
        assert_eq!(numbers(shelf.take(9, 10, false)), [4]);
    }

    #[test]
    fn no_more_bytes_are_at_hand_than_a_page_has_and_the_rest_is_read_from_the_disk() {
        let mut shelf = Shelf::new(0, 0, []);
        let half = PAGE_OCTETS / 2;

        shelf.arrived([sized(1, half), sized(2, half), sized(3, 1)]);
        assert_eq!(numbers(shelf.take(9, usize::MAX, false)), [1, 2]);
        let on_disk = stretch(shelf.take(9, usize::MAX, false));
        assert_eq!(on_disk, Stretch { after: 2, newest: 3 });
        shelf.fill(on_disk, vec![sized(3, 1)]);
        assert_eq!(numbers(shelf.take(9, usize::MAX, false)), [3]);
        shelf.arrived([sized(4, 1)]);
        assert_eq!(numbers(shelf.take(9, usize::MAX, false)), [4]);
        assert_eq!(shelf.octets_read(), 4000);
    }
}
