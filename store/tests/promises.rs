//! What the store promises, one test per promise.

use std::time::Duration;

use tempfile::TempDir;
use toq_protocol::address::Address;
use toq_protocol::budget::Spent;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::policy::{Proof, Ruling, Subject};
use toq_protocol::time::Timestamp;
use toq_store::batch::{Change, Guard};
use toq_store::record::{Direction, State};
use toq_store::{Batch, HistoryQuery, Options, Outcome, Seq, Store, StoreError, tables};

const LANE: &str = "toq://127.0.0.1:9102/bob";

fn message(number: u8) -> Message {
    Message {
        id: MessageId::from_random([number; 16]),
        kind: Kind::MessageSend,
        from: Address::parse("toq://127.0.0.1:9101/alice").expect("valid"),
        to: Address::parse(LANE).expect("valid"),
        thread_id: Some("t1".to_owned()),
        reply_to: None,
        content_type: None,
        timestamp: at(i64::from(number)),
        ttl: Some(Duration::from_secs(60)),
        body: Json::parse(&format!(r#"{{"text":"{number}"}}"#)).ok(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

fn key(byte: u8) -> PeerKey {
    PeerKey::from_bytes([byte; 32])
}

fn receive(number: u8) -> Batch {
    let message = message(number);
    let guard = Guard::Unseen(key(1), message.id);
    Batch::guarded(guard, vec![Change::Receive { sender: key(1), message: Box::new(message), proof: Proof::Claimed, is_bound: false }])
}

fn send(number: u8) -> Batch {
    Batch::new(vec![Change::Send { lane: LANE.to_owned(), message: Box::new(message(number)), only: None }])
}

fn settle(seq: Seq, state: State) -> Batch {
    Batch::new(vec![Change::Settle { lane: LANE.to_owned(), messages: vec![seq], state, reason: None, at: at(9) }])
}

async fn commit(store: &Store, batch: Batch) -> Vec<Seq> {
    match store.journal().commit(batch).await.expect("the disk is well") {
        Outcome::Committed(seqs) => seqs,
        Outcome::Duplicate { .. } => panic!("not a duplicate"),
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::yield_now(),
        }
    }
}

fn on_disk() -> (TempDir, Store) {
    let dir = TempDir::new().expect("a directory");
    let store = Store::open(&dir.path().join("state.redb"), Options::default()).expect("opens");
    (dir, store)
}

#[test]
fn a_message_is_stored_once_however_often_it_comes() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        let first = commit(&store, receive(1)).await;

        let again = store.journal().commit(receive(1)).await.expect("the disk is well");

        assert_eq!(again, Outcome::Duplicate { messages: first.clone(), fingerprint: None });
        assert_eq!(store.reader().messages_after(Seq(0), 10).expect("reads").len(), 1);
    });
}

#[test]
fn a_failed_guard_spoils_only_its_own_batch() {
    let (_dir, store) = on_disk();
    block_on(async {
        commit(&store, receive(1)).await;
        let (a, b, c) = (store.journal().commit(receive(2)), store.journal().commit(receive(1)), store.journal().commit(receive(3)));
        let (a, b, c) = futures_join(a, b, c).await;

        assert!(matches!(a, Ok(Outcome::Committed(_))));
        assert!(matches!(b, Ok(Outcome::Duplicate { .. })));
        assert!(matches!(c, Ok(Outcome::Committed(_))));
    });
}

async fn futures_join<A: Future, B: Future, C: Future>(a: A, b: B, c: C) -> (A::Output, B::Output, C::Output) {
    (a.await, b.await, c.await)
}

