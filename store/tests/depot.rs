//! Files on disk: what peers send goes where it belongs, or nowhere.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use toq_protocol::address::Address;
use toq_protocol::envelope::Kind;
use toq_protocol::file::{ContentId, MANIFEST_TYPE, Manifest};
use toq_protocol::message::{Message, MessageId};
use toq_protocol::time::Timestamp;
use toq_store::batch::Change;
use toq_store::{Batch, Depot, DepotError, Options, Store};

const NOW: i64 = 1_800_000_000;

fn store(dir: &Path, quota: u64) -> Store {
    let store = Store::open(&dir.join("state.redb"), Options { quota, ..Options::default() }).expect("opens");
    store.with_files(&dir.join("files"), NOW).expect("a directory")
}

fn depot(store: &Store) -> &Depot {
    store.depot().expect("it has one")
}

/// The SHA-256 of `abc` (FIPS 180-4).
fn abc(size: u64) -> Manifest {
    let id = ContentId::parse("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").expect("a hash");
    Manifest { name: "abc".to_owned(), size, id, transfer: "t".to_owned() }
}

fn only(dir: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(dir).expect("there");
    let found = entries.next().expect("one").expect("reads").path();
    assert!(entries.next().is_none());
    found
}

#[test]
fn a_file_is_there_when_its_size_and_hash_are_true_and_not_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path(), 0);
    let (depot, manifest) = (depot(&store), abc(3));

    assert_eq!(depot.begin("alice", &manifest).expect("room"), 0);
    depot.append("alice", &manifest, 0, b"ab").expect("continues");
    assert_eq!(depot.begin("alice", &manifest).expect("room"), 2, "what is there is not asked for again");
    assert_eq!(depot.begin("bob", &manifest).expect("room"), 0, "another peer neither continues it nor learns of it");
    assert!(matches!(depot.append("alice", &manifest, 1, b"b"), Err(DepotError::Misplaced)));
    assert!(matches!(depot.append("alice", &manifest, 2, b"cd"), Err(DepotError::Misplaced)), "no byte beyond its size");
    depot.append("alice", &manifest, 2, b"c").expect("continues");
    assert!(depot.list().expect("reads").is_empty());
    depot.finish("alice", &manifest, "toq://a/alice", 7).expect("true");
    depot.finish("alice", &manifest, "toq://a/alice", 7).expect("a crash before it is noted costs nothing");
    depot.settle("alice", &manifest.id);

    let kept = depot.list().expect("reads");
    assert_eq!(kept.iter().map(|kept| (kept.id, kept.size, kept.name.as_str())).collect::<Vec<_>>(), [(manifest.id, 3, "abc")]);
    assert_eq!(std::fs::read(dir.path().join("files").join(manifest.id.to_string())).expect("there"), b"abc");
}

#[test]
fn other_bytes_than_were_announced_are_thrown_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path(), 0);
    let (depot, manifest) = (depot(&store), abc(3));
    depot.begin("alice", &manifest).expect("room");
    depot.append("alice", &manifest, 0, b"abd").expect("continues");

    assert!(matches!(depot.finish("alice", &manifest, "", 0), Err(DepotError::Corrupt)));

    assert!(depot.list().expect("reads").is_empty());
    assert_eq!(depot.begin("alice", &manifest).expect("room"), 0);
    depot.append("alice", &manifest, 0, b"ab").expect("continues");
    assert!(matches!(depot.finish("alice", &manifest, "", 0), Err(DepotError::Corrupt)), "nor is less than was announced");
}

#[test]
fn a_program_is_found_in_its_first_bytes_however_they_come() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path(), 0);
    let depot = depot(&store);
    // The SHA-256 of `#!`.
    let id = ContentId::parse("3612ddaf46e149a4f583faf0face846585148f59e0ce2645594df83b5dc807e8").expect("a hash");
    let manifest = Manifest { id, size: 2, ..abc(2) };

    depot.begin("alice", &manifest).expect("room");
    assert!(matches!(depot.append("alice", &manifest, 0, b"#!"), Err(DepotError::Program)));
    depot.begin("alice", &manifest).expect("room");
    depot.append("alice", &manifest, 0, b"#").expect("not yet known");
    depot.append("alice", &manifest, 1, b"!").expect("not yet known");
    assert!(matches!(depot.finish("alice", &manifest, "", 0), Err(DepotError::Program)));
    assert!(depot.list().expect("reads").is_empty());
}

