//! What the driver does where one of its parts goes wrong.

use std::sync::atomic::Ordering;
use std::time::Duration;

use toq_channels::ChannelName;
use toq_channels::group::{Admission, Agent, Group};
use toq_store::member::{Change, ChannelRow, MemberStore};

use super::*;
use crate::deed::with_core;
use crate::home::changes;
use crate::inner::Seats;
use crate::mock::Relay as Mock;
use crate::settings::{Relay, Settings};

/// A client without tasks, with two channels of its own; the first of them has the smaller id.
async fn inner() -> (Arc<Inner>, [Arc<Seat>; 2]) {
    let settings = Settings::new(Relay::InProcess(Mock::new()), b"alice");
    let store = MemberStore::in_memory().await.expect("a store");
    let (agent, rows) = Agent::create(&settings.identity).expect("an agent");
    store.commit(changes(rows).collect()).await.expect("kept");
    let mut seats = Seats::new();
    for name in ["acme/team/one", "acme/team/two"] {
        let name = ChannelName::parse(name).expect("a name");
        let (_, rows) = Group::create(&agent, &name, Admission::Any, Now::look().unsigned_seconds()).expect("a group");
        let row = ChannelRow { answers_joins: true, ..crate::client::blank(&name, Now::look()) };
        let mut all: Vec<_> = changes(rows).collect();
        all.push(Change::Channel(name.id(), row.clone()));
        store.commit(all).await.expect("kept");
        seats.insert(name.id(), Arc::new(Seat::load(&settings, &agent, &store, row).expect("it loads")));
    }
    let mut ours: Vec<_> = seats.values().cloned().collect();
    ours.sort_by_key(|seat| seat.id);
    let ours = ours.try_into().ok().expect("two");
    (Arc::new(Inner::new(settings, None, agent, store, seats)), ours)
}

fn go_live(seat: &Seat) {
    let mut core = seat.core();
    core.connected(true);
    let mut step = Step::default();
    core.caught_up(0, &mut step, Now::look());
    core.look_for_the_end(&mut step, Now::look());
}

#[tokio::test]
async fn a_channel_that_cannot_be_written_takes_no_step_of_another_with_it() {
    let (inner, [sound, broken]) = inner().await;
    go_live(&sound);
    with_core(&inner, &sound, |core, now| core.say(b"hello", None, now).map(|(_, step)| step)).await.expect("kept");
    let tag = sound.core().publishable(Now::look()).pop().expect("it is committed").tag;
    assert_eq!(*sound.unsent.borrow(), 1);
    broken.core().fuse.store(true, Ordering::SeqCst);

    let parts = BTreeMap::from([(sound.id, vec![Part::Accepted { tag, seq: 1 }]), (broken.id, vec![Part::CaughtUp { seq: 0 }])]);
    handle(&inner, parts).await.expect("the connection goes on");

    assert_eq!(*sound.unsent.borrow(), 0);
    advance(&inner, &broken).await.expect("it is read from the disk");
    assert!(broken.sound_core().is_ok());
}

#[tokio::test]
async fn what_was_committed_comes_true_although_nobody_waits_for_it() {
    let (inner, [seat, _]) = inner().await;
    go_live(&seat);
    let slot = inner.store().expect("open").slot().await.expect("room");
    let (_, step) = seat.core().say(b"hello", None, Now::look()).expect("said");

    drop(inner.keep(&seat, slot, seat.core(), step));

    let mut unsent = seat.unsent.subscribe();
    tokio::time::timeout(Duration::from_secs(60), unsent.wait_for(|unsent| *unsent == 1)).await.expect("settled").expect("open");
    assert_eq!(seat.core().publishable(Now::look()).len(), 1);
}

#[tokio::test]
async fn a_group_that_takes_anothers_place_is_not_disturbed_by_what_mends_channels() {
    let (inner, [seat, _]) = inner().await;
    let (store, agent) = (inner.store().expect("open"), inner.agent());
    let mut all = Vec::new();
    let row = seat.core().row.clone();
    seat.core().give_way(row, &mut all);
    let before = seat.core().fuse.clone();
    before.store(true, Ordering::SeqCst);

    advance(&inner, &seat).await.expect("it waits");
    assert!(Arc::ptr_eq(&before, &seat.core().fuse) && seat.sound_core().is_err());

    store.commit(all).await.expect("kept");
    seat.succeed(&inner.settings, &agent, &store).expect("it loads");
    assert!(!Arc::ptr_eq(&before, &seat.core().fuse) && seat.sound_core().is_ok());
}

