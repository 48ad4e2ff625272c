//! A relay's log: what counts as room, and which commits end an epoch.

use std::path::Path;
use std::time::Duration;

use redb::{Database, ReadableTableMetadata as _, TableHandle as _};
use toq_store::relay::tables::{COMMITS, EPOCHS, META};
use toq_store::relay::{Append, Appended, Cut, FILE, Mark, RelayLog, RelayStore};
use toq_store::{Options, StoreError};

const CHANNEL: &str = "acme/team/general";

fn message(tag: u64, size: usize) -> Append {
    let mut name = [0; 16];
    name[..8].copy_from_slice(&tag.to_be_bytes());
    Append {
        channel: CHANNEL.into(),
        tag: name,
        is_tagged: true,
        mark: Mark::Plain,
        epoch: 0,
        seen: 0,
        at: 0,
        account: "alice".into(),
        month: 202_611,
        messages_per_month: u64::MAX,
        channels: u64::MAX,
        bytes_per_channel: u64::MAX,
        frame: vec![7; size],
    }
}

fn commit(tag: u64, epoch: u64, seen: u64) -> Append {
    Append { mark: Mark::Commit, epoch, seen, ..message(tag, 100) }
}

async fn append(log: &RelayLog, append: Append) -> Appended {
    log.append(vec![append], Duration::ZERO).await.expect("it writes")[0]
}

async fn open(dir: &Path, quota: u64) -> RelayStore {
    RelayStore::open(dir, Options { quota, ..Options::default() }).await.expect("a file")
}

/// How many messages a small relay takes until it is full, where each of them is sent again by many at once, or is not.
async fn taken(are_sent_again: bool) -> u64 {
    const SIZE: usize = 256 << 10;
    const QUOTA: usize = 12 << 20;
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), QUOTA as u64).await;
    for written in 0..200 {
        // The disk is looked at once in each of these seconds.
        let now = Duration::from_secs(written);
        match store.log().append(vec![message(written, SIZE)], now).await {
            Ok(_) if are_sent_again => {
                // As much as all that there is room for: it takes nothing of what is free, and nothing is to be given back.
                let again = store.log().append(vec![message(written, SIZE); QUOTA / SIZE], now).await.expect("it is known");
                assert_eq!(again, vec![Appended::Known(written + 1); QUOTA / SIZE]);
            }
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, StoreError::OverQuota { .. }), "{error}");
                return written;
            }
        }
    }
    panic!("it is never full");
}

#[tokio::test]
async fn what_is_sent_again_makes_no_room_for_more() {
    let (again, once) = (taken(true).await, taken(false).await);

    assert!(again <= once && again > 0, "{again} messages instead of {once}");
}

#[tokio::test]
async fn an_epoch_is_taken_by_the_first_of_its_commits_that_was_not_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), 0).await;
    for (tag, epoch) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
        append(store.log(), commit(tag, epoch, u64::MAX)).await;
    }

    let log = store.log();
    assert_eq!(append(log, commit(9, 1, 0)).await, Appended::EpochTaken(2));
    assert_eq!(append(log, commit(9, 1, 2)).await, Appended::EpochTaken(3));
    assert_eq!(append(log, commit(9, 7, 0)).await, Appended::At(5));
    assert_eq!(append(log, commit(10, 1, 3)).await, Appended::At(6));
}

#[tokio::test]
async fn commits_of_an_earlier_layout_take_their_epochs() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), 0).await;
    append(store.log(), commit(1, 5, 0)).await;
    store.close();
    let file = Database::open(dir.path().join(FILE)).expect("a database");
    let change = file.begin_write().expect("nobody writes");
    assert!(change.delete_table(EPOCHS).expect("a table"), "{} is there", EPOCHS.name());
    change.open_table(META).expect("a table").insert("schema", 2).expect("written");
    change.commit().expect("written");
    drop(file);

    let store = open(dir.path(), 0).await;

    assert_eq!(append(store.log(), commit(2, 5, 0)).await, Appended::EpochTaken(1));
}

#[tokio::test]
async fn a_commit_that_is_kept_no_longer_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), 0).await;
    for epoch in 0..10 {
        append(store.log(), commit(epoch, epoch, u64::MAX)).await;
    }

    store.log().trim(None, Cut { before: 1, rows: 100 }).await.expect("it cuts");

    assert_eq!(append(store.log(), commit(77, 5, 0)).await, Appended::At(11), "nobody took it");
    store.close();
    let file = Database::open(dir.path().join(FILE)).expect("a database");
    let reading = redb::ReadableDatabase::begin_read(&file).expect("a snapshot");
    let (commits, epochs) = (reading.open_table(COMMITS).expect("a table"), reading.open_table(EPOCHS).expect("a table"));
    assert_eq!((commits.len().expect("read"), epochs.len().expect("read")), (1, 1));
}
