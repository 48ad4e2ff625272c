//! A parent's living children.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use actix::{Actor, Addr};

use crate::lifeline::{Exited, How};

/// How many ends other than good ones a child may come to within [`INTENSITY_WINDOW`] before it is given
/// up: enough for a bad minute, too few for a crash loop.
const INTENSITY: usize = 5;

/// See [`INTENSITY`].
const INTENSITY_WINDOW: Duration = Duration::from_secs(60);

/// A child and which life of it this is.
#[derive(Debug)]
pub struct Child<A: Actor> {
    /// Where it is reached.
    pub address: Addr<A>,
    /// Its life.
    pub generation: u64,
    used: u64,
}

/// What a parent should do about an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was an earlier life; the child lives.
    Ignore,
    /// Forget the child; start it again when it is needed.
    Forget,
    /// The child has ended badly too often.
    GiveUp,
}

/// A parent's map of living children.
#[derive(Debug)]
pub struct Roster<K, A: Actor> {
    children: HashMap<K, Child<A>>,
    /// The children in the order of their last use.
    by_use: BTreeMap<u64, K>,
    ends: HashMap<K, VecDeque<Duration>>,
    next_generation: u64,
    clock: u64,
    panics: u64,
}

impl<K, A: Actor> Default for Roster<K, A> {
    fn default() -> Self {
        Self { children: HashMap::new(), by_use: BTreeMap::new(), ends: HashMap::new(), next_generation: 1, clock: 0, panics: 0 }
    }
}

impl<K: Clone + Eq + Hash, A: Actor> Roster<K, A> {
    /// Makes an empty roster.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The child with this name; where there is none it is started with a new generation.
    pub fn find_or_start(&mut self, key: &K, start: impl FnOnce(u64) -> Addr<A>) -> &Addr<A> {
        self.clock += 1;
        let used = self.clock;
        let next = &mut self.next_generation;
        let child = self.children.entry(key.clone()).or_insert_with(|| {
            let generation = *next;
            *next += 1;
            Child { address: start(generation), generation, used }
        });
        self.by_use.remove(&child.used);
        self.by_use.insert(used, key.clone());
        child.used = used;
        &child.address
    }

    /// The child with this name, if it lives.
    #[must_use]
    pub fn find(&self, key: &K) -> Option<&Addr<A>> {
        self.children.get(key).map(|child| &child.address)
    }

    /// Takes a child out, before it is told to stop: a message for its name starts a new one.
    pub fn remove(&mut self, key: &K) -> Option<Addr<A>> {
        let child = self.children.remove(key)?;
        self.by_use.remove(&child.used);
        Some(child.address)
    }

    /// Takes a child out if it is still in this life.
    pub fn remove_generation(&mut self, key: &K, generation: u64) -> Option<Addr<A>> {
        match self.children.get(key) {
            Some(child) if child.generation == generation => self.remove(key),
            _ => None,
        }
    }

    /// The names of the children, the least recently used first.
    pub fn least_used(&self) -> impl Iterator<Item = &K> {
        self.by_use.values()
    }

    /// Takes the least recently used child out if there are more than `capacity`.
    pub fn shrink_to(&mut self, capacity: usize) -> Option<(K, Addr<A>)> {
        if self.children.len() <= capacity {
            return None;
        }
        let key = self.by_use.values().next()?.clone();
        self.remove(&key).map(|address| (key, address))
    }

    /// Notes an end at `now` on a monotonic clock.
    pub fn exited(&mut self, exited: &Exited<K>, now: Duration) -> Fate
    where
        K: Send + 'static,
    {
        if exited.how == How::Panicked {
            self.panics += 1;
        }
        let current = self.children.get(&exited.key).map(|child| child.generation);
        if current.is_some_and(|generation| generation != exited.generation) {
            return Fate::Ignore;
        }
        self.remove(&exited.key);
        if exited.how != How::Panicked {
            return Fate::Forget;
        }
        let ends = self.ends.entry(exited.key.clone()).or_default();
        ends.push_back(now);
        while ends.front().is_some_and(|first| now.saturating_sub(*first) > INTENSITY_WINDOW) {
            ends.pop_front();
        }
        let fate = if ends.len() > INTENSITY { Fate::GiveUp } else { Fate::Forget };
        self.ends.retain(|_, ends| ends.back().is_some_and(|last| now.saturating_sub(*last) <= INTENSITY_WINDOW));
        fate
    }

    /// How many children live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// True where no child lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// How many children have panicked since the roster was made.
    #[must_use]
    pub const fn panics(&self) -> u64 {
        self.panics
    }

    /// The children.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Addr<A>)> {
        self.children.iter().map(|(key, child)| (key, &child.address))
    }
}
