//! Rows that strangers cause never grow beyond their bounds.

use toq_protocol::key::PeerKey;
use toq_protocol::time::Timestamp;
use toq_store::batch::{Alarm, Change};
use toq_store::record::TurnedAwayRow;
use toq_store::{Batch, MAX_ALARMS, MAX_TURNED_AWAY, Store};

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
