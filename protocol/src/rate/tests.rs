//! What a peer may send in which time.

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
