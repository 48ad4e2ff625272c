//! What the rows of accounts, invites and requests promise.

use std::time::Duration;

use futures_util::future::join_all;
use toq_protocol::time::Timestamp;
use toq_store::relay::RelayStore;
use toq_store::relay::accounts::{
    AccountId, Answer, Answered, Claimed, InviteSpec, JoinEnd, JoinSpec, KeySpec, NewAccount, Opened, PlanTier, Registered, Standing,
    Tenant,
};

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
    assert!(matches!(owner.claim(CHANNEL.to_owned(), [9; 16], None, 10, NOW).await, Ok(Claimed::Yours(_))));
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
    assert_eq!(owner.pending(CHANNEL, 200, 1 << 20, NOW).expect("read").len(), 1);
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
    owner.claim(other.clone(), [8; 16], None, 10, NOW).await.expect("stored");

    for (spec, now, wanted) in [
        (JoinSpec { channel: other, ..join(1, 3) }, NOW, JoinEnd::Unknown),
        (JoinSpec { verifier: [0; 32], ..join(1, 3) }, NOW, JoinEnd::Unknown),
        (JoinSpec { invite: [0; 16], ..join(1, 3) }, NOW, JoinEnd::Unknown),
        (join(1, 3), later(3600), JoinEnd::Expired),
        (JoinSpec { most: 0, ..join(1, 3) }, NOW, JoinEnd::Full),
    ] {
        assert_eq!(owner.join(spec, now).await.expect("decided"), wanted);
    }
    owner.claim(CHANNEL.to_owned(), [9; 16], Some(false), 10, NOW).await.expect("stored");
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
    assert_eq!(stranger.claim(CHANNEL.to_owned(), [5; 16], None, 10, NOW).await.expect("decided"), Claimed::Taken);
    assert_eq!(stranger.invite(invite(2, 1), NOW).await.expect("decided"), Registered::NoChannel);
    assert_eq!(stranger.invites(CHANNEL, NOW).expect("read"), []);
    assert_eq!(stranger.pending(CHANNEL, 10, 1 << 20, NOW).expect("read"), []);
    let answer = stranger.answer([3; 16], Answer::Refused("no".to_owned()), NOW, later(60)).await;
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
    owner.answer([3; 16], Answer::Welcome(b"welcome".to_vec()), NOW, later(60)).await.expect("decided");

    assert!(admits(&guest) && !admits(&stranger));
    assert!(store.accounts().admits("acme/team/nobodys", stranger.account()).expect("read"));
}

#[tokio::test]
async fn an_answer_reaches_its_joiner_and_is_given_once() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 1).await;
    owner.join(join(1, 3), NOW).await.expect("decided");
    assert_eq!(owner.standing([3; 16], NOW).expect("read"), Some(Standing::Pending));
    let answer = |answer: Answer| owner.answer([3; 16], answer, NOW, later(60));
    let welcome = Answer::Welcome(b"welcome".to_vec());

    assert_eq!(answer(welcome.clone()).await.expect("decided"), Answered::Stored);
    assert_eq!(answer(welcome.clone()).await.expect("decided"), Answered::Stored);
    assert_eq!(answer(Answer::Welcome(b"another".to_vec())).await.expect("decided"), Answered::Otherwise);

    assert_eq!(owner.standing([3; 16], NOW).expect("read"), Some(Standing::Answered(welcome)));
    assert_eq!(owner.pending(CHANNEL, 10, 1 << 20, NOW).expect("read"), []);
    assert_eq!(owner.standing([3; 16], later(60)).expect("read"), None);
}

#[tokio::test]
async fn what_has_ended_is_gone_before_it_is_removed_and_after() {
    let store = RelayStore::in_memory().await.expect("memory");
    let owner = owner(&store, 2).await;
    owner.join(join(1, 3), NOW).await.expect("decided");

    assert_eq!(owner.pending(CHANNEL, 10, 1 << 20, later(600)).expect("read"), []);
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
        let page = owner.pending(CHANNEL, most, bytes, NOW).expect("read");
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
