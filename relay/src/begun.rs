//! Room for large frames that are on their way in.
//!
//! The gRPC library takes memory for a whole frame as soon as it has read how long it will be. What an attacker would try is to begin
//! frames on thousands of streams and to end none, or to end them faster than the disk writes. So a frame that is larger than [`SMALL`]
//! needs room before its length is shown to the library, from then until the connection's window has taken it. There is [`ROOM`] for all;
//! who comes from one address, or one IPv6 network, has a fifth of what it finds free, this machine three quarters, as with
//! [places](crate::seats).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest frame that needs no room, in bytes: more than most messages, and as much as one read brings anyway.
pub const SMALL: usize = 16 << 10;
/// The room for large frames, in bytes, unless a few of the largest are more.
pub const ROOM: usize = 64 << 20;
/// How many of the largest frames there is room for in any case.
const LARGEST: usize = 8;
/// How many bytes have to be free for each one that a source has.
const LEFT: usize = 4;
/// How many bytes of this machine one free byte is enough for.
const HERE: usize = 3;

/// The room. Clones share it.
#[derive(Clone, Debug)]
pub struct Begun {
    taken: Arc<Mutex<Taken>>,
    room: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    sources: HashMap<IpAddr, usize>,
}

/// Room for one frame; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    begun: Begun,
    source: IpAddr,
    bytes: usize,
}

impl Begun {
    /// Makes room for frames of at most so many bytes.
    #[must_use]
    pub fn new(largest: usize) -> Self {
        Self { taken: Arc::default(), room: ROOM.max(largest.saturating_mul(LARGEST)) }
    }

    /// Takes room for a frame from an address or a network; `None` where there is none now.
    #[must_use]
    pub fn take(&self, source: IpAddr, bytes: usize) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.room.checked_sub(taken.all).filter(|free| *free >= bytes)?;
        let near = taken.sources.get(&source).copied().unwrap_or(0);
        let counted = if source.is_loopback() { near / HERE } else { near * LEFT };
        if counted > free {
            return None;
        }
        taken.all += bytes;
        *taken.sources.entry(source).or_default() += bytes;
        Some(Place { begun: self.clone(), source, bytes })
    }

    /// How many bytes are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.begun.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(self.bytes);
        if let Some(near) = taken.sources.get_mut(&self.source) {
            *near = near.saturating_sub(self.bytes);
            if *near == 0 {
                taken.sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 2 << 20;

    fn crowd(begun: &Begun, source: IpAddr) -> Vec<Place> {
        std::iter::from_fn(|| begun.take(source, FRAME)).collect()
    }

    #[test]
    fn crowds_leave_room_for_who_comes_from_elsewhere_and_give_all_of_it_back() {
        let begun = Begun::new(FRAME);
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);

        let crowds: Vec<_> = (0..5).map(|last| crowd(&begun, address(last))).collect();

        assert!(crowds[0].len() >= 6 && crowds[0].len() * FRAME <= ROOM / 4, "{}", crowds[0].len());
        assert!(begun.take(address(0), FRAME).is_none());
        assert!(begun.take(address(9), FRAME).is_some());
        assert!(begun.taken() <= ROOM);
        drop(crowds);
        assert!(begun.taken() == 0 && begun.taken.lock().expect("whole").sources.is_empty());
    }

    #[test]
    fn this_machine_has_three_quarters_and_a_frame_of_any_size_that_is_taken_fits() {
        let begun = Begun::new(FRAME);
        let here = IpAddr::from([127, 0, 0, 1]);

        assert!((ROOM / 2..=ROOM * 4 / 5).contains(&(crowd(&begun, here).len() * FRAME)));
        assert!(Begun::new(33 << 20).take(here, 33 << 20).is_some());
    }
}
