//! How much of a member's state others make it keep (threat H10).
//!
//! A message whose forerunners are missing leaves their keys behind, for they may still come. The library bounds how many one message
//! may skip and not how often: a member that skips with each message would make everybody's state grow, all of which is written again
//! for the next one. So each sender has a budget for each epoch. It is counted in memory: who reads an epoch after a restart begins
//! anew, which a sender cannot bring about.

use std::collections::BTreeMap;

use super::store::PAST_EPOCHS;

/// How much one sender may make the state grow in one epoch, in bytes: the keys of several thousand missing messages.
pub(crate) const MAX_GROWTH: usize = 256 << 10;

/// What senders have made the state grow, by epoch and leaf, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Growth(BTreeMap<(u64, u32), usize>);

impl Growth {
    /// Whether a message of this epoch and sender may make the state as large as `after`; what it uses of the budget is taken, and what it
    /// frees is given back. `here` is the present epoch.
    pub(crate) fn allows(&mut self, here: u64, epoch: u64, sender: u32, before: usize, after: usize) -> bool {
        let oldest = here.saturating_sub(PAST_EPOCHS);
        self.0 = self.0.split_off(&(oldest, 0));
        let used = self.0.get(&(epoch, sender)).copied().unwrap_or(0);
        let next = used.saturating_add(after).saturating_sub(before);
        if after > before && next > MAX_GROWTH {
            return false;
        }
        self.0.insert((epoch, sender), next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sender_has_a_budget_for_each_epoch_and_one_that_is_used_up_holds_up_nobody_else() {
        let mut growth = Growth::default();

        assert!(growth.allows(7, 7, 1, 500, 500 + MAX_GROWTH));
        assert!(!growth.allows(7, 7, 1, 500, 501));
        assert!(growth.allows(7, 7, 1, 500, 500), "a message that nothing is missing before needs no more");
        assert!(growth.allows(7, 7, 2, 500, 501) && growth.allows(7, 6, 1, 500, 501));
        assert!(growth.allows(7, 7, 1, 500, 400), "what was missing has come");
        assert!(growth.allows(7, 7, 1, 400, 500) && !growth.allows(7, 7, 1, 500, 501));
    }

    #[test]
    fn epochs_that_cannot_be_read_any_more_are_forgotten() {
        let mut growth = Growth::default();
        for epoch in 0..100 {
            assert!(growth.allows(epoch, epoch, 1, 0, 1));
        }

        assert_eq!(growth.0.len(), 6);
    }
}