#[test]
fn a_link_that_somebody_puts_in_the_way_is_not_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    let victim = dir.path().join("victim");
    std::fs::write(&victim, b"precious").expect("ours");
    let store = store(dir.path(), 0);
    let (depot, manifest) = (depot(&store), abc(3));
    let incoming = dir.path().join("files/incoming");
    depot.append("alice", &manifest, 0, b"a").expect("room");
    let part = only(&incoming);

    for round in 0..100 {
        drop(std::fs::remove_file(&part));
        symlink(&victim, &part).expect("ours");
        assert!(depot.append("alice", &manifest, 0, b"abc").is_err(), "round {round}");
        assert!(depot.begin("alice", &manifest).is_err());
        assert!(depot.finish("alice", &manifest, "", 0).is_err());
    }
    symlink(&victim, dir.path().join("files").join(manifest.id.to_string())).expect("ours");

    assert_eq!(std::fs::read(&victim).expect("there"), b"precious");
    assert!(depot.open_whole(&manifest.id).is_err() && depot.kept(&manifest.id).is_none(), "nothing outside is handed out");
    let elsewhere = tempfile::tempdir().expect("a directory");
    symlink(dir.path(), elsewhere.path().join("files")).expect("ours");
    let other = Store::open(&elsewhere.path().join("state.redb"), Options::default()).expect("opens");
    assert!(other.with_files(&elsewhere.path().join("files"), NOW).is_err(), "nor is a directory that is a link used");
}

#[test]
fn a_declared_size_reserves_nothing_and_is_refused_where_it_cannot_fit() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path(), 16 << 20);

    assert!(matches!(depot(&store).begin("alice", &abc(u64::MAX)), Err(DepotError::Full)));
    assert!(matches!(depot(&store).begin("alice", &abc(15 << 20)), Err(DepotError::Full)));
    assert_eq!(depot(&store).begin("alice", &abc(1 << 20)).expect("room"), 0);
    assert_eq!(std::fs::read_dir(dir.path().join("files/incoming")).expect("there").count(), 0, "nothing but a word was said");
}

#[test]
fn a_note_that_a_crash_left_without_its_file_goes_when_the_depot_is_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let manifest = abc(3);
    {
        let store = store(dir.path(), 0);
        let depot = depot(&store);
        depot.begin("alice", &manifest).expect("room");
        depot.append("alice", &manifest, 0, b"abc").expect("continues");
        depot.finish("alice", &manifest, "toq://a/alice", 7).expect("true");
        depot.settle("alice", &manifest.id);
        store.close();
    }
    let note = dir.path().join("files/notes").join(manifest.id.to_string());
    assert!(note.exists());
    std::fs::remove_file(dir.path().join("files").join(manifest.id.to_string())).expect("ours");

    let store = store(dir.path(), 0);

    assert!(!note.exists());
    assert!(!depot(&store).remove(&manifest.id).expect("nothing fails"));
}

fn numbered(number: u32) -> Manifest {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Manifest { id: ContentId(id), ..abc(3) }
}

#[test]
fn a_peer_that_begins_file_after_file_loses_its_own_oldest_and_nobody_elses() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path(), 0);
    let depot = depot(&store);
    depot.append("bob", &numbered(0), 0, b"b").expect("room");

    for number in 0..300 {
        assert_eq!(depot.begin("alice", &numbered(number)).expect("room"), 0);
        depot.append("alice", &numbered(number), 0, b"a").expect("room");
    }

    assert_eq!(std::fs::read_dir(dir.path().join("files/incoming")).expect("there").count(), 257);
    assert_eq!(depot.begin("alice", &numbered(299)).expect("room"), 1, "the newest goes on");
    assert_eq!(depot.begin("bob", &numbered(0)).expect("room"), 1);
}

#[test]
fn an_empty_file_needs_no_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path(), 0);
    // The SHA-256 of nothing (FIPS 180-4).
    let id = ContentId::parse("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").expect("a hash");
    let manifest = Manifest { id, ..abc(0) };

    assert_eq!(depot(&store).begin("alice", &manifest).expect("room"), 0);
    depot(&store).finish("alice", &manifest, "toq://a/alice", 7).expect("true");
    depot(&store).settle("alice", &id);

    assert_eq!(depot(&store).kept(&id).map(|kept| kept.size), Some(0));
}

#[tokio::test]
async fn a_copy_that_no_message_names_goes_when_the_depot_is_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = dir.path().join("source");
    std::fs::write(&source, b"abc").expect("ours");
    let (sent, lost) = (abc(3), Manifest { transfer: "lost".to_owned(), ..abc(3) });
    {
        let store = store(dir.path(), 0);
        for manifest in [&sent, &lost] {
            depot(&store).adopt(&source, &manifest.transfer).expect("copied");
        }
        let address = |text| Address::parse(text).expect("valid");
        let message = Message {
            id: MessageId::from_random([1; 16]),
            kind: Kind::MessageSend,
            from: address("toq://127.0.0.1:9101/alice"),
            to: address("toq://127.0.0.1:9102/bob"),
            thread_id: None,
            reply_to: None,
            content_type: Some(MANIFEST_TYPE.to_owned()),
            timestamp: Timestamp::from_nanos(0),
            ttl: None,
            body: Some(sent.to_body()),
        };
        let change = Change::Send { lane: message.to.key(), message: Box::new(message), only: None };
        store.journal().commit(Batch::new(vec![change])).await.expect("the disk is well");
        store.close();
    }

    // At a time at which neither is old.
    let store = Store::open(&dir.path().join("state.redb"), Options::default()).expect("opens");
    let store = store.with_files(&dir.path().join("files"), 0).expect("a directory");

    assert_eq!(depot(&store).read_outgoing(&sent, 0, 9).expect("there"), b"abc");
    assert!(depot(&store).read_outgoing(&lost, 0, 9).is_err());
}
