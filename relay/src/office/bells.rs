//! Waking those who wait for something in the mailbox.
//!
//! A bell tells nothing but that there is a reason to look again. Who waits holds a place; there are so many places for each
//! account and so many altogether, and who finds none is answered at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;
use toq_store::relay::accounts::{AccountId, Id};

/// How many may wait at once.
const PLACES: usize = 4096;

/// How many of one account.
const PLACES_OF_ONE: usize = 256;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bell {
    /// Somebody wants to join this channel.
    Channel(String),
    /// This request was answered.
    Request(Id),
}

/// All bells.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    ropes: Mutex<HashMap<Bell, Weak<Notify>>>,
    /// What each account waits at, once for each of its places.
    waiting: Mutex<HashMap<AccountId, Vec<Weak<Notify>>>>,
    is_closed: AtomicBool,
}

/// A place to wait at.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    bells: &'a Bells,
    account: AccountId,
    rope: Arc<Notify>,
}

impl Bells {
    /// Takes a place; `None` where there is none, or where the server is stopping.
    pub(crate) fn place(&self, bell: Bell, account: AccountId) -> Option<Place<'_>> {
        if self.is_closed.load(Ordering::Acquire) {
            return None;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.values().map(Vec::len).sum::<usize>() >= PLACES {
            return None;
        }
        let of_one = waiting.entry(account).or_default();
        if of_one.len() >= PLACES_OF_ONE {
            return None;
        }
        let mut ropes = self.ropes.lock().unwrap_or_else(PoisonError::into_inner);
        let rope = ropes.get(&bell).and_then(Weak::upgrade).unwrap_or_else(|| {
            let rope = Arc::new(Notify::new());
            ropes.insert(bell, Arc::downgrade(&rope));
            rope
        });
        of_one.push(Arc::downgrade(&rope));
        Some(Place { bells: self, account, rope })
    }

    /// Wakes everybody who waits for this.
    pub(crate) fn ring(&self, bell: &Bell) {
        let rope = self.ropes.lock().unwrap_or_else(PoisonError::into_inner).get(bell).and_then(Weak::upgrade);
        if let Some(rope) = rope {
            rope.notify_waiters();
        }
    }

    /// Wakes everybody and lets nobody wait any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.ring_all();
    }

    /// Wakes an account, and who waits for the same as it.
    pub(crate) fn ring_of(&self, account: AccountId) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let ropes: Vec<_> = waiting.get(&account).into_iter().flatten().filter_map(Weak::upgrade).collect();
        drop(waiting);
        for rope in ropes {
            rope.notify_waiters();
        }
    }

    /// Wakes everybody.
    fn ring_all(&self) {
        let ropes: Vec<_> = self.ropes.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect();
        for rope in ropes {
            rope.notify_waiters();
        }
    }

    /// Whether the server is stopping.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}

impl Place<'_> {
    /// The next ring, from now on; to be enabled before one looks.
    pub(crate) fn rings(&self) -> tokio::sync::futures::Notified<'_> {
        self.rope.notified()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        {
            let mut waiting = self.bells.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(of_one) = waiting.get_mut(&self.account) {
                if let Some(ours) = of_one.iter().position(|rope| std::ptr::eq(rope.as_ptr(), Arc::as_ptr(&self.rope))) {
                    of_one.swap_remove(ours);
                }
                if of_one.is_empty() {
                    waiting.remove(&self.account);
                }
            }
        }
        // There are at most as many ropes as places, so this is short; ours goes with the last who holds it.
        let mut ropes = self.bells.ropes.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&self.rope) == 1 {
            ropes.retain(|_, rope| !std::ptr::eq(rope.as_ptr(), Arc::as_ptr(&self.rope)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AccountId = AccountId([1; 16]);
    const BOB: AccountId = AccountId([2; 16]);

    #[tokio::test]
    async fn a_ring_after_the_place_was_taken_is_heard_and_by_those_who_wait_for_it_only() {
        let bells = Bells::default();
        let place = bells.place(Bell::Request([1; 16]), ANN).expect("there is one");
        let mut ring = std::pin::pin!(place.rings());
        assert!(!ring.as_mut().enable());

        bells.ring(&Bell::Request([2; 16]));
        assert!(!ring.as_mut().enable());
        bells.ring(&Bell::Request([1; 16]));
        ring.await;
    }

    #[test]
    fn one_account_cannot_take_all_places_and_they_are_given_back() {
        let bells = Bells::default();
        let bell = || Bell::Channel("a/b/c".to_owned());
        let places: Vec<_> = (0..PLACES_OF_ONE).map(|_| bells.place(bell(), ANN).expect("there is one")).collect();

        assert!(bells.place(bell(), ANN).is_none());
        assert!(bells.place(bell(), BOB).is_some());
        drop(places);
        assert!(bells.place(bell(), ANN).is_some());
        assert!(bells.ropes.lock().expect("whole").is_empty(), "a rope goes with its last place");
    }

    #[tokio::test]
    async fn an_account_is_woken_wherever_it_waits_and_nobody_else_is() {
        let bells = Bells::default();
        let places = [(1, ANN), (2, ANN), (3, BOB)].map(|(n, account)| bells.place(Bell::Request([n; 16]), account).expect("there is one"));
        let mut rings = places.each_ref().map(|place| Box::pin(place.rings()));
        for ring in &mut rings {
            ring.as_mut().enable();
        }

        bells.ring_of(ANN);

        assert_eq!(rings.each_mut().map(|ring| ring.as_mut().enable()), [true, true, false]);
    }

    #[test]
    fn nobody_waits_at_a_closed_office() {
        let bells = Bells::default();
        bells.close();
        assert!(bells.place(Bell::Request([1; 16]), ANN).is_none() && bells.is_closed());
    }
}
