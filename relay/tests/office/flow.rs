//! From an invite to a Welcome.

use std::time::Duration;

use futures_util::future::join_all;
use toq_api::relay::{Answering, Credential, InviteToken, JoinRequest, JoinStatus, NewChannel, NewInvite, Refusal, WelcomeSubmission};

use super::world::{CHANNEL, PACKAGE, World, bound_join, holds, invite, join_with, refused};

const AT_ONCE: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(30);

fn welcome(request_id: &str) -> WelcomeSubmission {
    WelcomeSubmission { request_id: request_id.to_owned(), welcome: "d2VsY29tZQ==".to_owned() }
}

#[actix_web::test]
async fn an_invite_that_the_server_made_leads_to_a_welcome() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let (joiner, _) = world.account("joiner").await;
    let token = owner.create_invite(&invite(1)).await.expect("made").token.expect("the server made it");

    let id = joiner.join(&join_with(&token)).await.expect("taken").request_id;
    assert_eq!(joiner.welcome(&id, AT_ONCE).await.expect("read").status, JoinStatus::Pending);
    let pending = owner.pending(CHANNEL, AT_ONCE).await.expect("read").requests;
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].id.as_str(), pending[0].identity.as_str(), pending[0].key_package.as_str()), (id.as_str(), "bob", PACKAGE));
    assert_eq!(owner.submit_welcome(&welcome(&id)).await.expect("stored").status, JoinStatus::Completed);

    let answer = joiner.welcome(&id, AT_ONCE).await.expect("read");
    assert_eq!((answer.status, answer.welcome.as_deref()), (JoinStatus::Completed, Some("d2VsY29tZQ==")));
    assert_eq!(owner.pending(CHANNEL, AT_ONCE).await.expect("read").requests, []);
    world.stop().await;
}

#[actix_web::test]
async fn an_invite_that_a_member_made_is_never_seen_by_the_server_and_binds_the_key_package() {
    let world = World::new().await;
    let owner = world.owner(Some(false)).await;
    let token = InviteToken::mint(&[42; 48]);
    let ours = NewInvite { token_id: Some(token.id()), secret_hash: Some(token.verifier()), ..invite(1) };

    let created = owner.create_invite(&ours).await.expect("registered");
    assert_eq!((created.token, created.id), (None, Some(token.id())));
    let again = owner.create_invite(&ours).await.expect("registering it again is no error");
    assert_eq!(again.expires_at, created.expires_at);
    let unbound = JoinRequest { binding: None, ..bound_join(&token) };
    assert_eq!(refused(owner.join(&unbound).await), (400, "bad_request".to_owned()));
    let id = owner.join(&bound_join(&token)).await.expect("taken").request_id;

    let pending = owner.pending(CHANNEL, AT_ONCE).await.expect("read").requests.remove(0);
    assert_eq!((pending.id, pending.invite_id), (id, Some(token.id())));
    let binding = pending.binding.expect("it came with one");
    assert!(token.binds(b"\x00\x01\x00\x05key package", &binding) && !token.binds(b"\x00\x01\x00\x05key packagf", &binding));
    let dir = world.stop().await;
    for secret in [token.text(), &token.proof(), &token.text()[30..]] {
        assert!(!holds(dir.path(), secret), "the database has a part of the invite");
    }
    assert!(holds(dir.path(), CHANNEL), "the search finds what is there");
}

#[actix_web::test]
async fn no_key_and_no_invite_stands_in_the_database() {
    let world = World::new().await;
    let (owner, key) = world.account("owner").await;
    owner.register_channel(&NewChannel { name: CHANNEL.to_owned(), unbound_joins: None }).await.expect("registered");
    let token = owner.create_invite(&invite(1)).await.expect("made").token.expect("the server made it");
    let jwt = owner.token().await.expect("exchanged").token;
    owner.join(&join_with(&token)).await.expect("taken");

    let dir = world.stop().await;

    let signature = jwt.rsplit('.').next().expect("three parts").to_owned();
    for secret in [&key[8..], &token[8..], &token[30..], &jwt, &signature] {
        assert!(!holds(dir.path(), secret));
    }
    assert!(holds(dir.path(), &key[..12]), "the prefix is kept, to tell keys apart");
}

#[actix_web::test]
async fn of_a_hundred_joins_at_once_an_invite_for_one_lets_in_exactly_one() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let token = owner.create_invite(&invite(1)).await.expect("made").token.expect("the server made it");
    let joins = (0..100).map(|n| {
        let join = JoinRequest { key_package: format!("AAEABQ{n:02}"), ..join_with(&token) };
        let owner = owner.clone();
        async move { owner.join(&join).await }
    });

    let answers = join_all(joins).await;

    let (taken, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(taken.len(), 1);
    assert!(others.into_iter().all(|answer| refused(answer) == (400, "bad_request".to_owned())));
    assert_eq!(owner.pending(CHANNEL, AT_ONCE).await.expect("read").requests.len(), 1);
    assert_eq!(owner.invites(CHANNEL).await.expect("read").invites[0].uses, 1);
    world.stop().await;
}

