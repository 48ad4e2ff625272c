//! Reading and forgetting go on around what cannot be read, and forgetting leaves nothing behind.

use std::path::Path;
use std::time::Duration;

use redb::{ReadableDatabase as _, ReadableTable as _};
use tempfile::TempDir;
use toq_protocol::address::{Address, AgentName};
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::policy::Proof;
use toq_protocol::time::Timestamp;
use toq_store::batch::Change;
use toq_store::record::EventRow;
use toq_store::{Batch, HistoryQuery, Options, Seq, Store, tables};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

fn receive(number: u8) -> Change {
    let address = |text| Address::parse(text).expect("valid");
    let message = Message {
        id: MessageId::from_random([number; 16]),
        kind: Kind::MessageSend,
        from: address("toq://127.0.0.1:9101/alice"),
        to: address("toq://127.0.0.1:9102/bob"),
        thread_id: Some("t".to_owned()),
        reply_to: None,
        content_type: None,
        timestamp: at(i64::from(number)),
        ttl: Some(Duration::from_secs(60)),
        body: Json::parse(r#"{"text":"hi"}"#).ok(),
    };
    Change::Receive { sender: PeerKey::from_bytes([1; 32]), message: Box::new(message), proof: Proof::Claimed, is_bound: false }
}

fn event(seconds: i64) -> Change {
    let (kind, subject) = ("message.delivered".to_owned(), "id".to_owned());
    Change::Event(EventRow { kind, subject, address: None, reason: None, timestamp: at(seconds).as_nanos() })
}

async fn commit(store: &Store, changes: Vec<Change>) {
    store.journal().commit(Batch::new(changes)).await.expect("the disk is well");
}

/// Overwrites the row at a place with bytes that nothing of ours wrote.
fn damage(path: &Path, table: redb::TableDefinition<'static, u64, &'static [u8]>, place: u64) {
    let database = redb::Database::create(path).expect("opens");
    let transaction = database.begin_write().expect("begins");
    transaction.open_table(table).expect("there").insert(place, &b"garbage"[..]).expect("writes");
    transaction.commit().expect("commits");
}

/// How many messages are left.
fn left(store: &Store) -> usize {
    (1..=store.reader().last().0).filter(|seq| !matches!(store.reader().entry(Seq(*seq)), Ok(None))).count()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_stays_is_told_of_once_and_holds_nothing_up() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state.redb");
    let store = Store::open(&path, Options::default()).expect("opens");
    commit(&store, (1..=9).map(receive).collect()).await;
    store.close();
    damage(&path, tables::MESSAGES, 3);
    let store = Store::open(&path, Options::default()).expect("opens");

    for _ in 0..3 {
        let found = store.reader().expendable(Seq(0), at(100), 1, 100).expect("goes on");
        let noted = found.unreadable.iter().map(|seq| Change::Unreadable { message: *seq, at: at(100) });
        let changes = noted.chain([Change::Forget { messages: found.messages, at: at(100) }]).collect();
        commit(&store, changes).await;
    }

    commit(&store, vec![Change::AddConsumer("handler:h".to_owned(), Seq(0)), Change::Confirm("handler:h".to_owned(), vec![Seq(9)])]).await;
    assert_eq!(store.reader().messages_after(Seq(0), 100).expect("reads").iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [9]);
    assert_eq!(store.reader().consumer("handler:h").expect("reads").expect("there").low_water, 9, "a reader's place moves over it");
    assert_eq!(left(&store), 2, "the one that cannot be read, and the newest");
    let told = store.reader().events_after(Seq(0), 100).expect("reads");
    assert_eq!(told.iter().map(|(_, row)| (row.kind.as_str(), row.subject.as_str())).collect::<Vec<_>>(), [("log.unreadable", "3")]);
}

#[tokio::test]
async fn history_and_threads_name_what_cannot_be_read_and_show_the_rest() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state.redb");
    let store = Store::open(&path, Options::default()).expect("opens");
    commit(&store, (1..=9).map(receive).collect()).await;
    commit(&store, vec![Change::AddConsumer("handler:h".to_owned(), Seq(0))]).await;
    let aside = |message| Change::SetAside { consumer: "handler:h".to_owned(), message: Seq(message), reason: "no".to_owned(), at: at(9) };
    commit(&store, vec![aside(5), aside(6)]).await;
    store.close();
    for place in [1, 5, 9] {
        damage(&path, tables::MESSAGES, place);
    }
    let store = Store::open(&path, Options::default()).expect("opens");
    let reader = store.reader();
    let places = |entries: &[toq_store::Entry]| entries.iter().map(|entry| entry.seq.0).collect::<Vec<_>>();

    let page = |before, limit| reader.history(&HistoryQuery { limit, before, accepts: &|_| true }).expect("goes on");
    let newest = page(None, 4);
    let older = page(newest.older, 100);
    let thread = reader.thread("t", 100).expect("goes on");

    assert_eq!((places(&newest.entries), newest.unreadable), (vec![4, 6, 7, 8], vec![Seq(5), Seq(9)]));
    assert_eq!((places(&older.entries), older.unreadable), (vec![2, 3], vec![Seq(1)]));
    assert_eq!((places(&thread.entries), thread.unreadable), (vec![2, 3, 4, 6, 7, 8], vec![Seq(1), Seq(5), Seq(9)]));
    let threads = reader.threads(10).expect("goes on");
    assert_eq!((threads.len(), threads[0].head.messages, threads[0].head.last), (1, 9, at(8)), "the last that can be read");
    assert_eq!(reader.place_before(at(5)).expect("goes on"), Seq(4), "what cannot be read is as old as what follows it");
    assert_eq!(places(&reader.set_aside("handler:h", 10).expect("goes on").into_iter().map(|(entry, _)| entry).collect::<Vec<_>>()), [6]);
    let consumer = reader.consumer("handler:h").expect("reads").expect("there");
    assert_eq!(reader.unconfirmed(&consumer).expect("goes on"), 5, "six can be read, and one of those is set aside");
    assert!(reader.answer("t", Seq(0), &AgentName::parse("alice").expect("valid")).expect("goes on").is_some_and(|seq| seq == Seq(2)));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_goes_with_those_around_it() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state.redb");
    let store = Store::open(&path, Options::default()).expect("opens");
    commit(&store, (1..=5).map(event).collect()).await;
    store.close();
    damage(&path, tables::EVENTS, 1);
    damage(&path, tables::EVENTS, 3);
    let store = Store::open(&path, Options::default()).expect("opens");
    assert!(store.reader().has_events_before(at(5)).expect("reads"));
    let seen: Vec<u64> = store.reader().events_after(Seq(0), 100).expect("reads").iter().map(|(seq, _)| seq.0).collect();
    assert_eq!(seen, [2, 4, 5], "who follows the events follows them on");

    commit(&store, vec![Change::ForgetEvents(at(5))]).await;

    let rest: Vec<u64> = store.reader().events_after(Seq(0), 100).expect("reads").iter().map(|(seq, _)| seq.0).collect();
    assert_eq!(rest, [5]);
    assert!(!store.reader().has_events_before(at(5)).expect("reads"));
}

