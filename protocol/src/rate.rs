//! How fast peers may send.
//!
//! Four budgets are asked for each batch: that of the sender's key, that of the address it claims, that of the network it comes
//! from, and one for everybody together. A batch that has arrived is taken whole, into debt if need be, and the answer says
//! how long nothing more is to be read: debt is bounded by what may be in flight, and no message has to be thrown away. Who
//! keeps sending into its debt is muted for a while.
//!
//! What an attacker would try: many keys (the network's budget holds them), a claim of somebody else's address to use up that
//! one's budget (an address is counted for each network apart), and so many names that the maps grow (they are bounded; who
//! finds them full shares one account with all the others who do).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::address::Address;
use crate::key::PeerKey;

/// How much of a rate may be used at once: enough that a window which comes late in one piece is no offence.
const BURST: Duration = Duration::from_secs(2);

/// Over which time new conversations are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// How many accounts of one kind are kept. Each is some hundred bytes.
const MAX_ACCOUNTS: usize = 4096;

/// How often a full map is searched for accounts that can go.
const SWEEP: Duration = Duration::from_secs(1);

/// How many batches into its debt a peer may send before it is muted; those that were on their way count too.
const STRIKES: u32 = 20;

/// After this time one of them is forgiven.
const FORGIVEN: Duration = Duration::from_secs(10);

/// Messages and bytes in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages in a second, stream chunks included.
    pub messages: u64,
    /// Bytes of bodies in a second.
    pub bytes: u64,
}

/// What everybody may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One key, and one address.
    pub peer: Rate,
    /// One network.
    pub source: Rate,
    /// Everybody together.
    pub all: Rate,
    /// Conversations that one key may begin in an hour.
    pub threads_per_hour: u64,
    /// How long a peer is muted.
    pub mute: Duration,
}

/// A batch that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Who sent it.
    pub key: PeerKey,
    /// The address that it claims.
    pub address: &'a Address,
    /// Where it comes from.
    pub source: Option<IpAddr>,
    /// How many messages it has.
    pub messages: u64,
    /// How many bytes their bodies have.
    pub bytes: u64,
    /// How many conversations begin with it.
    pub threads: u64,
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toll {
    /// Take it.
    Take,
    /// Take it, and read nothing more from this peer for so long.
    TakeThenPause(Duration),
    /// Refuse it: the peer is muted from now on, for so long.
    Mute(Duration),
    /// Refuse it: the peer is muted, for so long yet.
    Muted(Duration),
}

/// Everybody's accounts.
#[derive(Debug)]
pub struct Tolls {
    limits: Limits,
    peers: Accounts<PeerKey, Peer>,
    addresses: Accounts<(Option<IpAddr>, String), Spent>,
    sources: Accounts<IpAddr, Spent>,
    all: Spent,
}

impl Tolls {
    /// Nobody has sent anything yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, peers: Accounts::new(), addresses: Accounts::new(), sources: Accounts::new(), all: Spent::default() }
    }

    /// Counts a batch; `now` is the monotonic clock.
    pub fn take(&mut self, arrival: &Arrival<'_>, now: Duration) -> Toll {
        let Limits { peer: rate, source: network_rate, all, threads_per_hour, mute } = self.limits;
        let network = arrival.source.map(network);
        let (peer, is_own) = self.peers.account(&arrival.key, now);
        if peer.muted_until > now {
            return Toll::Muted(peer.muted_until - now);
        }
        if is_own && !peer.debt(now).is_zero() {
            peer.strikes.take(FORGIVEN, now);
            if !peer.strikes.debt(FORGIVEN * STRIKES, now).is_zero() {
                *peer = Peer { muted_until: now + mute, ..Peer::default() };
                return Toll::Mute(mute);
            }
        }
        peer.spent.take(arrival, rate, now);
        peer.threads.take(cost(arrival.threads, HOUR, threads_per_hour), now);
        let mut pause = peer.debt(now);
        pause = pause.max(self.addresses.account(&(network, arrival.address.key()), now).0.take(arrival, rate, now));
        if let Some(network) = network {
            pause = pause.max(self.sources.account(&network, now).0.take(arrival, network_rate, now));
        }
        pause = pause.max(self.all.take(arrival, all, now));
        if pause.is_zero() { Toll::Take } else { Toll::TakeThenPause(pause) }
    }

    /// How long nothing is to be read from a peer that has come back.
    #[must_use]
    pub fn hold(&self, key: &PeerKey, now: Duration) -> Duration {
        self.peers.find(key).map_or(Duration::ZERO, |peer| peer.debt(now).max(peer.muted_until.saturating_sub(now)))
    }
}