#[actix_web::test]
async fn who_waits_is_woken_by_a_request_and_by_its_answer() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let (joiner, _) = world.account("joiner").await;
    let token = owner.create_invite(&invite(1)).await.expect("made").token.expect("the server made it");
    let (owner, joiner) = (&owner, &joiner);

    // Each side waits up to 30 s for the other; the client gives up after a minute.
    let owning = async {
        let id = owner.pending(CHANNEL, LONG).await.expect("read").requests.remove(0).id;
        owner.submit_welcome(&welcome(&id)).await.expect("stored");
    };
    let joining = async {
        let id = joiner.join(&join_with(&token)).await.expect("taken").request_id;
        joiner.welcome(&id, LONG).await.expect("read").status
    };
    let (status, ()) = futures_util::future::join(joining, owning).await;

    assert_eq!(status, JoinStatus::Completed);
    world.stop().await;
}

#[actix_web::test]
async fn a_request_is_withdrawn_and_the_invite_is_free_for_another_until_a_member_begins_to_answer() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let (joiner, _) = world.account("joiner").await;
    let token = owner.create_invite(&invite(1)).await.expect("made").token.expect("the server made it");
    let id = joiner.join(&join_with(&token)).await.expect("taken").request_id;

    joiner.withdraw_join(&id).await.expect("withdrawn");
    joiner.withdraw_join(&id).await.expect("as it is");
    joiner.withdraw_join("no id").await.expect("as it is");
    assert_eq!(refused(joiner.welcome(&id, AT_ONCE).await), (404, "not_found".to_owned()));
    let of = |id: &str| Answering { request_ids: vec![id.to_owned(), "no id".to_owned()] };
    assert_eq!(owner.take_up(&of(&id)).await.expect("read").request_ids, [""; 0]);
    assert_eq!(owner.pending(CHANNEL, AT_ONCE).await.expect("read").requests, []);

    let other = JoinRequest { key_package: "AAEABQ==".to_owned(), ..join_with(&token) };
    let id = joiner.join(&other).await.expect("the use was given back").request_id;
    assert_eq!(owner.take_up(&of(&id)).await.expect("read").request_ids, [id.as_str()]);
    assert_eq!(refused(joiner.withdraw_join(&id).await), (409, "conflict".to_owned()));
    owner.submit_welcome(&welcome(&id)).await.expect("stored");
    let many = Answering { request_ids: vec![id; 101] };
    assert_eq!(refused(owner.take_up(&many).await).0, 400);
    world.stop().await;
}

#[actix_web::test]
async fn a_refused_joiner_is_told_why() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let token = owner.create_invite(&invite(1)).await.expect("made").token.expect("the server made it");
    let id = owner.join(&join_with(&token)).await.expect("taken").request_id;

    owner.refuse(&Refusal { request_id: id.clone(), reason: "not bound".to_owned() }).await.expect("stored");

    let answer = owner.welcome(&id, AT_ONCE).await.expect("read");
    assert_eq!((answer.status, answer.reason.as_deref()), (JoinStatus::Refused, Some("not bound")));
    assert_eq!(refused(owner.submit_welcome(&welcome(&id)).await), (409, "conflict".to_owned()));
    world.stop().await;
}

#[actix_web::test]
async fn what_was_asked_and_answered_survives_a_restart() {
    let world = World::new().await;
    let (owner, key) = world.account("owner").await;
    owner.register_channel(&NewChannel { name: CHANNEL.to_owned(), unbound_joins: None }).await.expect("registered");
    let token = owner.create_invite(&invite(2)).await.expect("made").token.expect("the server made it");
    let answered = owner.join(&join_with(&token)).await.expect("taken").request_id;
    owner.submit_welcome(&welcome(&answered)).await.expect("stored");
    let waits = JoinRequest { key_package: "AAEABQ==".to_owned(), ..join_with(&token) };
    let waiting = owner.join(&waits).await.expect("taken").request_id;

    let world = World::again(world.stop().await).await;
    let owner = world.api(Credential::Bearer(key));

    let answer = owner.welcome(&answered, AT_ONCE).await.expect("read");
    assert_eq!((answer.status, answer.welcome.as_deref()), (JoinStatus::Completed, Some("d2VsY29tZQ==")));
    let pending = owner.pending(CHANNEL, AT_ONCE).await.expect("read").requests;
    assert_eq!((pending.len(), pending[0].id.as_str(), pending[0].key_package.as_str()), (1, waiting.as_str(), "AAEABQ=="));
    assert_eq!(owner.submit_welcome(&welcome(&waiting)).await.expect("stored").status, JoinStatus::Completed);
    assert_eq!(owner.invites(CHANNEL).await.expect("read").invites[0].uses, 2);
    let third = JoinRequest { key_package: "AAEABg==".to_owned(), ..join_with(&token) };
    assert_eq!(refused(owner.join(&third).await), (400, "bad_request".to_owned()), "its uses are still counted");
    world.stop().await;
}