#[tokio::test]
async fn what_was_set_aside_goes_with_its_message_also_for_who_is_gone() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state.redb");
    let store = Store::open(&path, Options::default()).expect("opens");
    commit(&store, (1..=4).map(receive).collect()).await;
    for consumer in ["handler:a", "handler:b"] {
        let aside = |message| Change::SetAside { consumer: consumer.to_owned(), message: Seq(message), reason: "no".to_owned(), at: at(9) };
        commit(&store, vec![aside(1), aside(2)]).await;
    }

    commit(&store, vec![Change::Forget { messages: vec![Seq(1)], at: at(100) }]).await;

    store.close();
    let database = redb::Database::open(&path).expect("opens");
    let transaction = database.begin_read().expect("begins");
    let rows = transaction.open_table(tables::SET_ASIDE).expect("there");
    let place = |row: Result<(redb::AccessGuard<'_, (&str, u64)>, _), redb::StorageError>| {
        let (key, _value): (_, redb::AccessGuard<'_, &[u8]>) = row.expect("reads");
        (key.value().0.to_owned(), key.value().1)
    };
    let kept: Vec<(String, u64)> = rows.iter().expect("reads").map(place).collect();
    assert_eq!(kept, [("handler:a".to_owned(), 2), ("handler:b".to_owned(), 2)]);
}

fn remember(number: i64) -> Vec<Change> {
    vec![Change::Remember { key: format!("key {number}"), fingerprint: [0; 32], at: at(number) }]
}

fn challenge(number: i64) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

#[tokio::test]
async fn keys_and_challenges_are_forgotten_by_age_a_stretch_at_a_time_and_around_what_cannot_be_read() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state.redb");
    let store = Store::open(&path, Options::default()).expect("opens");
    for from in (1..=3_000).step_by(100) {
        let both = |number| remember(number).into_iter().chain([Change::Challenge(challenge(number), at(number))]);
        commit(&store, (from..from + 100).flat_map(both).collect()).await;
    }
    store.close();
    // As an earlier version left it: without ages, and with a row that nobody can read.
    let database = redb::Database::create(&path).expect("opens");
    let transaction = database.begin_write().expect("begins");
    transaction.delete_table(tables::KEY_AGES).expect("there");
    transaction.delete_table(tables::CHALLENGE_AGES).expect("there");
    transaction.open_table(tables::IDEMPOTENCY).expect("there").insert("key 7", &b"garbage"[..]).expect("writes");
    transaction.commit().expect("commits");
    drop(database);
    let left = || {
        let database = redb::Database::create(&path).expect("opens");
        let read = database.begin_read().expect("begins");
        let keys = read.open_table(tables::IDEMPOTENCY).expect("there");
        let challenges = read.open_table(tables::CHALLENGES).expect("there");
        (keys.iter().expect("reads").count(), challenges.iter().expect("reads").count())
    };

    let store = Store::open(&path, Options::default()).expect("opens");
    let pass = || vec![Change::ForgetKeys(at(2_501)), Change::TrimChallenges(at(2_501))];
    commit(&store, pass()).await;
    store.close();
    assert_eq!(left(), (3_000 - 1_024, 3_000 - 1_024), "one pass holds up the others for a while only");

    let store = Store::open(&path, Options::default()).expect("opens");
    while store.reader().has_aged(at(2_501), at(2_501)).expect("reads") {
        commit(&store, pass()).await;
    }
    store.close();
    assert_eq!(left(), (500 + 1, 500), "what is younger stays, and so does what has no age");
}