#[test]
fn an_accepted_message_waits_in_its_lane_across_a_restart_until_it_is_settled() {
    let (dir, store) = on_disk();
    let seq = block_on(commit(&store, send(1)))[0];
    drop(store);
    let store = reopen(&dir);

    let lane = store.reader().lane(LANE, Seq(0), 10).expect("reads");
    let lane: Vec<_> = lane.into_iter().map(|(seq, waiting)| (seq, waiting.map(|waiting| waiting.message))).collect();
    assert_eq!(lane, [(seq, Some(message(1)))]);
    assert_eq!(store.reader().lanes().expect("reads"), [LANE]);

    block_on(commit(&store, settle(seq, State::Delivered)));

    assert_eq!(store.reader().waiting().expect("reads"), 0);
    let entry = store.reader().entry(seq).expect("reads").expect("history stays");
    assert_eq!((entry.state.state, entry.state.attempts), (State::Delivered, 1));
    let events = store.reader().events_after(Seq(0), 10).expect("reads");
    assert_eq!(events.iter().map(|(_, event)| event.kind.as_str()).collect::<Vec<_>>(), ["message.delivered"]);
}

fn reopen(dir: &TempDir) -> Store {
    // The journal thread closes the file after its last handle is gone, a moment later.
    loop {
        match Store::open(&dir.path().join("state.redb"), Options::default()) {
            Err(StoreError::AlreadyOpen(_)) => std::thread::yield_now(),
            opened => return opened.expect("opens"),
        }
    }
}

#[test]
fn a_final_state_never_changes() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        let seq = commit(&store, send(1)).await[0];
        commit(&store, settle(seq, State::Withdrawn)).await;

        commit(&store, settle(seq, State::Delivered)).await;

        let entry = store.reader().entry(seq).expect("reads").expect("there");
        assert_eq!(entry.state.state, State::Withdrawn);
        assert_eq!(store.reader().events_after(Seq(0), 10).expect("reads").len(), 1);
    });
}

#[test]
fn what_nobody_waits_for_is_on_disk_behind_a_barrier_and_in_order() {
    let (dir, store) = on_disk();
    let seq = block_on(async {
        let seq = commit(&store, send(1)).await[0];
        let (soon, then, barrier) = futures_join(
            store.journal().commit_soon(settle(seq, State::Delivered)),
            store.journal().commit_soon(settle(seq, State::Expired)),
            store.journal().barrier(),
        )
        .await;
        assert!(soon.is_ok() && then.is_ok() && barrier.is_ok());
        seq
    });
    let entry = store.reader().entry(seq).expect("readable").expect("there");
    assert_eq!(entry.state.state, State::Delivered, "the first one came first");
    drop(store);
    let entry = reopen(&dir).reader().entry(seq).expect("readable").expect("there");
    assert_eq!(entry.state.state, State::Delivered, "and it is on disk");
}

#[test]
fn what_nobody_waits_for_is_committed_alone_in_the_end() {
    let (_dir, store) = on_disk();
    block_on(async {
        let seq = commit(&store, send(1)).await[0];
        store.journal().commit_soon(settle(seq, State::Delivered)).await.expect("the disk is well");
        assert_eq!(store.reader().entry(seq).expect("readable").expect("there").state.state, State::Delivered);
    });
}

/// A send under the idempotency key `k`.
fn request(number: u8) -> Batch {
    let mut changes = send(number).changes;
    changes.push(Change::Remember { key: "k".to_owned(), fingerprint: [7; 32], at: at(1) });
    Batch::guarded(Guard::FreshKey("k".to_owned()), changes)
}

#[test]
fn an_idempotency_key_whose_row_cannot_be_read_is_fresh_and_holds_nobody_up() {
    let (dir, store) = on_disk();
    block_on(commit(&store, request(1)));
    store.close();
    let path = dir.path().join("state.redb");
    {
        let transaction = redb::Database::create(&path).expect("opens").begin_write().expect("begins");
        transaction.open_table(tables::IDEMPOTENCY).expect("there").insert("k", &b"garbage"[..]).expect("writes");
        transaction.commit().expect("commits");
    }
    let store = Store::open(&path, Options::default()).expect("opens");

    let (under_the_key, beside) = block_on(async { tokio::join!(store.journal().commit(request(2)), store.journal().commit(send(3))) });

    let Ok(Outcome::Committed(second)) = under_the_key else { panic!("{under_the_key:?}") };
    assert!(matches!(beside, Ok(Outcome::Committed(_))), "{beside:?}");
    let again = block_on(store.journal().commit(request(4))).expect("the disk is well");
    assert_eq!(again, Outcome::Duplicate { messages: second, fingerprint: Some([7; 32]) });
}

