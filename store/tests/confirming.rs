//! A consumer's place: what is confirmed stays so, and costs little, however long one message is not.

use std::time::Duration;

use tempfile::TempDir;
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::policy::Proof;
use toq_protocol::time::Timestamp;
use toq_store::batch::Change;
use toq_store::record::{ConsumerRow, Record as _};
use toq_store::{Batch, Options, Outcome, Seq, Store, tables};

fn message(number: u16) -> Box<Message> {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    Box::new(Message {
        id: MessageId::from_random(id),
        kind: Kind::MessageSend,
        from: Address::parse("toq://127.0.0.1:9101/alice").expect("valid"),
        to: Address::parse("toq://127.0.0.1:9102/bob").expect("valid"),
        thread_id: None,
        reply_to: None,
        content_type: None,
        timestamp: Timestamp::from_nanos(i64::from(number)),
        ttl: Some(Duration::from_secs(60)),
        body: Json::parse(r#"{"text":"hi"}"#).ok(),
    })
}

fn receive(number: u16, sender: u8) -> Change {
    Change::Receive { sender: PeerKey::from_bytes([sender; 32]), message: message(number), proof: Proof::Claimed, is_bound: false }
}

async fn commit(store: &Store, changes: Vec<Change>) -> Vec<Seq> {
    match store.journal().commit(Batch::new(changes)).await.expect("the disk is well") {
        Outcome::Committed(seqs) => seqs,
        Outcome::Duplicate { .. } => panic!("not a duplicate"),
    }
}

fn place(store: &Store) -> ConsumerRow {
    store.reader().consumer("c").expect("reads").expect("there")
}

fn confirm(seqs: &[Seq]) -> Vec<Change> {
    vec![Change::Confirm("c".to_owned(), seqs.to_vec())]
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(test);
}

#[test]
fn a_message_that_is_never_confirmed_costs_the_same_however_many_are_behind_it() {
    run(async {
        let store = Store::in_memory().expect("memory");
        commit(&store, vec![Change::AddConsumer("c".to_owned(), Seq(0))]).await;
        let stuck = commit(&store, vec![receive(0, 1)]).await[0];

        let mut seqs = Vec::new();
        for number in 1..=500 {
            let sent = Change::Sent { message: message(1_000 + number) };
            let seq = commit(&store, vec![receive(number, 1), sent]).await[0];
            commit(&store, confirm(&[seq])).await;
            seqs.push(seq);
        }

        let row = place(&store);
        assert!(row.is_open(stuck.0) && seqs.iter().all(|seq| !row.is_open(seq.0)), "{row:?}");
        assert_eq!(row.stretches().len(), 1);
        assert!(row.to_bytes().len() < 32, "{}", row.to_bytes().len());

        commit(&store, confirm(&[stuck])).await;
        let row = place(&store);
        assert!(row.low_water >= seqs[499].0 && row.stretches().is_empty(), "{row:?}");
    });
}

#[test]
fn in_whatever_order_messages_are_confirmed_each_is_confirmed_and_no_other() {
    run(async {
        let store = Store::in_memory().expect("memory");
        commit(&store, vec![Change::AddConsumer("c".to_owned(), Seq(0))]).await;
        let mut seqs = Vec::new();
        for number in 0..64 {
            seqs.extend(commit(&store, vec![receive(number, 1)]).await);
        }
        // 29 and 64 have no common divisor, so this goes through all of them.
        for step in 0..64_usize {
            commit(&store, confirm(&[seqs[step * 29 % 64]])).await;

            let row = place(&store);
            for (other, seq) in seqs.iter().enumerate() {
                let is_confirmed = (0..=step).any(|done| done * 29 % 64 == other);
                assert_eq!(row.is_confirmed(seq.0), is_confirmed, "{other} after {step}: {row:?}");
            }
        }
        assert_eq!(place(&store), ConsumerRow::new(seqs[63].0));
    });
}

#[test]
fn what_an_earlier_version_has_confirmed_stays_confirmed() {
    run(async {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("state.redb");
        let mut seqs = Vec::new();
        let store = Store::open(&path, Options::default()).expect("opens");
        for number in 0..6 {
            seqs.extend(commit(&store, vec![receive(number, 1)]).await);
        }
        store.close();
        let old = ConsumerRow { confirmed: vec![seqs[1].0, seqs[3].0, seqs[4].0], ..ConsumerRow::new(0) };
        let database = redb::Database::create(&path).expect("opens");
        let transaction = database.begin_write().expect("begins");
        transaction.open_table(tables::CONSUMERS).expect("there").insert("c", old.to_bytes().as_slice()).expect("writes");
        transaction.commit().expect("commits");
        drop(database);
        let store = Store::open(&path, Options::default()).expect("opens");
        let open = || seqs.iter().copied().filter(|seq| place(&store).is_open(seq.0)).collect::<Vec<_>>();

        assert_eq!(open(), [seqs[0], seqs[2], seqs[5]]);
        commit(&store, confirm(&[seqs[2]])).await;
        assert_eq!(open(), [seqs[0], seqs[5]]);
        assert_eq!(place(&store).stretches(), [(seqs[1].0, seqs[4].0)]);
    });
}

#[test]
fn a_long_stretch_of_sent_messages_is_looked_at_once() {
    run(async {
        let store = Store::in_memory().expect("memory");
        commit(&store, vec![Change::AddConsumer("c".to_owned(), Seq(0))]).await;
        commit(&store, (0..200).map(|number| Change::Sent { message: message(1_000 + number) }).collect()).await;
        let (stuck, done) = (commit(&store, vec![receive(1, 1)]).await[0], commit(&store, vec![receive(2, 1)]).await[0]);

        commit(&store, confirm(&[done])).await;

        let row = place(&store);
        assert_eq!(row.low_water, stuck.0 - 1, "the next confirmation begins there");
        assert!(row.is_open(stuck.0) && !row.is_open(done.0));
    });
}

#[test]
fn every_sender_s_message_with_an_id_is_found() {
    run(async {
        let store = Store::in_memory().expect("memory");
        let first = commit(&store, vec![receive(1, 9)]).await[0];
        let second = commit(&store, vec![receive(1, 2)]).await[0];

        let id = message(1).id;
        assert_eq!(store.reader().find_all_incoming(&id).expect("reads"), [first, second]);
        assert_eq!(store.reader().find_incoming(&id).expect("reads"), Some(first));
    });
}
