//! What the rows of invites, of requests to join and of their answers promise.

mod tenants;

use futures_util::future::join_all;
use tenants::{CHANNEL, NOW, channel, join, keeping, later, owner, tenant, uses};
use toq_store::relay::RelayStore;
use toq_store::relay::accounts::{Answer, Answered, JoinEnd, JoinSpec, Keeping, Standing, Withdrawn};

#[tokio::test]
async fn of_a_hundred_joins_at_once_an_invite_for_one_lets_in_exactly_one() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    let joiner = tenant(&store, 2).await;

    // All of them wait before the writer has decided about the first.
    let joins = (0..100).map(|package| joiner.join(join(1, package + 100), NOW));
    let ends: Vec<JoinEnd> = join_all(joins).await.into_iter().map(|end| end.expect("decided")).collect();

    assert_eq!(ends.iter().filter(|end| matches!(end, JoinEnd::Accepted(_))).count(), 1);
    assert_eq!(ends.iter().filter(|end| **end == JoinEnd::UsedUp).count(), 99);
    assert_eq!(owner.pending(CHANNEL, 0, 200, 1 << 20, NOW).expect("read").len(), 1);
}

#[tokio::test]
async fn the_same_join_again_is_the_same_request_and_spends_nothing() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 2).await;

    let first = owner.join(join(1, 3), NOW).await.expect("decided");
    let again = owner.join(JoinSpec { id: [77; 16], ..join(1, 3) }, NOW).await.expect("decided");

    assert_eq!((first, again), (JoinEnd::Accepted([3; 16]), JoinEnd::Accepted([3; 16])));
    assert_eq!(uses(&owner).await, 1);
}

#[tokio::test]
async fn a_request_that_nobody_has_begun_to_answer_is_withdrawn_with_its_use_and_by_its_maker_alone() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    let joiner = tenant(&store, 2).await;
    joiner.join(join(1, 3), NOW).await.expect("decided");
    assert_eq!(joiner.join(join(1, 4), NOW).await.expect("decided"), JoinEnd::UsedUp);

    assert_eq!(owner.withdraw([3; 16], NOW).await.expect("decided"), Withdrawn::Unknown);
    assert_eq!(joiner.withdraw([3; 16], NOW).await.expect("decided"), Withdrawn::Done);
    assert_eq!(joiner.withdraw([3; 16], NOW).await.expect("decided"), Withdrawn::Unknown);

    assert_eq!((uses(&owner).await, owner.pending(CHANNEL, 0, 9, 1 << 20, NOW).expect("read").len()), (0, 0));
    assert_eq!(joiner.standing([3; 16], NOW).expect("read"), None);
    assert_eq!(owner.take_up(vec![[3; 16]], NOW, later(60)).await.expect("decided"), [[0; 16]; 0], "whoever looked before hears of it");
    let late = owner.answer([3; 16], Answer::Welcome(vec![1]), NOW, keeping()).await.expect("decided");
    assert_eq!(late, Answered::Unknown);
    assert_eq!(joiner.join(join(1, 4), NOW).await.expect("decided"), JoinEnd::Accepted([4; 16]));
}

#[tokio::test]
async fn a_request_that_is_being_answered_is_not_withdrawn_and_does_not_end_meanwhile() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    let joiner = tenant(&store, 2).await;
    joiner.join(join(1, 3), NOW).await.expect("decided");

    assert_eq!(joiner.take_up(vec![[3; 16]], NOW, later(9000)).await.expect("decided"), [[0; 16]; 0], "it is the owner's to answer");
    for _ in 0..2 {
        assert_eq!(owner.take_up(vec![[7; 16], [3; 16]], NOW, later(9000)).await.expect("decided"), [[3; 16]]);
    }
    assert_eq!(joiner.withdraw([3; 16], NOW).await.expect("decided"), Withdrawn::TakenUp);
    assert_eq!(uses(&owner).await, 1);
    assert_eq!(store.accounts().trim(later(8999)).await.expect("trimmed").requests, 0);
    let welcome = Answer::Welcome(vec![1]);
    assert_eq!(
        owner.answer([3; 16], welcome.clone(), later(8999), Keeping { until: later(9999), ..keeping() }).await.expect("decided"),
        Answered::Stored
    );

    assert_eq!(owner.take_up(vec![[3; 16]], NOW, later(9000)).await.expect("decided"), [[0; 16]; 0], "it is answered");
    assert_eq!(joiner.withdraw([3; 16], NOW).await.expect("decided"), Withdrawn::TakenUp);
    assert_eq!(joiner.standing([3; 16], NOW).expect("read"), Some(Standing::Answered(welcome)));
}

#[tokio::test]
async fn somebody_elses_key_package_does_not_open_their_request() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 2).await;
    let thief = tenant(&store, 2).await;
    owner.join(join(1, 3), NOW).await.expect("decided");

    assert_eq!(thief.join(join(1, 3), NOW).await.expect("decided"), JoinEnd::UsedUp);
    assert_eq!(thief.standing([3; 16], NOW).expect("read"), None);
}

