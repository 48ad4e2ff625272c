//! What a member's store promises: whole transactions, sealed rows, one owner, and bytes that are read for ever.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use toq_store::StoreError;
use toq_store::member::{
    Change, ChannelRow, HappeningRow, InRow, InviteRow, MemberStore, OutKind, OutRow, RequestRow, Standing, WelcomeRow, WorkspaceKey,
};
use toq_store::record::Record as _;
use zeroize::Zeroizing;

const ID: [u8; 32] = [9; 32];

fn key(byte: u8) -> WorkspaceKey {
    WorkspaceKey::new(Zeroizing::new([byte; 32]))
}

fn channel() -> ChannelRow {
    ChannelRow {
        name: "acme/team/general".to_owned(),
        proven: true,
        standing: Standing::Member,
        cursor: 7,
        chain: Some([1; 32]),
        next_in: 3,
        next_happening: 2,
        answers_joins: true,
        rotated_at: 1_800_000_000,
        heads: vec![2; 40],
        was_numbered: true,
        octets_in: 300,
        has_skipped: true,
    }
}

fn message() -> InRow {
    InRow { seq: 7, epoch: 2, sender: b"alice".to_vec(), proven: None, leaf: 1, payload: b"canary of the inbox".to_vec(), octets: 147 }
}

fn outgoing() -> OutRow {
    OutRow {
        kind: OutKind::Message,
        tag: [4; 16],
        frame: vec![5; 3],
        epoch: 2,
        payload: b"canary of the outbox".to_vec(),
        earlier: vec![6; 32],
    }
}

fn happening() -> HappeningRow {
    HappeningRow {
        kind: "member_added".to_owned(),
        subject: b"bob".to_vec(),
        by: b"alice".to_vec(),
        epoch: 2,
        detail: String::new(),
        at: 5,
    }
}

fn invite() -> InviteRow {
    InviteRow { token: "skt_inv_canary".to_owned(), expires_at: 5, max_uses: Some(3), used: vec![7; 32] }
}

fn welcome() -> WelcomeRow {
    WelcomeRow { references: vec![1; 64], joiners: vec![2; 32], welcome: vec![3; 5] }
}

fn request() -> RequestRow {
    RequestRow { package: b"canary package".to_vec(), id: Some("canary id".to_owned()), made_at: 7, is_in: true }
}

fn everything() -> Vec<Change> {
    vec![
        Change::Keep { shelf: 2, key: b"group".to_vec(), value: Zeroizing::new(b"canary of the shelf".to_vec()) },
        Change::Channel(ID, channel()),
        Change::Queue(ID, 1, outgoing()),
        Change::Arrive(ID, 1, message()),
        Change::Happen(ID, 1, happening()),
        Change::Invite(ID, [8; 16], invite()),
        Change::Welcome(ID, 3, welcome()),
        Change::Ask(ID, [6; 32], request()),
    ]
}

async fn open(dir: &Path, byte: u8) -> Result<MemberStore, StoreError> {
    MemberStore::open(&dir.join("member.redb"), &key(byte)).await
}

#[tokio::test]
async fn what_was_committed_is_there_after_another_opening() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), 1).await.expect("made");
    store.commit(everything()).await.expect("written");
    store.close();

    let store = open(dir.path(), 1).await.expect("opened");

    assert_eq!(store.opened(), 2);
    assert_eq!(store.kept(2, b"group").expect("read").as_deref().map(Vec::as_slice), Some(&b"canary of the shelf"[..]));
    assert_eq!(store.channels().expect("read"), [(ID, channel())]);
    assert_eq!(store.outbox(&ID, 0, 10).expect("read"), [(1, outgoing())]);
    assert_eq!(store.inbox(&ID, 0, 10, usize::MAX).expect("read"), [(1, message())]);
    assert_eq!(store.happenings(&ID, 0, 10).expect("read"), [(1, happening())]);
    assert_eq!(store.invites(&ID).expect("read"), [([8; 16], invite())]);
    assert_eq!(store.invite(&ID, &[8; 16]).expect("read"), Some(invite()));
    assert_eq!(store.invite(&ID, &[9; 16]).expect("read"), None);
}

#[tokio::test]
async fn what_is_taken_away_is_gone_and_the_rest_stays() {
    let store = MemberStore::in_memory().await.expect("memory");
    store.commit(everything()).await.expect("written");
    store.commit((2..5).map(|n| Change::Arrive(ID, n, message())).collect()).await.expect("written");

    let away = vec![
        Change::Discard { shelf: 2, key: b"group".to_vec() },
        Change::Unqueue(ID, 1),
        Change::Consume(ID, 3),
        Change::Forget(ID, 1),
        Change::Uninvite(ID, [8; 16]),
    ];
    store.commit(away).await.expect("written");

    assert!(store.kept(2, b"group").expect("read").is_none() && store.keys(2, b"").expect("read").is_empty());
    assert!(store.outbox(&ID, 0, 10).expect("read").is_empty() && store.happenings(&ID, 0, 10).expect("read").is_empty());
    assert!(store.invites(&ID).expect("read").is_empty());
    assert_eq!(store.inbox(&ID, 0, 10, usize::MAX).expect("read"), [(4, message())]);
}

