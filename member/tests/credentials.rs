//! Invites and keys that are over: refused with the documented text, and nothing that was said is lost.

mod office;
mod world;

use std::time::{Duration, Instant};

use office::{Office, key, with_key};
use toq_api::relay::{Credential, NewKey, RelayApi, Target};
use toq_member::{Admission, Client, Kind, State};
use world::{LONG, NAME, event, invite, open, refused, texts, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "the invite ends by the server's clock")]
async fn an_invite_that_has_ended_lets_nobody_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let secret = key(&office, "alice@example.com").await;
    let alice = open(with_key(&office, &secret, "alice", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let begun = Instant::now();
    let token = channel.invite(5, Duration::from_secs(1)).await.expect("made");
    let bob = open(with_key(&office, &secret, "bob", dir.path())).await;

    until("the invite has ended", || begun.elapsed() > Duration::from_millis(2100)).await;
    let (kind, text) = refused(bob.join_with_token(NAME, &token, LONG).await);

    assert!(matches!(kind, Kind::Refused | Kind::NotFound) && text.contains("expired"), "{kind:?} {text}");
    assert_eq!(channel.members().len(), 1);
    let fresh = channel.invite(1, Duration::from_secs(60)).await.expect("made");
    assert_eq!(bob.join_with_token(NAME, &fresh, LONG).await.expect("another one does").members().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_ends_the_connection_and_what_is_said_is_kept_until_there_is_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let owner = key(&office, "alice@example.com").await;
    let api = RelayApi::new(&Target::at(format!("http://{}", office.api)), Credential::Bearer(owner.clone())).expect("an address");
    let second = api.create_key(&NewKey { name: Some("laptop".to_owned()) }).await.expect("made");
    let alice = open(with_key(&office, &second.key, "alice", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let joined = invite(&channel, &open(with_key(&office, &owner, "bob", dir.path())).await).await;

    api.revoke_key(&second.id).await.expect("revoked");
    until("the connection has ended", || matches!(alice.state(), State::Away(error) if error.kind() == Kind::Auth)).await;
    event(&channel, "access_refused").await;
    channel.send(b"kept").await.expect("on the disk");
    let token = refused(channel.invite(1, Duration::from_secs(60)).await).0;
    alice.close().await;
    drop((alice, channel));
    let (kind, text) = refused(Client::open(with_key(&office, &second.key, "alice", dir.path())).await);
    let again = open(with_key(&office, &owner, "alice", dir.path())).await;

    assert_eq!((token, kind), (Kind::Auth, Kind::Auth), "{text}");
    assert_eq!(texts(&joined, 1).await, ["kept"]);
    let package = open(with_key(&office, &owner, "carol", dir.path())).await.key_package().await.expect("a key package");
    again.channel(NAME).expect("kept").add_member(&package).await.expect("the group goes on");
}
