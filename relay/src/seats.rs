//! Places for connections: altogether and for each account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Who may still come in. Clones share the places.
#[derive(Clone, Debug)]
pub struct Seats {
    taken: Arc<Mutex<HashMap<Arc<str>, usize>>>,
    all: usize,
    per_account: usize,
}

/// One place; given back when it is dropped.
#[derive(Debug)]
pub struct Taken {
    seats: Seats,
    account: Arc<str>,
}

impl Seats {
    /// Makes so many places.
    #[must_use]
    pub fn new(all: usize, per_account: usize) -> Self {
        Self { taken: Arc::default(), all, per_account }
    }

    /// Takes a place. Without accounts (an empty id) only the places altogether are counted.
    ///
    /// # Errors
    /// A sentence about who has how many already.
    pub fn take(&self, account: &Arc<str>) -> Result<Taken, String> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        if all >= self.all {
            return Err(format!("the relay has {all} connections and takes no more; try again later"));
        }
        let own = taken.get(account).copied().unwrap_or(0);
        if !account.is_empty() && own >= self.per_account {
            return Err(format!("the account has {own} connections and may have no more; close one"));
        }
        taken.insert(account.clone(), own + 1);
        Ok(Taken { seats: self.clone(), account: account.clone() })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.account) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let (seats, alice): (_, Arc<str>) = (Seats::new(3, 1), "alice".into());

        let first = seats.take(&alice).expect("there is room");
        assert!(seats.take(&alice).is_err());
        drop(first);

        assert!(seats.take(&alice).is_ok());
    }

    #[test]
    fn everybody_without_an_account_shares_all_places() {
        let (seats, nobody): (_, Arc<str>) = (Seats::new(2, 1), "".into());

        let places = [seats.take(&nobody), seats.take(&nobody)];

        assert!(places.iter().all(Result::is_ok));
        assert!(seats.take(&"alice".into()).is_err());
    }
}
