//! What becomes of those who are connected when something is taken away from them.

mod world;

use toq_api::relay::{
    Credential, InviteToken, JoinRequest, NewAccount, NewChannel, NewInvite, NewKey, RelayApi, Target, WelcomeSubmission,
};
use toq_dataplane::{Event, LinkError, Refusal};
use toq_protocol::time::Timestamp;
use toq_relay::Relay;
use toq_store::relay::accounts::{AccountId, Tenant};
use world::{Member, general, tag, with_config};

fn with_accounts<F: Future<Output = Relay>>(test: impl FnOnce(Relay) -> F) {
    with_config(|config| config.anonymous = false, test);
}

/// A fresh account: its client, and its id.
async fn account(relay: &Relay, name: &str) -> (RelayApi, String) {
    let nobody = RelayApi::new(&Target::at(format!("http://{}", relay.api)), Credential::None).expect("a client");
    let new = NewAccount { email: format!("{name}@example.org"), name: None };
    let created = nobody.create_account(&new).await.expect("opened");
    (nobody.with(Credential::Bearer(created.api_key)), created.account.id)
}

async fn member(relay: &Relay, api: &RelayApi) -> Member {
    let token = api.token().await.expect("exchanged").token;
    Member::try_connect(relay, Some(token)).await.expect("let in")
}

async fn register(api: &RelayApi) {
    api.register_channel(&NewChannel { name: general().to_string(), unbound_joins: None }).await.expect("registered");
}

/// Lets an account into the channel.
async fn let_in(owner: &RelayApi, guest: &RelayApi) {
    let invite = NewInvite { channel: general().to_string(), max_uses: Some(1), ..NewInvite::default() };
    let token = owner.create_invite(&invite).await.expect("made").token.expect("the server made it");
    assert!(InviteToken::parse(&token).is_ok());
    let join = JoinRequest {
        channel: general().to_string(),
        token: Some(token),
        key_package: "AAEABWtleSBwYWNrYWdl".to_owned(),
        identity: "guest".to_owned(),
        ..JoinRequest::default()
    };
    let request_id = guest.join(&join).await.expect("taken").request_id;
    owner.submit_welcome(&WelcomeSubmission { request_id, welcome: "AA==".to_owned() }).await.expect("stored");
}

