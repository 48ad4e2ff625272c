//! Rows that strangers cause never grow beyond their bounds.

use toq_protocol::key::PeerKey;
use toq_protocol::time::Timestamp;
use toq_store::batch::{Alarm, Change, Guard, Sort};
use toq_store::record::{ApprovalRow, EventRow, TurnedAwayRow};
use toq_store::{Batch, MAX_ALARMS, MAX_KNOCKS, MAX_STRANGERS_EVENTS, MAX_TURNED_AWAY, Outcome, Store};

fn key(number: u64) -> PeerKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    PeerKey::from_bytes(bytes)
}

fn alarm(number: u64, is_known: bool, at: i64) -> Change {
    let (reason, address) = ("channel_binding_mismatch".to_owned(), "toq://h/a".to_owned());
    Change::Alarm(Alarm { key: key(number), reason, address, is_known, at: Timestamp::from_nanos(at) })
}

async fn commit(store: &Store, changes: Vec<Change>) {
    store.journal().commit(Batch::new(changes)).await.expect("the disk is well");
}

#[tokio::test]
async fn of_those_who_were_turned_away_the_latest_are_remembered() {
    let store = Store::in_memory().expect("memory");
    let turn_away = |number: u64| Change::TurnAway(key(number), TurnedAwayRow { address: "toq://h/a".to_owned(), at: number as i64 });

    commit(&store, (0..MAX_TURNED_AWAY + 5).map(turn_away).collect()).await;

    let mut kept: Vec<PeerKey> = store.reader().turned_away().expect("reads").into_iter().map(|(key, _)| key).collect();
    kept.sort_unstable_by_key(|key| *key.as_bytes());
    assert_eq!(kept, (5..MAX_TURNED_AWAY + 5).map(key).collect::<Vec<_>>());
    commit(&store, vec![Change::ForgetTurnedAway(key(5))]).await;
    assert!(!store.reader().is_turned_away(&key(5)).expect("reads") && store.reader().is_turned_away(&key(6)).expect("reads"));
}

#[tokio::test]
async fn alarms_are_counted_and_strangers_push_out_only_strangers() {
    let store = Store::in_memory().expect("memory");
    commit(&store, vec![alarm(1, true, 1), alarm(1, true, 5), alarm(2, false, 2)]).await;

    commit(&store, (100..5_000).map(|number| alarm(number, false, number as i64)).collect()).await;

    let alarms = store.reader().alarms().expect("reads");
    assert_eq!(alarms.len(), MAX_ALARMS + 1);
    assert_eq!(alarms[0].0, key(4_999), "the latest come first");
    let (known, reason, row) = alarms.last().expect("not empty");
    assert_eq!((*known, reason.as_str(), row.first, row.last, row.count), (key(1), "channel_binding_mismatch", 1, 5, 2));
    assert!(alarms.iter().all(|(found, ..)| *found != key(2)));
}

fn told(sort: Sort, number: u64) -> Change {
    let (kind, subject) = ("approval.requested".to_owned(), number.to_string());
    Change::StrangersEvent(sort, EventRow { kind, subject, address: None, reason: None, timestamp: number as i64 })
}

fn subjects(store: &Store) -> Vec<String> {
    store.reader().events_after(toq_store::Seq(0), 10_000).expect("reads").into_iter().map(|(_, row)| row.subject).collect()
}

#[tokio::test]
async fn of_the_events_that_strangers_cause_the_latest_of_each_sort_are_kept_and_no_other_event_gives_way() {
    let store = Store::in_memory().expect("memory");
    let message = EventRow { kind: "message.delivered".to_owned(), subject: "1".to_owned(), address: None, reason: None, timestamp: 1 };
    commit(&store, vec![Change::Event(message)]).await;
    commit(&store, vec![told(Sort::Asked, 2), told(Sort::Changed, 3)]).await;

    let many = 10 * MAX_STRANGERS_EVENTS as u64;
    commit(&store, (1_000..1_000 + many).map(|number| told(Sort::Crowd, number)).collect()).await;

    let newest = (1_000 + many - MAX_STRANGERS_EVENTS as u64..1_000 + many).map(|number| number.to_string());
    let expected: Vec<String> = ["1", "2", "3"].map(str::to_owned).into_iter().chain(newest).collect();
    assert_eq!(subjects(&store), expected);
}