#[test]
fn an_idempotency_key_answers_with_the_first_messages() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        let first = commit(&store, request(1)).await;

        let again = store.journal().commit(request(2)).await.expect("the disk is well");

        assert_eq!(again, Outcome::Duplicate { messages: first, fingerprint: Some([7; 32]) });
        assert_eq!(store.reader().waiting().expect("reads"), 1);
    });
}

#[test]
fn a_confirmed_message_stays_confirmed_and_the_low_water_skips_what_is_not_offered() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        commit(&store, Batch::new(vec![Change::AddConsumer("c".to_owned(), Seq(0))])).await;
        let first = commit(&store, receive(1)).await[0];
        commit(&store, send(2)).await;
        let third = commit(&store, receive(3)).await[0];
        commit(&store, Batch::new(vec![Change::Offer("c".to_owned(), vec![first, third])])).await;

        commit(&store, Batch::new(vec![Change::Confirm("c".to_owned(), vec![third])])).await;
        let consumer = store.reader().consumer("c").expect("reads").expect("there");
        assert_eq!((consumer.low_water, consumer.stretches()), (0, &[(third.0, third.0)][..]));

        commit(&store, Batch::new(vec![Change::Confirm("c".to_owned(), vec![first])])).await;
        let consumer = store.reader().consumer("c").expect("reads").expect("there");
        assert_eq!((consumer.low_water, consumer.stretches().len()), (third.0, 0));
        assert_eq!(store.reader().offers("c", first).expect("reads"), 0);
    });
}

#[test]
fn rules_survive_and_a_block_takes_the_approval_away() {
    let (dir, store) = on_disk();
    let subject = Subject::Key(PeerKey::parse("ed25519:A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=").expect("a key"));
    block_on(commit(&store, Batch::new(vec![Change::AddRule(subject.clone(), Ruling::Approve, at(1))])));
    block_on(commit(&store, Batch::new(vec![Change::AddRule(subject.clone(), Ruling::Block, at(2))])));
    drop(store);

    assert_eq!(reopen(&dir).reader().rules().expect("reads"), [(subject, Ruling::Block)]);
}

#[test]
fn a_challenge_is_fresh_once() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        let challenge = || Batch::guarded(Guard::FreshChallenge([1; 32]), vec![Change::Challenge([1; 32], at(1))]);
        commit(&store, challenge()).await;

        assert!(matches!(store.journal().commit(challenge()).await, Ok(Outcome::Duplicate { .. })));
        commit(&store, Batch::new(vec![Change::TrimChallenges(at(2))])).await;
        assert!(matches!(store.journal().commit(challenge()).await, Ok(Outcome::Committed(_))));
    });
}

#[test]
fn history_pages_backwards_and_reads_forwards() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        for number in 1..=5 {
            commit(&store, receive(number)).await;
            commit(&store, send(number + 100)).await;
        }
        let incoming = |row: &toq_store::record::MessageRow| row.direction() == Direction::In;
        let page = |before| store.reader().history(&HistoryQuery { limit: 2, before, accepts: &incoming }).expect("reads");
        let ids = |page: &toq_store::HistoryPage| page.entries.iter().map(|entry| entry.row.id()).collect::<Vec<_>>();

        let newest = page(None);
        let older = page(newest.older);

        assert_eq!(ids(&newest), [message(4).id, message(5).id]);
        assert_eq!(ids(&older), [message(2).id, message(3).id]);
    });
}

#[test]
fn a_time_finds_its_place_in_the_log() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        let mut seqs = Vec::new();
        for number in 1..=9 {
            seqs.push(commit(&store, receive(number)).await[0]);
        }

        let place = store.reader().place_before(at(4)).expect("reads");

        let next = store.reader().messages_after(place, 1).expect("reads");
        assert_eq!(next[0].0, seqs[3]);
        assert_eq!(store.reader().place_before(at(100)).expect("reads"), seqs[8]);
        assert_eq!(store.reader().place_before(at(0)).expect("reads"), Seq(0));
    });
}

