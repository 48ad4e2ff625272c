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
mod tests {
    use super::*;
    use crate::key::Identity;

    const SECOND: Duration = Duration::from_secs(1);

    const LIMITS: Limits = Limits {
        peer: Rate { messages: 10, bytes: 10_000 },
        source: Rate { messages: 100, bytes: 100_000 },
        all: Rate { messages: 1_000, bytes: 1_000_000 },
        threads_per_hour: 360,
        mute: Duration::from_secs(60),
    };

    fn key(number: u64) -> PeerKey {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        Identity::from_seed(&seed).public()
    }

    fn address(name: &str) -> Address {
        Address::parse(&format!("toq://127.0.0.1/{name}")).expect("valid")
    }

    fn messages(key: PeerKey, address: &Address, messages: u64) -> Arrival<'_> {
        Arrival { key, address, source: Some([192, 0, 2, 1].into()), messages, bytes: 0, threads: 0 }
    }

    #[test]
    fn a_burst_is_free_and_what_goes_beyond_is_paid_in_time() {
        let (mut tolls, alice) = (Tolls::new(LIMITS), address("alice"));

        assert_eq!(tolls.take(&messages(key(1), &alice, 20), SECOND), Toll::Take);
        assert_eq!(tolls.take(&messages(key(1), &alice, 10), SECOND), Toll::TakeThenPause(SECOND));
        assert_eq!(tolls.hold(&key(1), SECOND), SECOND);
        assert_eq!(tolls.hold(&key(1), 2 * SECOND), Duration::ZERO);
        assert_eq!(tolls.take(&messages(key(1), &alice, 30), 50 * SECOND), Toll::TakeThenPause(SECOND), "a burst is not saved up");
    }

    #[test]
    fn bytes_and_new_conversations_are_counted_too() {
        let (mut tolls, alice) = (Tolls::new(LIMITS), address("alice"));
        let large = Arrival { bytes: 30_000, ..messages(key(1), &alice, 1) };
        let talkative = Arrival { threads: 361, ..messages(key(2), &alice, 0) };

        assert_eq!(tolls.take(&large, SECOND), Toll::TakeThenPause(SECOND));
        let mut other = Tolls::new(LIMITS);
        assert_eq!(other.take(&talkative, SECOND), Toll::TakeThenPause(10 * SECOND));
    }

    #[test]
    fn another_key_is_not_slowed_by_one_that_is_over_its_limit() {
        let (mut tolls, alice, mallory) = (Tolls::new(LIMITS), address("alice"), address("mallory"));
        tolls.take(&messages(key(1), &mallory, 50), SECOND);

        assert_eq!(tolls.take(&messages(key(2), &alice, 10), SECOND), Toll::Take);
    }

    #[test]
    fn many_keys_from_one_network_share_its_budget_and_other_networks_do_not() {
        let (mut tolls, elsewhere) = (Tolls::new(LIMITS), address("elsewhere"));
        let mut last = Toll::Take;
        for number in 0..21 {
            last = tolls.take(&messages(key(number), &address(&format!("a{number}")), 10), SECOND);
        }

        assert_eq!(last, Toll::TakeThenPause(SECOND / 10));
        let neighbour = Arrival { source: Some([192, 0, 2, 99].into()), ..messages(key(98), &elsewhere, 1) };
        let stranger = Arrival { source: Some([192, 0, 3, 1].into()), ..messages(key(99), &elsewhere, 1) };
        assert!(matches!(tolls.take(&neighbour, SECOND), Toll::TakeThenPause(_)));
        assert_eq!(tolls.take(&stranger, SECOND), Toll::Take);
    }

    #[test]
    fn a_claim_of_an_address_costs_its_owner_nothing_elsewhere() {
        let (mut tolls, alice) = (Tolls::new(LIMITS), address("alice"));
        tolls.take(&messages(key(1), &alice, 50), SECOND);

        let same_network = tolls.take(&messages(key(2), &alice, 1), SECOND);
        let home = Arrival { source: Some([198, 51, 100, 7].into()), ..messages(key(2), &alice, 1) };

        assert!(matches!(same_network, Toll::TakeThenPause(_)));
        assert_eq!(tolls.take(&home, SECOND), Toll::Take);
    }

    #[test]
    fn who_keeps_sending_into_its_debt_is_muted_for_a_while_and_then_starts_anew() {
        let (mut tolls, mallory) = (Tolls::new(LIMITS), address("mallory"));
        let send = |tolls: &mut Tolls, now| tolls.take(&messages(key(1), &mallory, 100), now);
        let count = (0..100).take_while(|_| !matches!(send(&mut tolls, SECOND), Toll::Mute(_))).count();

        assert_eq!(count, 1 + STRIKES as usize);
        assert_eq!(send(&mut tolls, 2 * SECOND), Toll::Muted(59 * SECOND));
        assert_eq!(tolls.hold(&key(1), 2 * SECOND), 59 * SECOND);
        let later = Arrival { source: Some([203, 0, 113, 1].into()), ..messages(key(1), &mallory, 1) };
        assert_eq!(tolls.take(&later, 61 * SECOND), Toll::Take);
    }

    #[test]
    fn who_waits_as_told_is_never_muted() {
        let (mut tolls, alice, mut now) = (Tolls::new(LIMITS), address("alice"), SECOND);
        for _ in 0..1_000 {
            match tolls.take(&messages(key(1), &alice, 32), now) {
                Toll::Take => {}
                Toll::TakeThenPause(pause) => now += pause,
                refused => panic!("{refused:?}"),
            }
        }

        assert!(now > 3_000 * SECOND, "a thousand windows of 32 at ten a second: {now:?}");
    }

    #[test]
    fn a_million_names_take_no_more_room_than_the_limit_and_even_accounts_make_room() {
        let mut accounts = Accounts::<u64, Spent>::new();
        for number in 0..1_000_000 {
            accounts.account(&number, SECOND).0.messages.take(SECOND, SECOND);
        }

        assert_eq!(accounts.known.len(), MAX_ACCOUNTS);
        assert!(!accounts.account(&1_000_001, SECOND).1);
        assert!(accounts.account(&1_000_001, 3 * SECOND).1, "those who have paid are forgotten");
        assert_eq!(accounts.known.len(), 1);
    }
}
