//! A relay that is stopped while everybody publishes: what was accepted is in the log, and everybody knows what to do.

mod relays;

use std::cell::Cell;
use std::collections::HashSet;
use std::process::Output;
use std::thread::JoinHandle;

use futures_util::future::join_all;
use relays::{Relay, block_on, channel, history, publish, tag, text};
use toq_dataplane::{Event, LinkError};

/// How many publications of one member may be unanswered.
const WINDOW: usize = 16;
const MEMBERS: u64 = 8;
/// After how many acceptances the relay is told to stop.
const ENOUGH: usize = 400;

/// Publishes without end until the link ends; tells what was accepted, and why it ended.
async fn publishes(relay: &Relay, first: u64, accepted_by_all: &Cell<usize>, enough: &dyn Fn()) -> (Vec<u64>, LinkError) {
    let (link, mut incoming) = relay.link().await;
    let (mut accepted, mut next, mut unanswered, mut is_open) = (Vec::new(), first, 0, true);
    loop {
        while is_open && unanswered < WINDOW {
            is_open = publish(&link, next).await;
            next += 1;
            unanswered += 1;
        }
        match incoming.next().await.expect("an end comes first") {
            Event::Accepted { tag: of, .. } => {
                accepted.push(u64::from_be_bytes(of.0[..8].try_into().expect("eight bytes")));
                unanswered -= 1;
                accepted_by_all.set(accepted_by_all.get() + 1);
                if accepted_by_all.get() == ENOUGH {
                    enough();
                }
            }
            Event::Closed(why) => return (accepted, why),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[test]
fn what_was_accepted_before_a_stop_is_there_afterwards_and_everybody_is_told_to_come_back() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let relay = Relay::start(dir.path(), &[]);
        // Somebody who listens and never reads does not keep the relay from ending.
        let (idle, _never_read) = relay.link().await;
        idle.subscribe(&channel(), Some(0), tag(u64::MAX)).await.expect("sent");

        let (count, down): (_, Cell<Option<JoinHandle<Output>>>) = (Cell::new(0), Cell::default());
        let data = dir.path().to_str().expect("utf-8").to_owned();
        let stop = || {
            let data = data.clone();
            down.set(Some(std::thread::spawn(move || relays::toq(&["relay", "down", "--data", &data]))));
        };
        let ends = join_all((0..MEMBERS).map(|member| publishes(&relay, member << 32, &count, &stop))).await;

        let down = down.take().expect("it was told to stop").join().expect("it runs");
        assert!(down.status.success(), "{}", text(&down.stderr));
        let again = Relay::start(dir.path(), &[]);
        let kept = history(&again).await;
        let unique: HashSet<u64> = kept.iter().copied().collect();
        assert_eq!(unique.len(), kept.len(), "nothing stands twice");
        for (accepted, why) in ends {
            assert!(!accepted.is_empty() && accepted.iter().all(|number| unique.contains(number)));
            assert!(matches!(&why, LinkError::Closed(word) if word.contains("connect again")), "{why:?}");
        }
    });
}
