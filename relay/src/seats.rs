//! Places for connections: altogether, for each account and for each place that they come from.
//!
//! What an attacker would try is to take all of them. An account has a number of its own, but accounts may cost nothing, and where no
//! token is asked for there are none. So whatever comes from one address, or one IPv6 network, takes a fifth of what it finds free: it
//! takes dozens of such crowds until the next newcomer finds no room. This machine itself, where a proxy may stand, has up to
//! three quarters.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// How many places have to be free for each one that a source has.
const LEFT: usize = 4;
/// How many places of this machine one free place is enough for.
pub const HERE: usize = 3;

/// Who may still come in. Clones share the places.
#[derive(Clone, Debug)]
pub struct Seats {
    taken: Arc<Mutex<Counts>>,
    all: usize,
    per_account: usize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    accounts: HashMap<Arc<str>, usize>,
    sources: HashMap<IpAddr, usize>,
}

/// One place; given back when it is dropped.
#[derive(Debug)]
pub struct Taken {
    seats: Seats,
    account: Arc<str>,
    source: IpAddr,
}

impl Seats {
    /// Makes so many places.
    #[must_use]
    pub fn new(all: usize, per_account: usize) -> Self {
        Self { taken: Arc::default(), all, per_account }
    }

    /// Takes a place. Without accounts (an empty id) there are only the places altogether and those for each source, which is
    /// an address or the first one of a network.
    ///
    /// # Errors
    /// A sentence about who has how many already.
    pub fn take(&self, account: &Arc<str>, source: IpAddr) -> Result<Taken, String> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(free) = self.all.checked_sub(taken.all).filter(|free| *free > 0) else {
            return Err(format!("the relay has {} connections and takes no more; try again later", taken.all));
        };
        let own = taken.accounts.get(account).copied().unwrap_or(0);
        if !account.is_empty() && own >= self.per_account {
            return Err(format!("the account has {own} connections and may have no more; close one"));
        }
        let near = taken.sources.get(&source).copied().unwrap_or(0);
        let counted = if source.is_loopback() { near / HERE } else { near * LEFT };
        if counted > free {
            return Err(format!("there are {near} connections from your address and few are left for others; close one"));
        }
        taken.all += 1;
        *taken.sources.entry(source).or_default() += 1;
        if !account.is_empty() {
            taken.accounts.insert(account.clone(), own + 1);
        }
        Ok(Taken { seats: self.clone(), account: account.clone(), source })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        leave(&mut taken.accounts, &self.account);
        leave(&mut taken.sources, &self.source);
    }
}

fn leave<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, whose: &K) {
    if let Some(own) = counts.get_mut(whose) {
        *own -= 1;
        if *own == 0 {
            counts.remove(whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Takes as many as may be had.
    fn crowd(seats: &Seats, source: IpAddr) -> Vec<Taken> {
        let nobody: Arc<str> = "".into();
        std::iter::from_fn(|| seats.take(&nobody, source).ok()).collect()
    }

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let (seats, alice): (_, Arc<str>) = (Seats::new(3, 1), "alice".into());

        let first = seats.take(&alice, HOME).expect("there is room");
        assert!(seats.take(&alice, HOME).is_err());
        drop(first);

        assert!(seats.take(&alice, HOME).is_ok());
        let counts = seats.taken.lock().expect("whole");
        assert!(counts.all == 0 && counts.accounts.is_empty() && counts.sources.is_empty());
    }

    #[test]
    fn crowds_from_many_addresses_leave_room_for_the_next_newcomer() {
        let seats = Seats::new(100, 1);

        let crowds: Vec<_> = (0..9).map(|last| crowd(&seats, address(last))).collect();

        assert_eq!(crowds[0].len(), 21, "a fifth, where nobody else is");
        assert!(seats.take(&"".into(), address(0)).is_err());
        assert!(seats.take(&"".into(), address(100)).is_ok(), "{:?}", crowds.iter().map(Vec::len).collect::<Vec<_>>());
    }

    #[test]
    fn this_machine_has_three_quarters_and_a_small_relay_all() {
        assert_eq!(crowd(&Seats::new(100, 1), HOME).len(), 76);
        assert_eq!(crowd(&Seats::new(3, 1), HOME).len(), 3);
    }
}
