//! What the rows of accounts, invites and requests promise.

use std::time::Duration;

use futures_util::future::join_all;
use toq_protocol::time::Timestamp;
use toq_store::StoreError;
use toq_store::relay::accounts::{
    AccountId, Answer, Answered, ChannelSpec, Claimed, InviteSpec, JoinEnd, JoinSpec, Keeping, KeySpec, NewAccount, Opened, PlanTier,
    Registered, Standing, Tenant, Withdrawn,
};
use toq_store::relay::{Append, Cut, Mark, RelayStore};

const CHANNEL: &str = "acme/team/general";
const NOW: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn key(n: u8) -> KeySpec {
    KeySpec { id: [n; 16], hash: [n; 32], prefix: "sk_live_0000".to_owned(), name: "default".to_owned() }
}

async fn tenant(store: &RelayStore, n: u8) -> Tenant {
    let id = [n; 16];
    let new = NewAccount { id, email: format!("{n}@example.org"), name: String::new(), plan: PlanTier::Free, most: 100 };
    assert_eq!(store.accounts().open(new, key(n), NOW).await.expect("stored"), Opened::Opened);
    store.accounts().of(AccountId(id))
}

/// A channel of whoever registers it; nobody has published to it.
fn channel(name: String, id: [u8; 16], unbound_joins: Option<bool>) -> ChannelSpec {
    ChannelSpec { name, id, unbound_joins, most: 10, publisher: Some("nobody in the log".to_owned()) }
}

fn keeping() -> Keeping {
    Keeping { until: later(60), most: 1 << 20 }
}

fn invite(n: u8, max_uses: u32) -> InviteSpec {
    InviteSpec { id: [n; 16], channel: CHANNEL.to_owned(), verifier: [n; 32], max_uses, expires_at: later(3600), most: 10 }
}

/// A join with invite `n` and key package `package`.
fn join(n: u8, package: u8) -> JoinSpec {
    JoinSpec {
        id: [package; 16],
        channel: CHANNEL.to_owned(),
        invite: [n; 16],
        verifier: [n; 32],
        identity: "bob".to_owned(),
        package: vec![package; 300],
        package_hash: [package; 32],
        binding: None,
        expires_at: later(600),
        most: 200,
    }
}

/// An account that owns the channel, and an invite to it that can be used so often.
async fn owner(store: &RelayStore, max_uses: u32) -> Tenant {
    let owner = tenant(store, 1).await;
    assert!(matches!(owner.claim(channel(CHANNEL.to_owned(), [9; 16], None), NOW).await, Ok(Claimed::Yours(_))));
    assert!(matches!(owner.invite(invite(1, max_uses), NOW).await, Ok(Registered::Usable(_))));
    owner
}

async fn uses(owner: &Tenant) -> u32 {
    owner.invites(CHANNEL, NOW).expect("read").first().map_or(0, |invite| invite.row.uses)
}

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
async fn an_account_sees_nothing_of_another() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    let stranger = tenant(&store, 2).await;
    owner.join(join(1, 3), NOW).await.expect("decided");

    assert_eq!(stranger.channel(CHANNEL).expect("read"), None);
    assert_eq!(stranger.channels().expect("read"), []);
    assert_eq!(stranger.claim(channel(CHANNEL.to_owned(), [5; 16], None), NOW).await.expect("decided"), Claimed::Taken);
    assert_eq!(stranger.invite(invite(2, 1), NOW).await.expect("decided"), Registered::NoChannel);
    assert_eq!(stranger.invites(CHANNEL, NOW).expect("read"), []);
    assert_eq!(stranger.pending(CHANNEL, 0, 10, 1 << 20, NOW).expect("read"), []);
    let answer = stranger.answer([3; 16], Answer::Refused("no".to_owned()), NOW, keeping()).await;
    assert_eq!(answer.expect("decided"), Answered::Unknown);
    assert_eq!(stranger.standing([3; 16], NOW).expect("read"), None);
    assert!(!stranger.revoke_key([1; 16], NOW, later(60)).await.expect("decided"));
    assert_eq!(stranger.keys().expect("read").len(), 1);
}