/// A token bucket, written as the time at which it is full again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket(Duration);

impl Bucket {
    fn take(&mut self, cost: Duration, now: Duration) {
        self.0 = self.0.max(now).saturating_add(cost);
    }

    /// How long it is below empty, if it holds `burst`.
    fn debt(self, burst: Duration, now: Duration) -> Duration {
        self.0.saturating_sub(now.saturating_add(burst))
    }
}

/// What `count` things cost, of which `limit` may come in `time`.
fn cost(count: u64, time: Duration, limit: u64) -> Duration {
    let nanos = time.as_nanos() * u128::from(count) / u128::from(limit.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    messages: Bucket,
    bytes: Bucket,
}

impl Spent {
    fn take(&mut self, arrival: &Arrival<'_>, rate: Rate, now: Duration) -> Duration {
        let second = Duration::from_secs(1);
        self.messages.take(cost(arrival.messages, second, rate.messages), now);
        self.bytes.take(cost(arrival.bytes, second, rate.bytes), now);
        self.debt(now)
    }

    fn debt(&self, now: Duration) -> Duration {
        self.messages.debt(BURST, now).max(self.bytes.debt(BURST, now))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    spent: Spent,
    threads: Bucket,
    strikes: Bucket,
    muted_until: Duration,
}

impl Peer {
    fn debt(&self, now: Duration) -> Duration {
        self.spent.debt(now).max(self.threads.debt(HOUR, now))
    }
}

/// An account that says nothing more than a new one can be forgotten.
trait Account: Default {
    fn is_even(&self, now: Duration) -> bool;
}

impl Account for Spent {
    fn is_even(&self, now: Duration) -> bool {
        self.messages.0 <= now && self.bytes.0 <= now
    }
}

impl Account for Peer {
    fn is_even(&self, now: Duration) -> bool {
        self.spent.is_even(now) && self.threads.0 <= now && self.strikes.0 <= now && self.muted_until <= now
    }
}

/// A bounded map of accounts.
#[derive(Debug)]
struct Accounts<K, A> {
    known: HashMap<K, A>,
    /// Of all those for whom there was no place.
    others: A,
    swept: Option<Duration>,
}

impl<K: Clone + Eq + Hash, A: Account> Accounts<K, A> {
    fn new() -> Self {
        Self { known: HashMap::new(), others: A::default(), swept: None }
    }

    fn find(&self, key: &K) -> Option<&A> {
        self.known.get(key)
    }

    /// The account of a name, and whether it is its own.
    fn account(&mut self, key: &K, now: Duration) -> (&mut A, bool) {
        if self.known.len() >= MAX_ACCOUNTS && !self.known.contains_key(key) {
            if self.swept.is_none_or(|swept| now >= swept + SWEEP) {
                self.swept = Some(now);
                self.known.retain(|_, account| !account.is_even(now));
            }
            if self.known.len() >= MAX_ACCOUNTS {
                return (&mut self.others, false);
            }
        }
        (self.known.entry(key.clone()).or_default(), true)
    }
}

/// The network of an address: what one customer of a provider usually has.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << 8))),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 72))),
    }
}

#[cfg(test)]
mod tests;
