//! What the desk does with orders that come together.

use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use super::*;

const NUMBERS: TableDefinition<'_, u64, u64> = TableDefinition::new("numbers");

fn desk() -> Desk {
    Desk::open("test", Source::Memory, Repair::Quick).expect("memory")
}

#[tokio::test]
async fn a_task_is_answered_with_what_it_decided() {
    let desk = desk();
    let before = desk.run(|tx| Ok(tx.open_table(NUMBERS)?.insert(1, 7)?.is_none())).await;
    let found = desk.run(|tx| Ok(tx.open_table(NUMBERS)?.get(1)?.map(|row| row.value()))).await;

    assert_eq!((before.ok(), found.ok()), (Some(true), Some(Some(7))));
}

#[tokio::test]
async fn a_task_that_fails_leaves_nothing_behind_and_says_so() {
    let desk = desk();
    let failed = desk.run(|tx| {
        tx.open_table(NUMBERS)?.insert(1, 7)?;
        Err::<(), _>(StoreError::Io("of no use".to_owned()))
    });
    assert!(failed.await.is_err());

    let kept = desk.run(|tx| Ok(tx.open_table(NUMBERS)?.get(1)?.is_some())).await;
    assert_eq!(kept.ok(), Some(false));
}

#[tokio::test]
async fn nothing_is_written_that_builds_on_what_was_not() {
    let desk = desk();
    let (fuse, write) =
        (Arc::new(AtomicBool::new(false)), |n| move |tx: &WriteTransaction| Ok(tx.open_table(NUMBERS)?.insert(n, n).map(drop)?));
    let first = desk.slot().await.expect("room").run_fused(fuse.clone(), write(1));
    let failed = desk.slot().await.expect("room").run_fused(fuse.clone(), |_| Err::<(), _>(StoreError::Io("of no use".to_owned())));
    drop((first.await, failed.await));

    let later = desk.slot().await.expect("room").run_fused(fuse.clone(), write(2)).await;
    let elsewhere = desk.slot().await.expect("room").run(write(3)).await;

    assert!(fuse.load(Ordering::SeqCst) && later.is_err() && elsewhere.is_ok());
    assert_eq!(desk.run(|tx| Ok(tx.open_table(NUMBERS)?.get(2)?.is_some())).await.ok(), Some(false));
}

#[tokio::test]
async fn what_is_on_disk_is_told_of_though_nobody_waits_and_what_is_not_is_dropped() {
    let (desk, (tell, told)) = (desk(), std::sync::mpsc::sync_channel(9));
    for (number, fails) in [(1, false), (2, true), (3, false)] {
        let task = move |tx: &WriteTransaction| {
            tx.open_table(NUMBERS)?.insert(number, 7)?;
            if fails { Err(StoreError::Io("of no use".to_owned())) } else { Ok(number) }
        };
        let tell = tell.clone();
        let mut run = Box::pin(desk.run_then(task, move |number: &u64| tell.send(*number).expect("somebody listens")));
        // Who called hangs up once the task is queued.
        let queued = std::future::poll_fn(|context| std::task::Poll::Ready(run.as_mut().poll(context)));
        drop(queued.await);
        drop(run);
        drop(desk.run(|_| Ok(())).await);
    }
    drop(tell);

    assert_eq!(told.iter().collect::<Vec<_>>(), [1, 3]);
}

#[tokio::test]
async fn a_reader_sees_what_was_answered() {
    let desk = desk();
    desk.run(|tx| Ok(tx.open_table(NUMBERS)?.insert(1, 7).map(drop)?)).await.expect("written");

    let reading = desk.database().expect("open").begin_read().expect("a snapshot");
    assert_eq!(reading.open_table(NUMBERS).expect("made").get(1).expect("read").map(|row| row.value()), Some(7));
}

#[test]
fn a_closed_file_can_be_opened_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    for _ in 0..2 {
        let source = Source::File { path: dir.path().join("a.redb"), options: crate::Options::default() };
        Desk::open("test", source, Repair::Whole).expect("free").close();
    }
}
