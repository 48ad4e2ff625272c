//! Whoever does not read holds what it asked for, and its window with it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::*;

/// How many shares a window has here.
const SHARES: usize = 100;

fn channel(number: u64) -> ChannelName {
    ChannelName::parse(&format!("acme/team/{number}")).expect("a name")
}

fn tag(number: u8) -> Tag {
    Tag([number; 16])
}

/// A connection's plan, and its window.
fn plan() -> (Plan, Arc<Semaphore>) {
    (Plan::new(Dialect::Extended), Arc::new(Semaphore::new(SHARES)))
}

fn share(window: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    window.clone().try_acquire_owned().expect("it is not full")
}

/// How many steps there are until the plan waits.
fn steps(plan: &mut Plan) -> usize {
    std::iter::from_fn(|| Some(plan.next()).filter(|step| !matches!(step, Step::Wait))).count()
}

#[test]
fn one_channel_is_read_once_however_often_it_was_asked_for() {
    let (mut plan, window) = plan();
    for _ in 0..SHARES * 10 {
        let wish = plan.want(channel(1), Some(0), Some(tag(1)), share(&window));
        plan.joined(wish, 0);
    }
    assert_eq!((window.available_permits(), plan.ready.len()), (SHARES - 1, 1));

    assert_eq!(steps(&mut plan), 1);
    assert_eq!(window.available_permits(), SHARES, "and then nothing is held");
}

#[test]
fn a_channel_that_is_not_wanted_any_more_is_not_read() {
    let (mut plan, window) = plan();
    for number in 0..10 {
        let wish = plan.want(channel(number), Some(0), Some(tag(1)), share(&window));
        plan.joined(wish, 0);
        assert!(plan.unwant(&channel(number)));
    }

    assert_eq!((plan.ready.len(), window.available_permits()), (0, SHARES));
}

#[test]
fn what_was_asked_for_and_refused_holds_its_share_until_the_answer_is_taken() {
    let (mut plan, window) = plan();
    for number in 0..10 {
        let wish = plan.want(channel(number), None, Some(tag(1)), share(&window));
        plan.refused(&channel(number), wish, Answer::crowded("full".to_owned()));
    }

    assert_eq!(window.available_permits(), SHARES - 10);
    assert_eq!(steps(&mut plan), 10);
    assert_eq!(window.available_permits(), SHARES);
}

#[test]
fn a_subscription_holds_its_share_until_it_is_greeted() {
    let (mut plan, window) = plan();
    let wish = plan.want(channel(1), None, Some(tag(1)), share(&window));
    plan.joined(wish, 3);

    assert_eq!(window.available_permits(), SHARES - 1);
    let Step::Read(reading) = plan.next() else { panic!("it is to be greeted") };
    assert_eq!(window.available_permits(), SHARES - 1, "the greeting has it");
    drop(reading);
    assert_eq!(window.available_permits(), SHARES);
}

#[test]
fn publications_with_one_tag_hold_a_share_each_and_each_channel_its_answer() {
    let (mut plan, window) = plan();
    let shares = [1, 1, 2].map(|number| {
        plan.sent(tag(7), channel(number), true);
        share(&window)
    });
    assert!(!plan.is_quiet());

    for ((number, seq), own) in [(1, 5), (1, 5), (2, 9)].into_iter().zip(shares) {
        plan.stored(&channel(number), tag(7), Answer::Accepted(seq), own);
    }

    assert!(plan.outstanding.is_empty());
    assert_eq!(window.available_permits(), SHARES - 3, "their answers have them");
    assert_eq!(steps(&mut plan), 3);
    assert_eq!(window.available_permits(), SHARES);
}

#[test]
fn a_publication_whose_place_is_passed_is_answered_once_and_holds_nothing_then() {
    let row = Row { seq: 1, at: 0, mark: toq_store::relay::Mark::Plain, epoch: 0, tag: [7; 16], frame: Vec::new() };
    for is_stored_first in [true, false] {
        let (mut plan, window) = plan();
        let wish = plan.want(channel(1), Some(0), None, share(&window));
        plan.joined(wish, 0);
        assert_eq!(steps(&mut plan), 1);
        plan.sent(tag(7), channel(1), true);
        let own = share(&window);
        plan.nudged(&channel(1), 1);

        let met = if is_stored_first {
            plan.stored(&channel(1), tag(7), Answer::Accepted(1), own);
            assert_eq!(window.available_permits(), SHARES - 1);
            plan.meet(&channel(1), wish, &row)
        } else {
            let met = plan.meet(&channel(1), wish, &row);
            plan.stored(&channel(1), tag(7), Answer::Accepted(1), own);
            met
        };

        assert_eq!(met, Met::Own(Some(tag(7))));
        assert!(plan.outstanding.is_empty() && plan.answers.is_empty());
        assert_eq!(window.available_permits(), SHARES);
    }
}
