//! A relay's file of which a page is not what it was: whoever opens, reads or writes it is told, and nothing panics out of the store.

use std::os::unix::fs::FileExt as _;
use std::panic;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use toq_protocol::time::Timestamp;
use toq_store::relay::accounts::{AccountId, ChannelSpec, InviteSpec, KeySpec, NewAccount, PlanTier};
use toq_store::relay::{Append, Cut, FILE, Mark, RelayStore};
use toq_store::{Options, StoreError, is_contained};

const CHANNEL: &str = "acme/team/general";
const NOW: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);
const PAGE: usize = 4096;

fn key(n: u8) -> KeySpec {
    KeySpec { id: [n; 16], hash: [n; 32], prefix: "sk_live_0000".to_owned(), name: "default".to_owned() }
}

fn message(number: u16) -> Append {
    let mut tag = [7; 16];
    tag[..2].copy_from_slice(&number.to_be_bytes());
    Append {
        channel: CHANNEL.into(),
        tag,
        is_tagged: true,
        mark: if number.is_multiple_of(10) { Mark::Commit } else { Mark::Plain },
        epoch: u64::from(number),
        seen: u64::MAX,
        at: NOW.as_nanos(),
        account: "alice".into(),
        month: 202_611,
        messages_per_month: u64::MAX,
        channels: u64::MAX,
        bytes_per_channel: u64::MAX,
        frame: vec![1; 600],
    }
}

/// Makes a file that has something in every table; what a kill would have left of it, and what an orderly end has.
async fn fill(dir: &Path) -> [Vec<u8>; 2] {
    let store = RelayStore::open(dir, Options::default()).await.expect("made");
    store.log().append((0..60).map(message).collect(), Duration::ZERO).await.expect("written");
    for n in 1..16 {
        let new = NewAccount { id: [n; 16], email: format!("{n}@example.org"), name: "x".repeat(200), plan: PlanTier::Free, most: 100 };
        store.accounts().open(new, key(n), NOW).await.expect("opened");
    }
    let owner = store.accounts().of(AccountId([1; 16]));
    let spec = ChannelSpec { name: CHANNEL.to_owned(), id: [9; 16], unbound_joins: None, most: 10, publisher: None };
    owner.claim(spec, NOW).await.expect("claimed");
    let expires_at = NOW.plus(Duration::from_secs(3600));
    let invite = InviteSpec { id: [1; 16], channel: CHANNEL.to_owned(), verifier: [1; 32], max_uses: 1, expires_at, most: 10 };
    owner.invite(invite, NOW).await.expect("made");
    let killed = std::fs::read(dir.join(FILE)).expect("there");
    drop(owner);
    store.close();
    [killed, std::fs::read(dir.join(FILE)).expect("there")]
}

/// Looks at everything, and changes something; what it is told of.
async fn use_all(store: &RelayStore) -> Result<(), StoreError> {
    let (log, accounts) = (store.log(), store.accounts());
    log.totals()?;
    log.read(CHANNEL, 0, u64::MAX, usize::MAX, usize::MAX)?;
    log.commits(CHANNEL, usize::MAX)?;
    log.used("alice", 202_611)?;
    accounts.revocations()?;
    for (id, row) in accounts.list(None, usize::MAX)? {
        accounts.by_email(&row.email)?;
        accounts.of(id).keys()?;
    }
    accounts.channels(None, usize::MAX)?;
    let owner = accounts.of(AccountId([1; 16]));
    owner.invites(CHANNEL, NOW)?;
    owner.add_key(key(200), usize::MAX, NOW).await?;
    log.append(vec![message(1000)], Duration::ZERO).await?;
    log.trim(None, Cut { before: i64::MAX, rows: 20 }).await?;
    accounts.trim(NOW.plus(Duration::from_secs(7200))).await?;
    Ok(())
}

/// Counts panics of which nobody is told.
fn count_escaping() -> Arc<AtomicUsize> {
    let escaped = Arc::new(AtomicUsize::new(0));
    let (usual, counted) = (panic::take_hook(), escaped.clone());
    panic::set_hook(Box::new(move |what| {
        if !is_contained() {
            counted.fetch_add(1, Ordering::SeqCst);
            usual(what);
        }
    }));
    escaped
}

fn noise(page: usize) -> Vec<u8> {
    (0..PAGE).map(|at| u8::try_from((at * at + at / 7 + page) % 251).expect("small")).collect()
}

// One test: there is one panic hook.
#[tokio::test]
async fn whichever_page_is_damaged_when_it_is_opened_or_later_the_caller_is_told_and_nothing_else_ends() {
    // In memory where the system has a place for that: nothing here is about what a disk does in time.
    let memory = Some(Path::new("/dev/shm")).filter(|place| place.is_dir()).and_then(|place| tempfile::tempdir_in(place).ok());
    let (dir, escaped) = (memory.unwrap_or_else(|| tempfile::tempdir().expect("a directory")), count_escaping());
    let files = fill(dir.path()).await;
    let file = dir.path().join(FILE);
    // Without a cache every look is one at the disk.
    let options = Options { cache: 0, ..Options::default() };

    for (which, whole) in files.into_iter().enumerate() {
        let (mut at_once, mut later) = (0, 0);
        // Every third of each: each look opens the file anew.
        for page in (which..whole.len() / PAGE).step_by(3) {
            let mut bytes = whole.clone();
            bytes[page * PAGE..(page + 1) * PAGE].copy_from_slice(&noise(page));
            std::fs::write(&file, &bytes).expect("written");
            match RelayStore::open(dir.path(), options).await {
                Ok(store) => {
                    // What nobody looks at is not missed.
                    let told = use_all(&store).await;
                    assert!(told.is_ok() || told.as_ref().is_err_and(StoreError::is_damage), "page {page}: {told:?}");
                    store.close();
                }
                Err(error) => {
                    assert!(error.is_damage(), "page {page}: {error}");
                    at_once += 1;
                    // Where the page is put right again in what is left, nothing is missing.
                    let right = std::fs::OpenOptions::new().write(true).open(&file).expect("ours");
                    right.write_all_at(&whole[page * PAGE..(page + 1) * PAGE], (page * PAGE) as u64).expect("written");
                    let store = RelayStore::open(dir.path(), options).await.expect("it is whole again");
                    use_all(&store).await.expect("it is whole again");
                    store.close();
                }
            }

            std::fs::write(&file, &whole).expect("back");
            let store = RelayStore::open(dir.path(), options).await.expect("what was put back is whole");
            let open = std::fs::OpenOptions::new().write(true).open(&file).expect("ours");
            open.write_all_at(&noise(page), (page * PAGE) as u64).expect("written");
            let told = use_all(&store).await;
            assert!(told.is_ok() || told.as_ref().is_err_and(StoreError::is_damage), "page {page}: {told:?}");
            later += usize::from(told.is_err());
            store.close();
        }
        assert!(at_once > 0 && later > 0, "{at_once}, {later}");
    }
    assert_eq!(escaped.load(Ordering::SeqCst), 0, "nothing panicked but where it is told as an error");
}