#[test]
fn a_second_open_is_refused_and_damage_is_named() {
    let (dir, store) = on_disk();
    let path = dir.path().join("state.redb");
    assert!(matches!(Store::open(&path, Options::default()), Err(StoreError::AlreadyOpen(_))));
    drop(store);

    let damaged = dir.path().join("damaged.redb");
    std::fs::write(&damaged, vec![0xAB; 8192]).expect("writes");
    let error = Store::open(&damaged, Options::default()).expect_err("damaged");
    assert!(error.to_string().contains("damaged.redb"), "{error}");
}

#[test]
fn forgetting_leaves_what_waits_what_is_unconfirmed_and_the_newest_row() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        let read = commit(&store, receive(1)).await[0];
        let unread = commit(&store, receive(2)).await[0];
        let waiting = commit(&store, send(3)).await[0];
        let delivered = commit(&store, send(4)).await[0];
        commit(&store, settle(delivered, State::Delivered)).await;
        let newest = commit(&store, receive(5)).await[0];
        commit(&store, Batch::new(vec![Change::AddConsumer("c".to_owned(), read)])).await;

        let found = store.reader().expendable(Seq(0), at(100), 1, 100).expect("reads");
        assert_eq!(found.messages, [read, delivered]);

        // A list made on an older snapshot, or by mistake, deletes no more than that.
        let all = vec![read, unread, waiting, delivered, newest];
        commit(&store, Batch::new(vec![Change::Forget { messages: all, at: at(100) }])).await;

        let left: Vec<Seq> = store.reader().messages_after(Seq(0), 10).expect("reads").into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(left, [unread, waiting, newest]);
        assert_eq!(store.reader().thread("t1", 10).expect("reads").entries.len(), 3);
        assert_eq!(store.reader().lane(LANE, Seq(0), 10).expect("reads").len(), 1);
        assert!(store.reader().find(&message(1).id).expect("reads").is_none());
        assert!(store.reader().find(&message(4).id).expect("reads").is_none());
    });
}

#[test]
fn messages_that_are_young_or_among_the_newest_are_not_expendable() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        for number in 1..=6 {
            commit(&store, receive(number)).await;
        }

        let seqs = |before, keep, limit| store.reader().expendable(Seq(0), at(before), keep, limit).expect("reads").messages;

        assert_eq!(seqs(4, 1, 100), [Seq(1), Seq(2), Seq(3)]);
        assert_eq!(seqs(100, 4, 100), [Seq(1), Seq(2)]);
        assert_eq!(seqs(100, 100, 100), []);
        let first = store.reader().expendable(Seq(0), at(100), 1, 2).expect("reads");
        assert_eq!((first.messages, first.next), (vec![Seq(1), Seq(2)], Some(Seq(2))));
    });
}

#[test]
fn a_repetition_of_a_deleted_message_is_recognised_until_it_is_forgotten_too() {
    block_on(async {
        let store = Store::in_memory().expect("memory");
        let old = commit(&store, receive(1)).await;
        commit(&store, receive(2)).await;
        commit(&store, Batch::new(vec![Change::Forget { messages: old, at: at(100) }])).await;

        let again = store.journal().commit(receive(1)).await.expect("the disk is well");
        assert!(matches!(again, Outcome::Duplicate { .. }));

        commit(&store, Batch::new(vec![Change::ForgetSeen(at(100))])).await;
        assert!(matches!(store.journal().commit(receive(1)).await, Ok(Outcome::Duplicate { .. })), "it was deleted at 100, not before");
        commit(&store, Batch::new(vec![Change::ForgetSeen(at(101))])).await;
        assert_eq!(commit(&store, receive(1)).await.len(), 1);
    });
}

