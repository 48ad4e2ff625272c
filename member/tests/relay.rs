//! Members over the real relay: it goes away and comes back, and so do they, at every point of saying something.

mod office;
mod world;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use office::{Office, key, settings, with_key};
use toq_api::relay::{Credential, InviteToken, JoinRequest, JoinStatus, NewInvite, RelayApi, Target};
use toq_member::{Admission, Channel, Client, Kind};
use world::{LONG, NAME, event, invite, next, open, refused, texts, until};

async fn pair(grpc: SocketAddr, dir: &Path) -> (Client, Channel, Channel) {
    let (alice, bob) = (open(settings(grpc, "alice", dir)).await, open(settings(grpc, "bob", dir)).await);
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let joined = invite(&channel, &bob).await;
    (alice, channel, joined)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_go_on_when_the_relay_was_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut office = Office::open(dir.path().join("relay"), 0, true);
    let (_, alice, bob) = pair(office.grpc, dir.path()).await;
    alice.send(b"one").await.expect("sent");
    bob.rotate_key().await.expect("rotated");
    assert_eq!(texts(&bob, 1).await, ["one"]);
    assert!(alice.send_and_wait(b"two", LONG).await.expect("accepted") > 0);

    office.close();
    alice.send(b"while away").await.expect("kept");
    let again = Office::open(dir.path().join("relay"), office.grpc.port(), true);

    assert_eq!(texts(&bob, 2).await, ["two", "while away"]);
    alice.rotate_key().await.expect("rotated");
    until("one epoch", || alice.authenticator().ok() == bob.authenticator().ok()).await;
    drop(again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_away_is_given_everything_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, true);
    let (_client, alice, bob) = pair(office.grpc, dir.path()).await;
    drop(bob);
    let said: Vec<String> = (0..150).map(|n| format!("message {n}")).collect();
    for (n, text) in said.iter().enumerate() {
        if n % 50 == 25 {
            alice.rotate_key().await.expect("rotated");
        }
        alice.send(text.as_bytes()).await.expect("sent");
    }
    assert!(alice.flush(LONG).await);

    let bob = open(settings(office.grpc, "bob", dir.path())).await.channel(NAME).expect("kept");

    assert_eq!(texts(&bob, said.len()).await, said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_commit_at_once_end_in_one_epoch() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, true);
    let (_client, alice, bob) = pair(office.grpc, dir.path()).await;
    let carol = invite(&alice, &open(settings(office.grpc, "carol", dir.path())).await).await;

    for _ in 0..5 {
        let (one, two, three) = tokio::join!(alice.rotate_key(), bob.rotate_key(), carol.rotate_key());
        one.and(two).and(three).expect("all are made, one after the other");
    }

    world::until("one epoch", || {
        let of = |channel: &Channel| channel.authenticator().expect("a member");
        of(&alice) == of(&bob) && of(&bob) == of(&carol)
    })
    .await;
    assert!(alice.epoch() >= 17);
}

