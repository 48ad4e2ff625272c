//! What every log and every bus must do, run against each one there is.

use std::sync::Arc;
use std::time::Duration;

use toq_relay::bus::{Bus, ProcessBus};
use toq_relay::log::{Log, MemoryLog};
use toq_store::relay::{Append, Appended, Cut, Mark, RelayStore};

const HOUR: i64 = 3_600_000_000_000;

fn block_on(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

/// Runs a claim against every log.
fn every_log<F: Future<Output = ()>>(claim: impl Fn(Arc<dyn Log>) -> F) {
    block_on(async {
        claim(Arc::new(MemoryLog::default())).await;
        let store = RelayStore::in_memory().await.expect("memory");
        claim(Arc::new(store.log().clone())).await;
        let dir = tempfile::tempdir().expect("a directory");
        let store = RelayStore::open(dir.path(), toq_store::Options::default()).await.expect("a file");
        claim(Arc::new(store.log().clone())).await;
        store.close();
    });
}

fn message(channel: &str, tag: u8) -> Append {
    Append {
        channel: channel.into(),
        tag: [tag; 16],
        is_tagged: true,
        mark: Mark::Plain,
        epoch: 0,
        seen: 0,
        at: HOUR,
        account: "alice".into(),
        month: 202_611,
        messages_per_month: u64::MAX,
        channels: u64::MAX,
        bytes_per_channel: u64::MAX,
        frame: [&[tag], &[0; 8][..]].concat(),
    }
}

fn commit(channel: &str, tag: u8, epoch: u64, seen: u64) -> Append {
    Append { mark: Mark::Commit, epoch, seen, ..message(channel, tag) }
}

async fn append(log: &Arc<dyn Log>, batch: Vec<Append>) -> Vec<Appended> {
    log.append(batch, Duration::ZERO).await.expect("it writes")
}

async fn places(log: &Arc<dyn Log>, channel: &str, after: u64) -> Vec<u64> {
    let stretch = log.read(channel, after, u64::MAX, usize::MAX, usize::MAX).await.expect("it reads");
    stretch.rows.iter().map(|row| row.seq).collect()
}

#[test]
fn places_begin_at_one_and_have_no_gap_in_each_channel() {
    every_log(|log| async move {
        let ends = append(&log, vec![message("a/b/c", 1), message("x/y/z", 2), message("a/b/c", 3)]).await;
        let more = append(&log, vec![message("a/b/c", 4)]).await;

        assert_eq!(ends, [Appended::At(1), Appended::At(1), Appended::At(2)]);
        assert_eq!(more, [Appended::At(3)]);
        assert_eq!(places(&log, "a/b/c", 0).await, [1, 2, 3]);
        assert_eq!(places(&log, "a/b/c", 2).await, [3]);
        assert_eq!(places(&log, "no/such/channel", 0).await, [0; 0]);
    });
}

#[test]
fn a_row_ends_in_its_place_and_is_otherwise_what_was_published() {
    every_log(|log| async move {
        append(&log, vec![message("a/b/c", 1), message("a/b/c", 9)]).await;

        let stretch = log.read("a/b/c", 1, 2, 10, 1000).await.expect("it reads");

        assert_eq!(stretch.rows[0].frame, [9, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!((stretch.rows[0].tag, stretch.rows[0].at), ([9; 16], HOUR));
        assert_eq!((stretch.ends.first, stretch.ends.last, stretch.ends.bytes), (1, 2, 18));
    });
}

#[test]
fn a_tag_that_is_known_is_not_appended_again_even_in_one_batch() {
    every_log(|log| async move {
        let first = append(&log, vec![message("a/b/c", 1), message("a/b/c", 1), message("x/y/z", 1)]).await;
        let again = append(&log, vec![message("a/b/c", 1)]).await;
        let untagged = Append { is_tagged: false, ..message("a/b/c", 1) };
        let others = append(&log, vec![untagged.clone(), untagged]).await;

        assert_eq!(first, [Appended::At(1), Appended::Known(1), Appended::At(1)]);
        assert_eq!(again, [Appended::Known(1)]);
        assert_eq!(others, [Appended::At(2), Appended::At(3)]);
    });
}

#[test]
fn an_epoch_is_taken_for_who_has_not_seen_its_commit() {
    every_log(|log| async move {
        let race = append(&log, vec![commit("a/b/c", 1, 0, 0), commit("a/b/c", 2, 0, 0)]).await;
        let next = append(&log, vec![commit("a/b/c", 3, 1, 1)]).await;
        let seen = append(&log, vec![commit("a/b/c", 4, 0, 2)]).await;
        let unseen = append(&log, vec![commit("a/b/c", 5, 0, 2)]).await;
        let elsewhere = append(&log, vec![commit("x/y/z", 6, 0, 0)]).await;

        assert_eq!(race, [Appended::At(1), Appended::EpochTaken(1)]);
        assert_eq!(next, [Appended::At(2)]);
        assert_eq!(seen, [Appended::At(3)], "who has seen the first one knows that it did not count");
        assert_eq!(unseen, [Appended::EpochTaken(3)]);
        assert_eq!(elsewhere, [Appended::At(1)]);
    });
}

#[test]
fn a_commit_that_is_sent_again_is_known_and_not_its_own_rival() {
    every_log(|log| async move {
        append(&log, vec![commit("a/b/c", 1, 0, 0)]).await;

        assert_eq!(append(&log, vec![commit("a/b/c", 1, 0, 0)]).await, [Appended::Known(1)]);
    });
}

#[test]
fn quotas_hold_to_the_last_message_and_to_the_last_channel() {
    every_log(|log| async move {
        let of_two = |tag| Append { messages_per_month: 2, ..message("a/b/c", tag) };
        let ends = append(&log, vec![of_two(1), of_two(2), of_two(3), of_two(1)]).await;
        let next_month = append(&log, vec![Append { month: 202_612, ..of_two(3) }]).await;
        let one_channel = Append { account: "bob".into(), channels: 1, ..message("b/o/b", 1) };
        let second = Append { channel: "b/o/b2".into(), ..one_channel.clone() };
        let others = Append { channel: "a/b/c".into(), tag: [8; 16], ..one_channel.clone() };
        let channels = append(&log, vec![one_channel, second, others]).await;

        assert_eq!(ends, [Appended::At(1), Appended::At(2), Appended::NoMessages, Appended::Known(1)]);
        assert_eq!(next_month, [Appended::At(3)]);
        assert_eq!(channels, [Appended::At(1), Appended::NoChannels, Appended::At(4)]);
    });
}

#[test]
fn a_read_stops_at_its_limits_but_never_before_its_first_row() {
    every_log(|log| async move {
        append(&log, (1..=5).map(|tag| message("a/b/c", tag)).collect()).await;
        let read = |through, most, bytes| {
            let log = log.clone();
            async move { log.read("a/b/c", 1, through, most, bytes).await.expect("it reads").rows.len() }
        };

        assert_eq!(read(3, 10, 1000).await, 2);
        assert_eq!(read(5, 1, 1000).await, 1);
        assert_eq!(read(5, 10, 18).await, 2);
        assert_eq!(read(5, 10, 0).await, 1);
    });
}

#[test]
fn retention_cuts_from_the_front_in_steps_and_places_go_on() {
    every_log(|log| async move {
        append(&log, (1..=4).map(|tag| message("a/b/c", tag)).collect()).await;
        append(&log, vec![Append { at: 3 * HOUR, ..message("a/b/c", 5) }, Append { at: HOUR, ..message("x/y/z", 5) }]).await;
        let cut = Cut { before: 2 * HOUR, rows: 3 };

        let first = log.trim(None, cut).await.expect("it trims");
        let second = log.trim(first.next.clone(), cut).await.expect("it trims");

        assert_eq!((first.rows, first.next.as_deref()), (3, Some("a/b/c")));
        assert_eq!((second.rows, second.next), (2, None));
        assert_eq!(places(&log, "a/b/c", 0).await, [5]);
        let ends = log.ends("x/y/z").await.expect("it reads");
        assert_eq!((ends.first, ends.last, ends.bytes), (2, 1, 0), "a channel whose messages are all gone");
        assert_eq!(append(&log, vec![message("x/y/z", 5)]).await, [Appended::At(2)], "its tags went with them, its places did not");
    });
}

#[test]
fn a_full_channel_takes_nothing_more_and_keeps_what_it_took_until_that_is_old() {
    every_log(|log| async move {
        let of_27 = |tag, at| Append { account: "".into(), bytes_per_channel: 27, at, ..message("a/b/c", tag) };
        let batch = append(&log, (1..=4).map(|tag| of_27(tag, tag.into())).collect()).await;
        let again = append(&log, vec![of_27(4, 4), of_27(1, 1), Append { channel: "x/y/z".into(), ..of_27(4, 4) }]).await;

        assert_eq!(batch, [Appended::At(1), Appended::At(2), Appended::At(3), Appended::ChannelFull]);
        assert_eq!(again, [Appended::ChannelFull, Appended::Known(1), Appended::At(1)]);
        assert_eq!(places(&log, "a/b/c", 0).await, [1, 2, 3], "nobody's flood removes what was accepted");
        log.trim(None, Cut { before: 2, rows: 100 }).await.expect("it trims");
        assert_eq!(append(&log, vec![of_27(4, 4), of_27(5, 5)]).await, [Appended::At(4), Appended::ChannelFull]);
    });
}

#[test]
fn an_account_has_no_more_of_a_channel_than_it_leaves_to_others() {
    every_log(|log| async move {
        let of_90 = |account: &str, tag| Append { account: account.into(), bytes_per_channel: 90, ..message("a/b/c", tag) };
        let mut taken = Vec::new();
        for (account, tag) in [("eve", 0), ("bob", 100)] {
            let ends = append(&log, (0..10).map(|n| of_90(account, tag + n)).collect()).await;
            taken.push(ends.iter().filter(|end| matches!(end, Appended::At(_))).count());
        }

        assert_eq!(taken, [5, 2], "half of it, and half of what is left");
        assert_eq!(append(&log, vec![of_90("eve", 50)]).await, [Appended::ChannelFull]);
        assert_eq!(append(&log, vec![of_90("carol", 200)]).await, [Appended::At(8)]);
        log.trim(None, Cut { before: i64::MAX, rows: 100 }).await.expect("it trims");
        assert_eq!(append(&log, vec![of_90("eve", 50)]).await, [Appended::At(9)], "what has gone is nobody's share");
    });
}

#[test]
fn a_trim_looks_at_so_many_channels_at_once_and_goes_on_behind_them() {
    every_log(|log| async move {
        append(&log, (0..7).map(|n| Append { at: 3 * HOUR, ..message(&format!("a/b/{n}"), 1) }).collect()).await;
        append(&log, vec![message("z/z/z", 1)]).await;
        let (mut from, mut rows, mut steps) = (None, 0, 0);
        loop {
            let trimmed = log.trim(from, Cut { before: 2 * HOUR, rows: 3 }).await.expect("it trims");
            (rows, steps, from) = (rows + trimmed.rows, steps + 1, trimmed.next);
            if from.is_none() {
                break;
            }
        }

        assert_eq!(rows, 1, "the old one behind seven that stay");
        assert!(steps > 1, "in one step it would look at all there are");
    });
}

#[test]
fn joiners_get_the_newest_commits_in_order_and_no_forged_one_hides_them() {
    every_log(|log| async move {
        append(&log, vec![commit("a/b/c", 1, 0, 0), commit("a/b/c", 2, 1, 1), message("a/b/c", 3), commit("a/b/c", 4, 2, 3)]).await;
        let commits = |most| {
            let log = log.clone();
            async move { log.commits("a/b/c", most).await.expect("it reads") }
        };

        assert_eq!(commits(10).await, [1, 2, 4]);
        assert_eq!(commits(1).await, [4]);
        append(&log, vec![commit("a/b/c", 5, 2, u64::MAX), commit("a/b/c", 6, 0, u64::MAX)]).await;
        assert_eq!(commits(10).await, [1, 2, 4, 5, 6], "of two of an epoch the first one stands first");
    });
}

#[test]
fn what_was_answered_is_there_after_the_file_is_opened_again() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || RelayStore::open(dir.path(), toq_store::Options::default());
        let store = open().await.expect("a file");
        store.log().append(vec![message("a/b/c", 1), commit("a/b/c", 2, 0, 1)], Duration::ZERO).await.expect("it writes");
        assert!(matches!(open().await, Err(toq_store::StoreError::AlreadyOpen(_))), "the file is locked");
        store.close();

        let store = open().await.expect("a file");
        let log: Arc<dyn Log> = Arc::new(store.log().clone());

        assert_eq!(places(&log, "a/b/c", 0).await, [1, 2]);
        assert_eq!(append(&log, vec![message("a/b/c", 1), commit("a/b/c", 3, 0, 1)]).await, [Appended::Known(1), Appended::EpochTaken(2)]);
        drop(log);
        store.close();
    });
}

/// The list for a bus, to be run against every one there is.
fn a_bus_keeps_its_word(bus: &dyn Bus) {
    let mut listener = bus.listen("a/b/c");
    bus.tell("x/y/z", 9);
    assert!(!listener.has_changed().expect("it lives"));

    bus.tell("a/b/c", 3);
    bus.tell("a/b/c", 2);

    assert!(listener.has_changed().expect("it lives"));
    assert_eq!(*listener.borrow_and_update(), 3);
}

#[test]
fn a_bus_wakes_those_who_listen_to_the_channel_and_never_goes_back() {
    a_bus_keeps_its_word(&ProcessBus::default());
}