#[tokio::test]
async fn who_was_let_in_may_take_part_and_others_may_not() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    let (guest, stranger) = (tenant(&store, 2).await, tenant(&store, 3).await);
    let admits = |tenant: &Tenant| store.accounts().admits(CHANNEL, tenant.account()).expect("read");
    assert!(admits(&owner) && !admits(&guest));

    guest.join(join(1, 3), NOW).await.expect("decided");
    assert!(!admits(&guest), "asking is not enough");
    owner.answer([3; 16], Answer::Welcome(b"welcome".to_vec()), NOW, keeping()).await.expect("decided");

    assert!(admits(&guest) && !admits(&stranger));
    assert!(store.accounts().admits("acme/team/nobodys", stranger.account()).expect("read"));
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
async fn a_revoked_key_opens_nothing_from_then_on_also_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || RelayStore::open(dir.path(), toq_store::Options::default());
    let store = open().await.expect("free");
    let tenant = tenant(&store, 1).await;
    assert!(tenant.add_key(key(7), 2, NOW).await.expect("decided"));
    assert!(!tenant.add_key(key(8), 2, NOW).await.expect("decided"), "two is the most here");
    assert_eq!(store.accounts().present([7; 32], NOW).await.expect("read").map(|known| known.key), Some([7; 16]));

    assert!(tenant.revoke_key([7; 16], NOW, later(3600)).await.expect("decided"));
    assert!(!tenant.revoke_key([7; 16], NOW, later(3600)).await.expect("decided"));
    drop(tenant);
    store.close();
    let store = open().await.expect("closed before");

    assert_eq!(store.accounts().present([7; 32], NOW).await.expect("read"), None);
    assert_eq!(store.accounts().revocations().expect("read"), [([7; 16], later(3600))]);
    assert_eq!(store.accounts().of(AccountId([1; 16])).keys().expect("read").len(), 1);
    store.accounts().trim(later(3600)).await.expect("trimmed");
    assert_eq!(store.accounts().revocations().expect("read"), []);
    assert_eq!(store.accounts().present([7; 32], later(3600)).await.expect("read"), None, "it is forgotten, and still opens nothing");
    assert!(!store.accounts().works(AccountId([1; 16]), [7; 16]).expect("read"));
    assert!(store.accounts().works(AccountId([1; 16]), [1; 16]).expect("read"));
}

#[tokio::test]
async fn who_makes_and_revokes_keys_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = RelayStore::open(dir.path(), toq_store::Options::default()).await.expect("free");
    let tenant = tenant(&store, 1).await;
    for n in 2..200 {
        assert!(tenant.add_key(key(n), 2, NOW).await.expect("decided"), "one works besides");
        assert!(tenant.revoke_key([n; 16], NOW, later(60)).await.expect("decided"));
    }
    assert!(tenant.has_revoked([2; 16]).expect("read") && !tenant.has_revoked([1; 16]).expect("read"));

    store.accounts().trim(later(60)).await.expect("trimmed");

    assert!(!tenant.has_revoked([2; 16]).expect("read"));
    assert!(tenant.add_key(key(2), 2, NOW).await.expect("decided"), "its hash and its id are free");
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

#[tokio::test]
async fn only_who_owns_a_channel_now_lets_anybody_in() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 2).await;
    let (joiner, heir) = (tenant(&store, 2).await, tenant(&store, 3).await);
    joiner.join(join(1, 3), NOW).await.expect("decided");
    joiner.join(join(1, 4), NOW).await.expect("decided");
    assert_eq!(owner.answer([3; 16], Answer::Welcome(vec![1]), NOW, keeping()).await.expect("decided"), Answered::Stored);

    assert!(store.accounts().forget_channel(CHANNEL.to_owned()).await.expect("decided"));
    assert!(matches!(heir.claim(channel(CHANNEL.to_owned(), [8; 16], None), NOW).await, Ok(Claimed::Yours(_))));

    assert_eq!(owner.answer([4; 16], Answer::Welcome(vec![1]), NOW, keeping()).await.expect("decided"), Answered::Unknown);
    assert_eq!(joiner.standing([4; 16], NOW).expect("read"), None, "the request went with its channel");
    assert!(!store.accounts().admits(CHANNEL, joiner.account()).expect("read"));
}