#[tokio::test]
async fn a_relay_that_wants_a_token_is_an_error_of_credentials() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);

    let (kind, text) = refused(Client::open(settings(office.grpc, "alice", dir.path())).await);

    assert!(kind == Kind::Auth && text.starts_with("auth error: "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_in_as_many_as_it_says_and_both_hear_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let key = key(&office, "alice@example.com").await;
    let alice = open(with_key(&office, &key, "alice", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let token = channel.invite(1, Duration::from_secs(60)).await.expect("made");

    let bob = open(with_key(&office, &key, "bob", dir.path())).await;
    let carol = open(with_key(&office, &key, "carol", dir.path())).await;
    let other = refused(bob.join_with_token("acme/team/other", &token, LONG).await);
    let joined = bob.join_with_token(NAME, &token, LONG).await.expect("joined");
    channel.send(b"hello bob").await.expect("sent");
    joined.send(b"hello alice").await.expect("sent");

    assert_eq!((texts(&joined, 1).await, texts(&channel, 1).await), (vec!["hello bob".to_owned()], vec!["hello alice".to_owned()]));
    // In another channel the invite is as unknown as any.
    assert!(matches!(other.0, Kind::NotFound | Kind::Refused), "{other:?}");
    assert_eq!(refused(carol.join_with_token(NAME, &token, LONG).await).0, Kind::Refused);
    assert!(matches!(refused(carol.join_with_token(NAME, "skt_inv_unknown", LONG).await).0, Kind::NotFound | Kind::Refused));
    assert_eq!(channel.members().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_several_invite_each_answers_those_who_come_with_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let key = key(&office, "alice@example.com").await;
    let alice = open(with_key(&office, &key, "alice", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let bob = open(with_key(&office, &key, "bob", dir.path())).await;
    let token = channel.invite(1, LONG).await.expect("made");
    let joined = bob.join_with_token(NAME, &token, LONG).await.expect("joined");
    let (mut guests, mut tokens) = (Vec::new(), Vec::new());
    for n in 0..3 {
        tokens.push(joined.invite(1, LONG).await.expect("made"));
        tokens.push(channel.invite(1, LONG).await.expect("made"));
        guests.push(open(with_key(&office, &key, &format!("guest {n}"), dir.path())).await);
        guests.push(open(with_key(&office, &key, &format!("other guest {n}"), dir.path())).await);
    }

    let joins = guests.iter().zip(&tokens).map(|(guest, token)| guest.join_with_token(NAME, token, LONG));
    let ends = futures_util::future::join_all(joins).await;

    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    until("all are in", || [&channel, &joined].iter().all(|channel| channel.members().len() == 8)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_waits_for_an_inviter_who_is_away_keeps_no_guest_of_others_out() {
    const MORE_THAN_A_PAGE: u32 = 130;
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let key = key(&office, "alice@example.com").await;
    let alice = open(with_key(&office, &key, "alice", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let token = channel.invite(1, LONG).await.expect("made");
    let api = RelayApi::new(&Target::at(format!("http://{}", office.api)), Credential::Bearer(key.clone())).expect("an address");
    // Nobody here has made this one, so nobody here may answer who comes with it.
    let away = InviteToken::mint(&[7; 48]);
    let ours = NewInvite {
        channel: NAME.to_owned(),
        max_uses: Some(MORE_THAN_A_PAGE),
        ttl_seconds: Some(600),
        token_id: Some(away.id()),
        secret_hash: Some(away.verifier()),
    };
    api.create_invite(&ours).await.expect("registered");
    for n in 0..MORE_THAN_A_PAGE {
        let package = n.to_be_bytes();
        let request = JoinRequest {
            channel: NAME.to_owned(),
            token_id: Some(away.id()),
            proof: Some(away.proof()),
            key_package: STANDARD.encode(package),
            identity: "one of many".to_owned(),
            binding: Some(away.binding(&package)),
            ..JoinRequest::default()
        };
        api.join(&request).await.expect("it waits");
    }

    let guest = open(with_key(&office, &key, "guest", dir.path())).await;
    guest.join_with_token(NAME, &token, LONG).await.expect("let in");

    assert_eq!(channel.members().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_come_with_one_token_at_once_one_gets_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let key = key(&office, "alice@example.com").await;
    let alice = open(with_key(&office, &key, "alice", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let token = channel.invite(1, Duration::from_secs(60)).await.expect("made");
    let mut joiners = Vec::new();
    for n in 0..6 {
        joiners.push(open(with_key(&office, &key, &format!("joiner {n}"), dir.path())).await);
    }

    let joins = joiners.iter().map(|joiner| joiner.join_with_token(NAME, &token, LONG));
    let ends = futures_util::future::join_all(joins).await;

    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1, "{ends:?}");
    assert_eq!(channel.members().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_package_that_is_not_bound_to_the_invite_is_refused_by_the_owner() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let key = key(&office, "alice@example.com").await;
    let alice = open(with_key(&office, &key, "alice", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let token = InviteToken::parse(&channel.invite(5, Duration::from_secs(60)).await.expect("made")).expect("a token");
    let mallory = open(with_key(&office, &key, "mallory", dir.path())).await;
    let package = mallory.key_package().await.expect("a key package");
    let api = RelayApi::new(&Target::at(format!("http://{}", office.api)), Credential::Bearer(key)).expect("an address");

    // As a server would that puts its own key package in the place of another.
    let request = JoinRequest {
        channel: NAME.to_owned(),
        token_id: Some(token.id()),
        proof: Some(token.proof()),
        key_package: STANDARD.encode(&package),
        identity: "mallory".to_owned(),
        binding: Some(token.binding(b"another key package")),
        ..JoinRequest::default()
    };
    let ticket = api.join(&request).await.expect("the server cannot tell");
    let answer = api.welcome(&ticket.request_id, Duration::from_secs(20)).await.expect("answered");
    let another = STANDARD.encode(mallory.key_package().await.expect("a key package"));
    let unbound = api.join(&JoinRequest { binding: None, key_package: another, ..request }).await;

    assert_eq!((answer.status, answer.welcome), (JoinStatus::Refused, None));
    assert!(unbound.is_err(), "the channel takes no unbound joins");
    assert_eq!(event(&channel, "join_refused").await.subject, b"mallory");
    assert_eq!(channel.members().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_account_was_not_let_in_is_told_why_and_does_not_wait_for_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let keys = [key(&office, "alice@example.com").await, key(&office, "bob@example.com").await];
    let alice = open(with_key(&office, &keys[0], "alice", dir.path())).await;
    let bob = open(with_key(&office, &keys[1], "bob", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    drop(channel.invite(1, Duration::from_secs(60)).await.expect("it is alice's by now"));

    // A Welcome in the hand is no admission by the relay.
    let joined = invite(&channel, &bob).await;
    let told = event(&joined, "subscription_refused").await;
    let (kind, text) = refused(joined.rotate_key().await);

    assert!(!told.detail.is_empty());
    assert!(kind == Kind::Auth && text.contains(&told.detail), "{text}");
}

#[tokio::test]
async fn a_key_that_is_none_is_an_error_of_credentials() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);

    let (kind, text) = refused(Client::open(with_key(&office, "sk_live_nobody", "alice", dir.path())).await);

    assert_eq!(kind, Kind::Auth, "{text}");
}

/// Not a test by itself: what [`nothing_is_lost_or_said_twice_where_the_process_is_killed`] starts and kills.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "it is told by its parent what to do")]
async fn child() {
    let (Ok(dir), Ok(grpc), Ok(round)) = (std::env::var("CHILD_DIR"), std::env::var("CHILD_GRPC"), std::env::var("CHILD_ROUND")) else {
        return;
    };
    let dir = PathBuf::from(dir);
    let alice = open(settings(grpc.parse().expect("an address"), "alice", &dir)).await;
    let channel = alice.channel(NAME).expect("kept");
    assert!(alice.connected(LONG).await);
    let mut said = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("said")).expect("made");
    for n in 0..20 {
        let text = format!("round {round} message {n}");
        channel.send(text.as_bytes()).await.expect("kept");
        writeln!(said, "{text}").expect("written");
    }
    assert!(channel.flush(LONG).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_said_twice_where_the_process_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, true);
    let (alice, channel, bob) = pair(office.grpc, dir.path()).await;
    alice.close().await;
    drop((alice, channel));

    let mut kills = 0;
    for point in ["decided", "committed", "publish", "published", "accepted"] {
        for nth in [1, 4] {
            let mut child = Command::new(std::env::current_exe().expect("this test"));
            child.args(["child", "--exact"]).env("CHILD_DIR", dir.path()).env("CHILD_GRPC", office.grpc.to_string());
            child.env("CHILD_ROUND", format!("{point} {nth}")).env("TOQ_MEMBER_CRASH", format!("{point}:{nth}"));
            let end = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic").expect("it starts");
            kills += u32::from(!end.status.success());
        }
    }
    let alice = open(settings(office.grpc, "alice", dir.path())).await;
    let channel = alice.channel(NAME).expect("kept");
    channel.send(b"the end").await.expect("sent");

    let mut heard = BTreeMap::new();
    loop {
        let message = next(&bob).await;
        let text = String::from_utf8(message.payload).expect("text");
        if text == "the end" {
            break;
        }
        *heard.entry(text).or_insert(0) += 1;
    }
    let said = std::fs::read_to_string(dir.path().join("said")).expect("written");
    assert_eq!(kills, 10, "every point was reached");
    for line in said.lines() {
        assert_eq!(heard.get(line), Some(&1), "{line}: said and not heard once");
    }
    assert!(heard.values().all(|times| *times == 1), "{heard:?}");
    assert!(channel.standing() == toq_member::Standing::Member);
    let package = open(settings(office.grpc, "carol", dir.path())).await.key_package().await.expect("a key package");
    channel.add_member(&package).await.expect("the group goes on");
}