#[test]
fn places_go_on_after_everything_old_is_deleted_and_the_file_is_opened_again() {
    let (dir, store) = on_disk();
    let last = block_on(async {
        for number in 1..=5 {
            commit(&store, receive(number)).await;
        }
        let last = store.reader().last();
        let all = (1..=last.0).map(Seq).collect();
        commit(
            &store,
            Batch::new(vec![Change::Forget { messages: all, at: at(9) }, Change::ForgetEvents(at(9)), Change::ForgetKeys(at(9))]),
        )
        .await;
        last
    });
    drop(store);
    let store = reopen(&dir);

    assert_eq!(store.reader().last(), last);
    assert_eq!(block_on(commit(&store, receive(9))), [Seq(last.0 + 1)]);
}

#[test]
fn at_nine_tenths_of_the_quota_there_is_no_room_and_deleting_makes_some() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state.redb");
    let quota = 8 << 20;
    let store = Store::open(&path, Options { quota, ..Options::default() }).expect("opens");
    let mut now = Duration::ZERO;
    let mut sent = Vec::new();
    block_on(async {
        for number in 0..u8::MAX {
            now += Duration::from_secs(1);
            if store.room().take(100_000, now).is_err() {
                break;
            }
            let mut large = message(number);
            large.body = Json::parse(&format!("\"{}\"", "x".repeat(100_000))).ok();
            let batch =
                Batch::new(vec![Change::Receive { sender: key(1), message: Box::new(large), proof: Proof::Claimed, is_bound: false }]);
            sent.extend(commit(&store, batch).await);
        }
        assert!(matches!(store.room().refusal(), Some(StoreError::OverQuota { mib: 8 })), "it is not the disk that is full");
        assert!(sent.len() > 20 && sent.len() < 80, "{} messages of 100 kB in 8 MiB", sent.len());

        // What is no new message goes on.
        commit(&store, Batch::new(vec![Change::AddRule(Subject::Key(key(7)), Ruling::Block, at(1))])).await;
        let found = store.reader().expendable(Seq(0), at(1_000), 1, 1_000).expect("reads");
        commit(&store, Batch::new(vec![Change::Forget { messages: found.messages, at: at(1_000) }])).await;
        store.room().give(found.bytes);
    });
    now += Duration::from_secs(1);

    assert!(store.room().take(100_000, now).is_ok());
    store.close();
    let store = Store::open(&path, Options { quota, ..Options::default() }).expect("opens");
    assert!(store.room().take(100_000, now).is_ok(), "what is free inside the file is found again");
}

#[test]
fn what_a_handler_spent_is_counted_for_each_peer_and_survives_a_restart_for_the_day() {
    let (dir, store) = on_disk();
    let spend = |handler: &str, peer, day, tokens| {
        let spent = Spent { runs: 1, tokens };
        Batch::new(vec![Change::Spend { handler: handler.to_owned(), peer, day, spent }])
    };
    for batch in [spend("h", Some(key(1)), 7, 10), spend("h", Some(key(2)), 7, 5), spend("h", None, 7, 1), spend("i", None, 7, 99)] {
        block_on(commit(&store, batch));
    }
    drop(store);

    let store = reopen(&dir);
    let spent = |peer: Option<PeerKey>, day| store.reader().spent("h", peer.as_ref(), day).expect("reads");
    let of = |runs, tokens| Spent { runs, tokens };
    assert_eq!(spent(Some(key(1)), 7), (of(3, 16), of(1, 10)));
    assert_eq!(spent(None, 7), (of(3, 16), of(1, 1)));
    assert_eq!(spent(Some(key(1)), 8), (of(0, 0), of(0, 0)));

    block_on(commit(&store, spend("h", Some(key(1)), 8, 2)));
    assert_eq!(spent(Some(key(1)), 8), (of(1, 2), of(1, 2)));
    assert_eq!(spent(Some(key(1)), 7), (of(0, 0), of(0, 0)));
    assert_eq!(store.reader().spent("i", None, 7).expect("reads").0, of(1, 99));
}