#[tokio::test]
async fn an_owner_shuts_out_whom_it_let_in() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    let (guest, stranger) = (tenant(&store, 2).await, tenant(&store, 3).await);
    guest.join(join(1, 3), NOW).await.expect("decided");
    owner.answer([3; 16], Answer::Welcome(vec![1]), NOW, keeping()).await.expect("decided");
    assert_eq!(owner.admitted(CHANNEL).expect("read"), Some(vec![(guest.account(), NOW)]));
    assert_eq!(stranger.admitted(CHANNEL).expect("read"), None);

    assert!(!stranger.shut_out(CHANNEL.to_owned(), guest.account()).await.expect("decided"));
    assert!(store.accounts().admits(CHANNEL, guest.account()).expect("read"));
    assert!(owner.shut_out(CHANNEL.to_owned(), guest.account()).await.expect("decided"));

    assert!(!store.accounts().admits(CHANNEL, guest.account()).expect("read"));
    assert!(!owner.shut_out(CHANNEL.to_owned(), guest.account()).await.expect("decided"));
}

#[tokio::test]
async fn a_channel_that_others_have_begun_to_use_is_not_given_away() {
    let store = RelayStore::in_memory().await.expect("memory");
    let (ann, bob) = (tenant(&store, 1).await, tenant(&store, 2).await);
    let append = |account: &str| Append {
        channel: CHANNEL.into(),
        tag: [1; 16],
        is_tagged: false,
        mark: Mark::Plain,
        epoch: 0,
        seen: 0,
        at: 5,
        account: account.into(),
        month: 202_611,
        messages_per_month: u64::MAX,
        channels: u64::MAX,
        bytes_per_channel: u64::MAX,
        frame: vec![0; 9],
    };
    store.log().append(vec![append("ann")], Duration::ZERO).await.expect("written");
    let of =
        |publisher: Option<&str>| ChannelSpec { publisher: publisher.map(str::to_owned), ..channel(CHANNEL.to_owned(), [9; 16], None) };

    assert_eq!(bob.claim(of(Some("bob")), NOW).await.expect("decided"), Claimed::Taken);
    store.log().append(vec![append("bob")], Duration::ZERO).await.expect("written");
    assert_eq!(bob.claim(of(Some("bob")), NOW).await.expect("decided"), Claimed::Taken, "who has joined in has not begun it");
    assert!(matches!(ann.claim(of(Some("ann")), NOW).await, Ok(Claimed::Yours(_))));

    store.accounts().forget_channel(CHANNEL.to_owned()).await.expect("decided");
    assert!(matches!(bob.claim(of(None), NOW).await, Ok(Claimed::Yours(_))), "the operator gives it to whom it likes");
    store.accounts().forget_channel(CHANNEL.to_owned()).await.expect("decided");
    store.log().trim(None, Cut { before: 6, rows: 10 }).await.expect("trimmed");
    assert!(matches!(bob.claim(of(Some("bob")), NOW).await, Ok(Claimed::Yours(_))), "what is not used any more is nobody's");
}

#[tokio::test]
async fn the_operators_account_is_known_by_its_role_and_not_by_its_name() {
    let store = RelayStore::in_memory().await.expect("memory");
    let new = |id: u8, email: &str| NewAccount {
        id: [id; 16],
        email: email.to_owned(),
        name: String::new(),
        plan: PlanTier::Enterprise,
        most: 9,
    };
    let _squatter = tenant(&store, 1).await;

    assert_eq!(store.accounts().operators().expect("read"), None);
    assert_eq!(store.accounts().open_operators(new(2, "1@Example.org"), NOW).await.expect("decided"), Opened::Taken);
    assert_eq!(store.accounts().operators().expect("read"), None, "an account that anybody could open is not the operator's");
    assert_eq!(store.accounts().open_operators(new(3, "op@localhost"), NOW).await.expect("decided"), Opened::Opened);

    assert_eq!(store.accounts().operators().expect("read"), Some(AccountId([3; 16])));
    assert_eq!(store.accounts().of(AccountId([3; 16])).keys().expect("read"), []);
}