#[tokio::test]
async fn a_core_whose_place_was_taken_writes_nothing_more_and_promises_nothing_for_the_next() {
    let (inner, [seat, _]) = inner().await;
    go_live(&seat);
    let (store, agent) = (inner.store().expect("open"), inner.agent());
    let slot = store.slot().await.expect("room");
    let fuse = seat.core().fuse.clone();
    let (_, mut step) = seat.core().say(b"of the group before", None, Now::look()).expect("said");
    let mut all = Vec::new();
    let row = seat.core().row.clone();
    seat.core().give_way(row, &mut all);
    store.commit(all).await.expect("kept");
    seat.succeed(&inner.settings, &agent, &store).expect("it loads");

    let late = slot.commit(step.take_changes(), fuse.clone()).await;
    go_live(&seat);
    let (_, _unwritten) = seat.core().say(b"of the next one", None, Now::look()).expect("said");
    seat.settle(step, &fuse);

    assert!(late.is_err());
    assert!(seat.core().publishable(Now::look()).is_empty(), "nothing of the next core is on the disk");
}

#[tokio::test]
async fn a_part_that_panics_ends_the_client_with_an_error_that_says_so() {
    let (inner, _) = inner().await;

    supervise(inner.clone(), async { panic!("on purpose") }).await;

    let error = inner.store().expect_err("it is closed");
    assert!(error.to_string().contains("open it again"), "{error}");
    assert!(*inner.closing.borrow() && matches!(&*inner.state.borrow(), State::Away(error) if error.kind() == Kind::Runtime));
}

#[tokio::test]
async fn a_relay_that_cannot_be_asked_again_is_not_read_while_a_channel_has_no_room() {
    let (inner, [seat, _]) = inner().await;
    let line = |relay: Mock| Some(Line::InProcess(relay.connect().expect("it is there")));
    seat.core().limits.unread = 0;

    *inner.line() = line(Mock::plain());
    assert!(wait_for_room(&inner).now_or_never().is_none());
    seat.core().limits.unread = 1;
    assert!(wait_for_room(&inner).now_or_never().is_some());

    // Of one that can, only the full channel is not read.
    seat.core().limits.unread = 0;
    *inner.line() = line(Mock::new());
    assert!(wait_for_room(&inner).now_or_never().is_some());
}

#[tokio::test]
async fn a_decision_that_breaks_a_channel_is_forgotten_and_the_channel_read_again() {
    let (inner, [seat, _]) = inner().await;
    let breaks = |seat: &Seat| {
        let mut core = seat.core();
        core.row.cursor = 1000;
        panic!("on purpose");
    };

    assert!(std::panic::catch_unwind(AssertUnwindSafe(|| breaks(&seat))).is_err());

    assert!(seat.sound_core().is_err(), "it may be ahead of the disk");
    advance(&inner, &seat).await.expect("it is read from the disk");
    assert_eq!(seat.sound_core().expect("sound").row.cursor, 0);
}

#[tokio::test]
async fn who_is_no_member_any_more_answers_nobody_who_wants_to_join() {
    let (_, [seat, _]) = inner().await;
    assert!(crate::invites::is_ours(&seat));

    seat.core().row.standing = toq_store::member::Standing::Removed;

    assert!(!crate::invites::is_ours(&seat));
}

#[tokio::test]
async fn what_a_removed_member_had_not_sent_is_not_waited_for() {
    let (inner, [seat, _]) = inner().await;
    with_core(&inner, &seat, |core, now| core.say(b"kept", None, now).map(|(_, step)| step)).await.expect("kept");
    assert_eq!(seat.flushed().now_or_never(), None);

    seat.core().row.standing = toq_store::member::Standing::Removed;
    let fuse = seat.core().fuse.clone();
    seat.settle(crate::core::Step::default(), &fuse);

    assert_eq!(seat.flushed().now_or_never(), Some(false));
}

#[tokio::test]
async fn a_relay_that_answers_nothing_is_not_waited_for_by_more_and_more_answers() {
    let (inner, [seat, _]) = inner().await;
    let line = Line::InProcess(Mock::plain().connect().expect("it is there"));
    *inner.line() = Some(line.clone());
    subscribe(&inner, &line, &seat).await.expect("asked");
    with_core(&inner, &seat, |core, now| core.say(b"hello", None, now).map(|(_, step)| step)).await.expect("kept");
    publish(&inner, &seat).await.expect("sent");

    assert_eq!(*seat.unsent.borrow(), 0, "it was sent");
    assert!(inner.routes().is_empty());
}

#[tokio::test]
async fn a_request_whose_invite_cannot_be_read_now_is_not_refused_for_ever() {
    let (inner, [seat, _]) = inner().await;
    let token = toq_api::relay::InviteToken::mint(&random());
    let request = toq_api::relay::PendingJoin {
        id: "one".to_owned(),
        identity: "bob".to_owned(),
        key_package: "AAAA".to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        invite_id: Some(token.id()),
        account: None,
        binding: None,
    };
    assert!(crate::invites::check(&inner, &seat, &request).expect("it can be read").is_err(), "it is not bound to an invite");

    drop(inner.take_store());

    assert!(crate::invites::check(&inner, &seat, &request).is_err());
}