#[tokio::test]
async fn a_join_that_is_refused_spends_nothing() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    let other = "acme/team/other".to_owned();
    owner.claim(channel(other.clone(), [8; 16], None), NOW).await.expect("stored");

    for (spec, now, wanted) in [
        (JoinSpec { channel: other, ..join(1, 3) }, NOW, JoinEnd::Unknown),
        (JoinSpec { verifier: [0; 32], ..join(1, 3) }, NOW, JoinEnd::Unknown),
        (JoinSpec { invite: [0; 16], ..join(1, 3) }, NOW, JoinEnd::Unknown),
        (join(1, 3), later(3600), JoinEnd::Expired),
        (JoinSpec { most: 0, ..join(1, 3) }, NOW, JoinEnd::Full),
    ] {
        assert_eq!(owner.join(spec, now).await.expect("decided"), wanted);
    }
    owner.claim(channel(CHANNEL.to_owned(), [9; 16], Some(false)), NOW).await.expect("stored");
    assert_eq!(owner.join(join(1, 3), NOW).await.expect("decided"), JoinEnd::Unbound);

    assert_eq!(uses(&owner).await, 0);
    let bound = JoinSpec { binding: Some("x".to_owned()), ..join(1, 3) };
    assert_eq!(owner.join(bound, NOW).await.expect("decided"), JoinEnd::Accepted([3; 16]));
}

#[tokio::test]
async fn a_revoked_invite_is_as_if_it_never_was() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    let stranger = tenant(&store, 2).await;

    assert!(!stranger.revoke_invite([1; 16]).await.expect("decided"));
    assert!(owner.revoke_invite([1; 16]).await.expect("decided"));
    assert_eq!(owner.join(join(1, 3), NOW).await.expect("decided"), JoinEnd::Unknown);
}

#[tokio::test]
async fn an_answer_reaches_its_joiner_and_is_given_once() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    owner.join(join(1, 3), NOW).await.expect("decided");
    assert_eq!(owner.standing([3; 16], NOW).expect("read"), Some(Standing::Pending));
    let answer = |answer: Answer| owner.answer([3; 16], answer, NOW, keeping());
    let welcome = Answer::Welcome(b"welcome".to_vec());

    assert_eq!(answer(welcome.clone()).await.expect("decided"), Answered::Stored);
    assert_eq!(answer(welcome.clone()).await.expect("decided"), Answered::Stored);
    assert_eq!(answer(Answer::Welcome(b"another".to_vec())).await.expect("decided"), Answered::Otherwise);

    assert_eq!(owner.standing([3; 16], NOW).expect("read"), Some(Standing::Answered(welcome)));
    assert_eq!(owner.pending(CHANNEL, 0, 10, 1 << 20, NOW).expect("read"), []);
    assert_eq!(owner.standing([3; 16], later(60)).expect("read"), None);
}

#[tokio::test]
async fn what_has_ended_is_gone_before_it_is_removed_and_after() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 2).await;
    owner.join(join(1, 3), NOW).await.expect("decided");

    assert_eq!(owner.pending(CHANNEL, 0, 10, 1 << 20, later(600)).expect("read"), []);
    let early = store.accounts().trim(later(599)).await.expect("trimmed");
    let requests = store.accounts().trim(later(600)).await.expect("trimmed");
    let invites = store.accounts().trim(later(3600)).await.expect("trimmed");

    assert_eq!((early.invites, early.requests), (0, 0));
    assert_eq!((requests.invites, requests.requests), (0, 1));
    assert_eq!((invites.invites, invites.requests), (1, 0));
    assert_eq!(owner.request([3; 16]).expect("read"), None);
    assert_eq!(owner.join(join(1, 4), NOW).await.expect("decided"), JoinEnd::Unknown);
}

#[tokio::test]
async fn a_page_of_requests_is_bounded_in_number_and_in_bytes() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 10).await;
    for package in 10..15 {
        owner.join(join(1, package), later(u64::from(package))).await.expect("decided");
    }

    let ids = |most, bytes| {
        let page = owner.pending(CHANNEL, 0, most, bytes, NOW).expect("read");
        page.iter().map(|join| join.id[0]).collect::<Vec<_>>()
    };
    assert_eq!(ids(2, 1 << 20), [10, 11]);
    assert_eq!(ids(10, 900), [10, 11, 12]);
    assert_eq!(ids(10, 1), [10]);
}

#[tokio::test]
async fn answers_that_nobody_fetches_have_a_limit_and_make_room_when_they_end() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 100).await;
    let keeping = Keeping { until: later(60), most: 10_000 };
    for package in 3..9 {
        owner.join(join(1, package), NOW).await.expect("decided");
    }
    let answer = async |package: u8, answer, now| owner.answer([package; 16], answer, now, keeping).await.expect("decided");
    let welcome = || Answer::Welcome(vec![7; 4000]);

    assert_eq!(answer(3, welcome(), NOW).await, Answered::Stored);
    assert_eq!(answer(4, welcome(), NOW).await, Answered::Full, "each counts with its rows");
    for package in 5..8 {
        assert_eq!(answer(package, Answer::Refused("no".to_owned()), NOW).await, Answered::Stored);
    }
    assert_eq!(answer(3, welcome(), NOW).await, Answered::Stored, "the same answer again costs nothing");
    assert_eq!(owner.standing([4; 16], NOW).expect("read"), Some(Standing::Pending), "what was not taken is still asked for");

    store.accounts().trim(later(60)).await.expect("trimmed");
    assert_eq!(answer(4, welcome(), later(61)).await, Answered::Stored);
}