#[tokio::test]
async fn key_packages_and_welcomes_are_refused_where_messages_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = toq_store::Options { quota: 8 << 20, ..toq_store::Options::default() };
    let store = RelayStore::open(dir.path(), options).await.expect("free");
    let owner = owner(&store, 1000).await;
    let keeping = Keeping { until: later(60), most: u64::MAX };
    let mut taken: u32 = 0;
    let refused = loop {
        let n = taken.to_be_bytes();
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n);
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n);
        match owner.join(JoinSpec { id, package_hash: hash, ..join(1, 0) }, NOW).await {
            Ok(_) => {}
            Err(error) => break error,
        }
        match owner.answer(id, Answer::Welcome(vec![7; 256 << 10]), NOW, keeping).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 40, "ten megabytes of Welcomes in a file of eight");
    };

    assert!(matches!(refused, StoreError::Full), "{refused}");
    assert!(taken > 4, "{taken}");
    let mut ended = store.accounts().trim(later(60)).await.expect("trimmed");
    while ended.is_more {
        ended = store.accounts().trim(later(60)).await.expect("trimmed");
    }
    let again = JoinSpec { id: [0xee; 16], package_hash: [0xee; 32], ..join(1, 0) };
    assert_eq!(owner.join(again, later(60)).await.expect("there is room again"), JoinEnd::Accepted([0xee; 16]));
}

#[tokio::test]
async fn an_address_has_one_account_whatever_the_case_of_its_letters() {
    let store = RelayStore::in_memory().await.expect("memory");
    let new =
        |id: u8, email: &str, most| NewAccount { id: [id; 16], email: email.to_owned(), name: String::new(), plan: PlanTier::Free, most };
    let open = async |new: NewAccount, n| store.accounts().open(new, key(n), NOW).await.expect("decided");

    assert_eq!(open(new(1, "Ann@example.org", 2), 1).await, Opened::Opened);
    assert_eq!(open(new(2, "ann@EXAMPLE.org", 2), 2).await, Opened::Taken);
    assert_eq!(open(new(3, "bob@example.org", 2), 3).await, Opened::Opened);
    assert_eq!(open(new(4, "eve@example.org", 2), 4).await, Opened::Full);
    assert_eq!(store.accounts().present([2; 32], NOW).await.expect("read"), None, "a refused account leaves no key");
}

#[tokio::test]
async fn what_goes_makes_room_for_another_and_rows_of_before_are_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || RelayStore::open(dir.path(), toq_store::Options::default());
    let store = open().await.expect("a file");
    let full = owner(&store, 9).await;
    let of = |name: &str, id: u8, most| ChannelSpec { most, ..channel(format!("acme/team/{name}"), [id; 16], None) };
    assert!(matches!(full.claim(of("second", 2, 2), NOW).await, Ok(Claimed::Yours(_))));
    assert!(matches!(full.claim(of("third", 3, 2), NOW).await, Ok(Claimed::Full)));
    store.accounts().forget_channel("acme/team/second".to_owned()).await.expect("forgotten");
    assert!(matches!(full.claim(of("third", 3, 2), NOW).await, Ok(Claimed::Yours(_))));

    let one = |package| JoinSpec { most: 1, ..join(1, package) };
    assert_eq!(full.join(one(3), NOW).await.expect("decided"), JoinEnd::Accepted([3; 16]));
    assert_eq!(full.join(one(4), NOW).await.expect("decided"), JoinEnd::Full);
    full.withdraw([3; 16], NOW).await.expect("decided");
    assert_eq!(full.join(one(4), NOW).await.expect("decided"), JoinEnd::Accepted([4; 16]));
    let two = |n| InviteSpec { most: 2, ..invite(n, 1) };
    assert!(matches!(full.invite(two(2), NOW).await, Ok(Registered::Usable(_))));
    assert!(matches!(full.invite(two(3), NOW).await, Ok(Registered::Full)));
    assert!(full.revoke_invite([2; 16]).await.expect("revoked"));
    assert!(matches!(full.invite(two(3), NOW).await, Ok(Registered::Usable(_))));

    let account = full.account();
    drop(full);
    store.close();
    let file = redb::Database::open(dir.path().join(toq_store::relay::FILE)).expect("a database");
    let change = file.begin_write().expect("nobody writes");
    let counts = redb::TableDefinition::<(u8, &[u8]), u64>::new("counts");
    assert!(change.delete_table(counts).expect("a table"));
    change.commit().expect("written");
    drop(file);
    let store = open().await.expect("a file");
    let full = store.accounts().of(account);

    assert!(matches!(full.claim(of("fourth", 4, 2), NOW).await, Ok(Claimed::Full)));
    assert_eq!(full.join(one(5), NOW).await.expect("decided"), JoinEnd::Full);
    assert!(matches!(full.invite(two(4), NOW).await, Ok(Registered::Full)));
}
