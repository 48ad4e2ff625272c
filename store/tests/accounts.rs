//! What the rows of accounts, their keys and their channels promise.

mod tenants;

use std::time::Duration;
use tenants::{CHANNEL, NOW, channel, invite, join, keeping, key, later, owner, tenant};
use toq_store::StoreError;
use toq_store::relay::accounts::{
    AccountId, Answer, Answered, ChannelSpec, Claimed, InviteSpec, JoinEnd, JoinSpec, Keeping, NewAccount, Opened, PlanTier, Registered,
    Tenant,
};
use toq_store::relay::{Append, Cut, Mark, RelayStore};

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

    assert!(matches!(refused, StoreError::OverQuota { .. }), "{refused}");
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