/// The end of a connection, with what was said about it.
async fn end(member: &mut Member) -> String {
    loop {
        match member.next().await {
            Event::Closed(LinkError::Closed(why) | LinkError::Unauthenticated(why)) => return why,
            Event::CaughtUp { .. } | Event::Delivered { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
}

async fn is_forbidden(member: &mut Member) -> bool {
    member.link.subscribe(&general(), Some(0), tag(9)).await.expect("sent");
    matches!(member.next().await, Event::Refused { why: Refusal::Forbidden, .. })
}

#[test]
fn who_is_shut_out_of_a_channel_hears_nothing_more_of_it() {
    with_accounts(|relay| async move {
        let ((owner, _), (guest, guest_id)) = (account(&relay, "owner").await, account(&relay, "guest").await);
        register(&owner).await;
        let_in(&owner, &guest).await;
        let admitted = owner.admitted(general().as_str()).await.expect("read").accounts;
        assert_eq!((admitted.len(), &admitted[0].account), (1, &guest_id));
        let mut listening = member(&relay, &guest).await;
        listening.listen(&general(), Some(0)).await;

        owner.shut_out(general().as_str(), &guest_id).await.expect("done");

        assert!(end(&mut listening).await.contains("may no longer take part"));
        assert!(is_forbidden(&mut member(&relay, &guest).await).await);
        assert_eq!(owner.admitted(general().as_str()).await.expect("read").accounts, []);
        assert_eq!(owner.shut_out(general().as_str(), &guest_id).await.expect_err("it is out").status(), Some(404));
        assert_eq!(guest.admitted(general().as_str()).await.expect_err("not its channel").status(), Some(404));
        relay
    });
}

#[test]
fn who_publishes_and_does_not_listen_is_shut_out_on_the_same_connection() {
    with_accounts(|relay| async move {
        let ((owner, _), (guest, guest_id)) = (account(&relay, "owner").await, account(&relay, "guest").await);
        register(&owner).await;
        let_in(&owner, &guest).await;
        let mut publishing = member(&relay, &guest).await;
        publishing.send(&general(), 1, "while I may").await;
        assert_eq!(publishing.accepted().await, (tag(1), 1));

        owner.shut_out(general().as_str(), &guest_id).await.expect("done");

        publishing.send(&general(), 2, "no more").await;
        let refused = publishing.next().await;
        assert!(matches!(&refused, Event::Refused { why: Refusal::Forbidden, tag: Some(of), .. } if *of == tag(2)), "{refused:?}");
        let_in(&owner, &guest).await;
        publishing.send(&general(), 3, "again").await;
        assert_eq!(publishing.accepted().await, (tag(3), 2), "and let in again");
        relay
    });
}

#[test]
fn a_revoked_key_ends_the_connections_that_came_with_it_and_no_others() {
    with_accounts(|relay| async move {
        let (owner, _) = account(&relay, "owner").await;
        let other = owner.create_key(&NewKey { name: None }).await.expect("made");
        let mut stays = member(&relay, &owner).await;
        let mut goes = member(&relay, &owner.with(Credential::Bearer(other.key))).await;
        stays.listen(&general(), Some(0)).await;

        owner.revoke_key(&other.id).await.expect("revoked");

        assert!(end(&mut goes).await.contains("revoked"));
        stays.send(&general(), 1, "undisturbed").await;
        while !matches!(stays.next().await, Event::Accepted { tag: of, .. } if of == tag(1)) {}
        relay
    });
}

#[test]
fn what_is_said_with_a_key_in_the_moment_of_its_revocation_is_not_taken() {
    with_accounts(|relay| async move {
        let (owner, _) = account(&relay, "owner").await;
        let other = owner.create_key(&NewKey { name: None }).await.expect("made");
        let mut stays = member(&relay, &owner).await;
        let mut goes = member(&relay, &owner.with(Credential::Bearer(other.key))).await;
        // Whoever listens is told of changes together: this one makes the next wait a moment.
        register(&owner).await;

        owner.revoke_key(&other.id).await.expect("revoked");
        goes.send(&general(), 1, "too late").await;

        assert!(end(&mut goes).await.contains("revoked"));
        stays.send(&general(), 2, "the first").await;
        assert_eq!(stays.accepted().await, (tag(2), 1));
        relay
    });
}

#[test]
fn who_used_a_channel_before_it_was_registered_is_sent_away_and_cannot_register_it() {
    with_accounts(|relay| async move {
        let ((owner, _), (stranger, _)) = (account(&relay, "owner").await, account(&relay, "stranger").await);
        let mut begins = member(&relay, &owner).await;
        begins.send(&general(), 1, "begun").await;
        begins.accepted().await;
        let mut listening = member(&relay, &stranger).await;
        listening.listen(&general(), Some(0)).await;
        let same = NewChannel { name: general().to_string(), unbound_joins: None };
        assert_eq!(stranger.register_channel(&same).await.expect_err("another has begun it").status(), Some(409));

        register(&owner).await;

        assert!(end(&mut listening).await.contains("may no longer take part"));
        assert!(is_forbidden(&mut member(&relay, &stranger).await).await);
        begins.send(&general(), 2, "its own").await;
        assert_eq!(begins.accepted().await, (tag(2), 2));
        relay
    });
}

#[test]
fn a_token_is_worth_nothing_without_its_key_whatever_is_remembered() {
    with_accounts(|relay| async move {
        let (owner, id) = account(&relay, "owner").await;
        let token = owner.token().await.expect("exchanged").token;
        let by_token = owner.with(Credential::Bearer(token.clone()));
        let id = AccountId(*uuid::Uuid::parse_str(&id).expect("a uuid").as_bytes());
        let tenant: Tenant = relay.store().accounts().of(id);
        let key = tenant.keys().expect("read")[0].id;
        assert!(by_token.account().await.is_ok());
        let connected = Member::try_connect(&relay, Some(token.clone())).await;
        assert!(connected.is_ok());

        // As a relay does that was stopped meanwhile: nobody who runs now is told, and it is forgotten soon.
        assert!(tenant.revoke_key(key, Timestamp::from_nanos(1), Timestamp::from_nanos(2)).await.expect("revoked"));
        relay.store().accounts().trim(Timestamp::from_nanos(3)).await.expect("trimmed");

        assert_eq!(by_token.account().await.expect_err("its key is gone").status(), Some(401));
        assert_eq!(by_token.token().await.err().expect("its key is gone").status(), Some(401));
        let refused = Member::try_connect(&relay, Some(token)).await.err();
        assert!(matches!(&refused, Some(LinkError::Unauthenticated(why)) if why.contains("revoked")), "{refused:?}");
        relay
    });
}