#[tokio::test]
async fn rows_of_one_channel_and_keys_of_one_shelf_do_not_mix_with_others() {
    let store = MemberStore::in_memory().await.expect("memory");
    let keep = |shelf, key: &[u8]| Change::Keep { shelf, key: key.to_vec(), value: Zeroizing::new(vec![1]) };
    store.commit(vec![keep(1, b"aa"), keep(1, b"ab"), keep(1, b"b"), keep(2, b"a")]).await.expect("written");
    store.commit(vec![Change::Arrive([8; 32], 1, message()), Change::Arrive(ID, 2, message())]).await.expect("written");

    assert_eq!(store.keys(1, b"a").expect("read"), [b"aa".to_vec(), b"ab".to_vec()]);
    assert_eq!(store.inbox(&ID, 0, 10, usize::MAX).expect("read").len(), 1);
}

#[tokio::test]
async fn a_page_of_the_inbox_has_no_more_bytes_than_are_wanted_but_always_one_message() {
    let store = MemberStore::in_memory().await.expect("memory");
    // Half of it is what was said, and half who said it.
    let sized =
        |n: u64, bytes: usize| Change::Arrive(ID, n, InRow { payload: vec![0; bytes / 2], sender: vec![0; bytes / 2], ..message() });
    store.commit(vec![sized(1, 100), sized(2, 40), sized(3, 40), sized(4, 40)]).await.expect("written");

    let page = |after: u64, limit: usize, octets: usize| -> Vec<u64> {
        store.inbox(&ID, after, limit, octets).expect("read").into_iter().map(|(n, _)| n).collect()
    };
    assert_eq!((page(0, 9, 80), page(1, 9, 80), page(1, 1, 80), page(3, 9, 0)), (vec![1], vec![2, 3], vec![2], vec![4]));
}

#[tokio::test]
async fn the_file_is_its_owners_alone_and_says_nothing_without_the_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), 1).await.expect("made");
    store.commit(everything()).await.expect("written");
    store.close();

    let path = dir.path().join("member.redb");
    let bytes = std::fs::read(&path).expect("there");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;

    assert_eq!(mode, 0o600);
    for word in [&b"canary"[..], b"alice", b"acme/team", b"skt_inv"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word), "{word:?} is in the file");
    }
}

#[tokio::test]
async fn another_key_another_process_and_a_damaged_file_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), 1).await.expect("made");
    store.commit(everything()).await.expect("written");

    assert!(matches!(open(dir.path(), 1).await, Err(StoreError::AlreadyOpen(_))));
    store.close();
    assert!(matches!(open(dir.path(), 2).await, Err(StoreError::WrongKey { .. })));
    open(dir.path(), 1).await.expect("a refusal leaves it as it was").close();

    std::fs::write(dir.path().join("member.redb"), [7; 4096]).expect("written");
    assert!(open(dir.path(), 1).await.is_err());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kept() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/member-v1.txt")).expect("in the repository")
}

#[test]
fn a_members_records_are_written_as_they_always_were() {
    let written = [
        ("channel", hex(&channel().to_bytes())),
        ("out", hex(&outgoing().to_bytes())),
        ("in", hex(&message().to_bytes())),
        ("happening", hex(&happening().to_bytes())),
        ("invite", hex(&invite().to_bytes())),
        ("welcome", hex(&welcome().to_bytes())),
        ("request", hex(&request().to_bytes())),
    ];
    let lines: Vec<String> = written.into_iter().map(|(name, hex)| format!("{name} {hex}")).collect();

    let kept = kept();
    assert_eq!(lines, kept.lines().filter(|line| !line.starts_with("earlier-")).collect::<Vec<_>>());
}

#[test]
fn a_members_records_that_were_ever_written_are_read() {
    let bytes = |name: &str| -> Vec<u8> {
        let kept = kept();
        let line = kept.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect("a line").to_owned();
        (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).expect("hex")).collect()
    };

    let unnumbered = ChannelRow { was_numbered: false, octets_in: 0, has_skipped: false, ..channel() };
    assert_eq!(
        ChannelRow::from_bytes(&bytes("earlier-channel")).expect("version 1"),
        ChannelRow { heads: Vec::new(), ..unnumbered.clone() }
    );
    assert_eq!(ChannelRow::from_bytes(&bytes("earlier-channel-unnumbered")).expect("version 1"), unnumbered);
    let unskipped = ChannelRow { has_skipped: false, ..channel() };
    assert_eq!(ChannelRow::from_bytes(&bytes("earlier-channel-unskipped")).expect("version 1"), unskipped);
    assert_eq!(ChannelRow::from_bytes(&bytes("channel")).expect("version 1"), channel());
    assert_eq!(OutRow::from_bytes(&bytes("out")).expect("version 1"), outgoing());
    assert_eq!(InRow::from_bytes(&bytes("earlier-in")).expect("version 1"), InRow { octets: 0, ..message() });
    assert_eq!(InRow::from_bytes(&bytes("in")).expect("version 1"), message());
    assert_eq!(HappeningRow::from_bytes(&bytes("happening")).expect("version 1"), happening());
    let uncounted = InviteRow { max_uses: None, used: Vec::new(), ..invite() };
    assert_eq!(InviteRow::from_bytes(&bytes("earlier-invite")).expect("version 1"), uncounted);
    assert_eq!(InviteRow::from_bytes(&bytes("invite")).expect("version 1"), invite());
    assert_eq!(WelcomeRow::from_bytes(&bytes("welcome")).expect("version 1"), welcome());
    assert_eq!(RequestRow::from_bytes(&bytes("request")).expect("version 1"), request());
}