fn challenge(number: u64) -> [u8; 32] {
    *key(number).as_bytes()
}

fn seconds(number: u64) -> Timestamp {
    Timestamp::from_nanos(1_800_000_000_000_000_000 + number as i64 * 1_000_000_000)
}

async fn is_replay(store: &Store, digest: [u8; 32]) -> bool {
    let batch = Batch::guarded(Guard::FreshChallenge(digest), vec![]);
    matches!(store.journal().commit(batch).await.expect("the disk is well"), Outcome::Duplicate { .. })
}

async fn remembered(store: &Store, digests: impl Iterator<Item = u64>) -> usize {
    let mut count = 0;
    for number in digests {
        count += usize::from(is_replay(store, challenge(number)).await);
    }
    count
}

fn asks(number: u64) -> Change {
    let address = "toq://h/a".to_owned();
    let row = ApprovalRow {
        address,
        requested_at: 1,
        requests: 1,
        proof: None,
        source: None,
        previous: None,
        first_asked: None,
        hears_decisions: None,
    };
    Change::AddApproval(key(number), row)
}

#[tokio::test]
async fn a_flood_of_knocks_is_remembered_up_to_a_bound_and_pushes_out_no_challenge_that_was_accepted_or_stands() {
    let store = Store::in_memory().expect("memory");
    let turned_away = TurnedAwayRow { address: "toq://h/a".to_owned(), at: 1 };
    let knock = |number: u64, from: u64| Change::Knock(challenge(number), key(from), seconds(0));
    commit(&store, vec![Change::Challenge(challenge(1), seconds(0)), asks(2), knock(2, 2), knock(3, 2)]).await;
    commit(&store, vec![Change::TurnAway(key(4), turned_away), knock(4, 4)]).await;

    for from in (10_000..20_000).step_by(500) {
        commit(&store, (from..from + 500).map(|number| knock(number, number)).collect()).await;
    }

    assert_eq!(remembered(&store, 1..=4).await, 4, "what was accepted, asked and answered is known for as long as it is timely");
    let kept = remembered(&store, 10_000..20_000).await;
    assert!(kept <= MAX_KNOCKS as usize && kept > MAX_KNOCKS as usize / 2, "{kept}");
    assert!(is_replay(&store, challenge(19_999)).await, "the latest are kept");
}

#[tokio::test]
async fn who_knocks_without_end_with_keys_that_wait_pushes_out_its_own_knocks_only() {
    let store = Store::in_memory().expect("memory");
    commit(&store, vec![asks(1), asks(2), asks(3)]).await;
    commit(&store, (100..104).map(|number| Change::Knock(challenge(number), key(1), seconds(0))).collect()).await;

    for number in 10_000..10_000 + 3 * MAX_KNOCKS {
        commit(&store, vec![Change::Knock(challenge(number), key(2 + number % 2), seconds(1))]).await;
    }

    assert_eq!(remembered(&store, 100..104).await, 4);
    assert!(remembered(&store, 10_000..10_000 + 3 * MAX_KNOCKS).await <= MAX_KNOCKS as usize);
}

#[tokio::test]
async fn a_knock_whose_envelope_is_stale_gives_way_also_where_its_question_stands() {
    let store = Store::in_memory().expect("memory");
    let knock = |number: u64, at: u64| Change::Knock(challenge(number), key(1), seconds(at));
    commit(&store, vec![asks(1), asks(2), knock(1, 0), knock(2, 900)]).await;
    // Nobody else's may go.
    let others = |number: u64| Change::Knock(challenge(number), key(2), seconds(1_300));
    commit(&store, (100..100 + MAX_KNOCKS - 1).map(others).collect()).await;

    assert!(!is_replay(&store, challenge(1)).await, "the session refuses it, it was written more than ten minutes ago");
    assert!(is_replay(&store, challenge(2)).await, "written up to ten minutes after it came, it would be let in now");
}
