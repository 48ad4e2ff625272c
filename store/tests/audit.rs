//! Whoever changes what was recorded, or takes some of it away, is found, with the place.

use std::path::Path;

use redb::{Database, ReadableDatabase as _, TableDefinition};
use toq_protocol::audit::{Fault, Head};
use toq_protocol::policy::{Pattern, Ruling, Subject};
use toq_protocol::time::Timestamp;
use toq_store::audit::{AuditRow, TRIMMED, Verified};
use toq_store::batch::Change;
use toq_store::{Batch, Options, Store};

const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");
const NOTES: TableDefinition<&str, &[u8]> = TableDefinition::new("audit_notes");

fn now() -> Timestamp {
    Timestamp::from_nanos(1_800_000_000_000_000_000)
}

fn row(number: u64) -> AuditRow {
    AuditRow::new(now(), "owner", "rule.added", &number).detailed("approve")
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("state.redb"), Options::default()).expect("opens")
}

fn commit(store: &Store, changes: Vec<Change>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(store.journal().commit(Batch::new(changes))).expect("commits");
}

/// A log with so many decisions.
fn written(dir: &Path, count: u64) {
    let store = open(dir);
    for number in 1..=count {
        commit(&store, vec![Change::Audit(row(number))]);
    }
    store.close();
}

/// What a check finds, and, where somebody noted a head, whether it is still part of it.
fn verified(dir: &Path, noted: Option<Head>) -> Verified {
    let store = open(dir);
    let verified = store.reader().verify_audit(noted).expect("reads");
    store.close();
    verified
}

/// Changes the file behind our back.
fn tamper(dir: &Path, change: impl FnOnce(&mut redb::Table<'_, u64, &'static [u8]>, &mut redb::Table<'_, &'static str, &'static [u8]>)) {
    let database = Database::open(dir.join("state.redb")).expect("opens");
    let transaction = database.begin_write().expect("begins");
    {
        let (mut audit, mut notes) = (transaction.open_table(AUDIT).expect("there"), transaction.open_table(NOTES).expect("there"));
        change(&mut audit, &mut notes);
    }
    transaction.commit().expect("commits");
}

fn value(dir: &Path, place: u64) -> Vec<u8> {
    let database = Database::open(dir.join("state.redb")).expect("opens");
    let table = database.begin_read().expect("begins").open_table(AUDIT).expect("there");
    table.get(place).expect("reads").expect("there").value().to_vec()
}

#[test]
fn decisions_are_listed_as_they_were_recorded_and_a_state_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    assert_eq!(store.reader().verify_audit(None).expect("reads"), Verified { records: 0, head: Head::EMPTY, fault: None });
    let state = |digest: u8| Change::AuditState("config", [digest; 32], row(u64::from(digest)));

    // With the decision itself, or not at all.
    let rule = Change::AddRule(Subject::Address(Pattern::new("toq://a/*")), Ruling::Block, now());
    commit(&store, vec![rule, Change::Audit(row(1))]);
    commit(&store, vec![state(2), state(2)]);
    commit(&store, vec![state(2)]);
    commit(&store, vec![state(3), state(2)]);

    let listed = store.reader().audit(0, 100).expect("reads");
    assert_eq!(listed.iter().map(|(_, row)| row.subject.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "2"]);
    assert_eq!(listed[0].1, row(1));
    assert_eq!(store.reader().audit(2, 1).expect("reads"), [listed[2].clone()]);
    assert_eq!(store.reader().last_audited().expect("reads"), 4);
    assert_eq!(store.reader().verify_audit(None).expect("reads"), Verified { records: 4, head: listed[3].0, fault: None });
}

#[test]
fn every_flipped_byte_is_found_in_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    written(dir.path(), 3);
    let whole = value(dir.path(), 2);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x20;
        tamper(dir.path(), |audit, _| drop(audit.insert(2, flipped.as_slice()).expect("ours")));

        assert_eq!(verified(dir.path(), None).fault, Some(Fault::Altered(2)), "byte {at}");
    }
    for cut in [0, 31, 32, whole.len() - 1] {
        tamper(dir.path(), |audit, _| drop(audit.insert(2, &whole[..cut]).expect("ours")));
        assert_eq!(verified(dir.path(), None).fault, Some(Fault::Altered(2)), "cut at {cut}");
    }
    tamper(dir.path(), |audit, _| drop(audit.insert(2, whole.as_slice()).expect("ours")));
    assert_eq!(verified(dir.path(), None).fault, None);
}

#[test]
fn a_removed_record_and_a_cut_end_are_found() {
    for removed in 1..=3 {
        let dir = tempfile::tempdir().expect("a directory");
        written(dir.path(), 3);
        tamper(dir.path(), |audit, _| drop(audit.remove(removed).expect("ours")));

        let found = verified(dir.path(), None);

        assert_eq!((found.fault, found.records), (Some(Fault::Missing(removed)), removed - 1));
    }
}

#[test]
fn a_chain_that_was_cut_together_with_its_note_is_found_by_who_noted_its_head_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    written(dir.path(), 3);
    let noted = verified(dir.path(), None).head;
    let earlier: Head = Head { place: 2, hash: *value(dir.path(), 2).first_chunk().expect("a hash") };
    tamper(dir.path(), |audit, notes| {
        audit.remove(3).expect("ours");
        notes.insert("head", earlier.to_bytes().as_slice()).expect("ours");
    });

    assert_eq!(verified(dir.path(), None).fault, None, "nothing in the file tells");
    assert_eq!(verified(dir.path(), Some(earlier)).fault, None);
    assert_eq!(verified(dir.path(), Some(noted)).fault, Some(Fault::Missing(3)));
    // Another record in its place.
    let store = open(dir.path());
    commit(&store, vec![Change::Audit(row(77))]);
    store.close();
    assert_eq!(verified(dir.path(), Some(noted)).fault, Some(Fault::Altered(3)));
}

#[test]
fn what_is_deleted_for_its_number_leaves_a_record_and_what_is_deleted_without_one_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    written(dir.path(), 10);
    let store = open(dir.path());
    commit(&store, vec![Change::TrimAudit(4, now())]);
    let left = store.reader().audit(0, 100).expect("reads");
    store.close();

    assert_eq!(left.iter().map(|(head, _)| head.place).collect::<Vec<_>>(), [7, 8, 9, 10, 11]);
    assert_eq!((left[4].1.what.as_str(), left[4].1.detail.as_deref()), (TRIMMED, Some("records up to 6 were deleted for their number")));
    assert_eq!(verified(dir.path(), None), Verified { records: 5, head: left[4].0, fault: None });

    // The same by hand, with the notes made to fit.
    let base = left[1].0;
    tamper(dir.path(), |audit, notes| {
        audit.retain_in(..=base.place, |_, _| false).expect("ours");
        notes.insert("base", base.to_bytes().as_slice()).expect("ours");
    });
    assert_eq!(verified(dir.path(), None).fault, Some(Fault::Unexplained(8)));
}
