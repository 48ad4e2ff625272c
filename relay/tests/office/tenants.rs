//! Accounts know nothing of each other; the operator knows all of them.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use toq_api::relay::{Credential, Errand, ErrandAnswer, JoinStatus, NewChannel, NewInvite, Plan, Refusal, WelcomeSubmission};
use toq_relay::office::{Operator, Settings};

use super::world::{CHANNEL, World, invite, join_with, refused};

#[actix_web::test]
async fn an_account_meets_not_found_wherever_another_account_has_something() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let (stranger, _) = world.account("stranger").await;
    let (joiner, _) = world.account("joiner").await;
    let key = owner.keys().await.expect("read").keys.remove(0).id;
    let created = owner.create_invite(&invite(2)).await.expect("made");
    let (token, invite_id) = (created.token.expect("the server made it"), created.id.expect("it has an id"));
    let id = joiner.join(&join_with(&token)).await.expect("taken").request_id;
    let welcome = WelcomeSubmission { request_id: id.clone(), welcome: "AA==".to_owned() };

    let not_found = (404, "not_found".to_owned());
    assert_eq!(refused(stranger.revoke_key(&key).await), not_found);
    assert_eq!(refused(stranger.invites(CHANNEL).await), not_found);
    assert_eq!(refused(stranger.create_invite(&NewInvite { ..invite(1) }).await), not_found);
    assert_eq!(refused(stranger.revoke_invite(&invite_id).await), not_found);
    assert_eq!(refused(stranger.pending(CHANNEL, Duration::ZERO).await), not_found);
    assert_eq!(refused(stranger.submit_welcome(&welcome).await), not_found);
    assert_eq!(refused(stranger.refuse(&Refusal { request_id: id.clone(), reason: String::new() }).await), not_found);
    assert_eq!(refused(stranger.welcome(&id, Duration::ZERO).await), not_found);
    assert_eq!(refused(joiner.submit_welcome(&welcome).await), not_found, "a joiner does not let itself in");
    let same = NewChannel { name: CHANNEL.to_owned(), unbound_joins: Some(false) };
    assert_eq!(refused(stranger.register_channel(&same).await), (409, "conflict".to_owned()));
    assert_eq!(stranger.channels().await.expect("read").channels, []);
    assert_eq!(stranger.keys().await.expect("read").keys.len(), 1);

    assert_eq!(joiner.welcome(&id, Duration::ZERO).await.expect("read").status, JoinStatus::Pending, "nothing of it had an effect");
    assert_eq!(owner.keys().await.expect("read").keys.len(), 1);
    world.stop().await;
}

#[actix_web::test]
async fn registering_a_channel_again_changes_only_what_is_said() {
    let world = World::new().await;
    let (owner, _) = world.account("owner").await;
    let register = async |unbound_joins| {
        let new = NewChannel { name: CHANNEL.to_owned(), unbound_joins };
        owner.register_channel(&new).await.expect("registered")
    };

    let first = register(None).await;
    let strict = register(Some(false)).await;
    let again = register(None).await;

    assert!(first.unbound_joins && !strict.unbound_joins && !again.unbound_joins);
    assert!(first.id == strict.id && strict.id == again.id);
    assert_eq!(owner.channels().await.expect("read").channels, [again]);
    world.stop().await;
}

#[actix_web::test]
async fn usage_counts_exchanges_and_names_the_limit() {
    let messages_per_month = vec![("free".to_owned(), 100_000), ("pro".to_owned(), 0)];
    let world = World::with(Settings { messages_per_month, ..Settings::default() }).await;
    let (owner, _) = world.account("owner").await;
    for _ in 0..3 {
        owner.token().await.expect("exchanged");
    }

    let usage = owner.usage().await.expect("read");

    assert_eq!((usage.token_exchanges, usage.messages_relayed), (3, 0));
    assert_eq!((usage.plan_tier, usage.limits.messages_per_month), (Plan::Free, Some(100_000)));
    assert!(usage.period.len() == 10 && usage.period.ends_with("-01"), "{}", usage.period);
    assert_eq!(usage.account_id, owner.account().await.expect("read").id);
    let pro = Errand::SetPlan { account: usage.account_id, plan: Plan::Pro };
    world.operator().errand(&pro).await.expect("done");
    assert_eq!(owner.usage().await.expect("read").limits.messages_per_month, None, "0 is no limit");
    world.stop().await;
}

#[actix_web::test]
async fn the_operator_makes_and_revokes_keys_at_a_socket_of_its_own() {
    let world = World::new().await;
    assert_eq!(std::fs::metadata(world.socket()).expect("there").mode() & 0o777, 0o600);
    let operator = world.operator();
    let errand = async |errand| operator.errand(&errand).await;

    let Ok(ErrandAnswer::Key(key)) = errand(Errand::CreateKey { account: None, name: None }).await else { panic!("no key") };
    let own = world.api(Credential::Bearer(key.key.clone()));
    assert_eq!(own.account().await.expect("it is good").plan_tier, Plan::Enterprise);
    assert_eq!(own.keys().await.expect("read").keys.len(), 1, "no key is around that nobody was shown");
    let Ok(ErrandAnswer::Key(other)) = errand(Errand::CreateKey { account: None, name: Some("b".to_owned()) }).await else {
        panic!("no key")
    };
    assert_eq!(own.keys().await.expect("read").keys.len(), 2, "it is the same account");

    assert!(errand(Errand::RevokeKey { id: key.id.clone() }).await.is_ok());
    assert_eq!(refused(own.account().await), (401, "unauthorized".to_owned()));
    assert_eq!(refused(errand(Errand::RevokeKey { id: key.id }).await), (404, "not_found".to_owned()));
    assert!(world.api(Credential::Bearer(other.key)).account().await.is_ok());
    world.stop().await;
}

#[actix_web::test]
async fn the_operator_sees_every_account_and_frees_a_channels_name() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let (stranger, _) = world.account("stranger").await;
    let operator = world.operator();
    let errand = async |errand| operator.errand(&errand).await.expect("done");

    let ErrandAnswer::Accounts(accounts) = errand(Errand::Accounts).await else { panic!("no accounts") };
    assert_eq!(accounts.len(), 2);
    errand(Errand::SetPlan { account: "owner@example.org".to_owned(), plan: Plan::Pro }).await;
    assert_eq!(owner.account().await.expect("read").plan_tier, Plan::Pro);
    let ErrandAnswer::Channels(channels) = errand(Errand::Channels).await else { panic!("no channels") };
    assert_eq!(channels[0].channel.name, CHANNEL);
    let made = errand(Errand::CreateInvite { channel: CHANNEL.to_owned(), max_uses: Some(2), ttl_seconds: None }).await;
    let ErrandAnswer::Invite(made) = made else { panic!("no invite") };
    stranger.join(&join_with(&made.token.expect("the server made it"))).await.expect("it is good");
    let ErrandAnswer::Invites(invites) = errand(Errand::Invites { channel: CHANNEL.to_owned() }).await else { panic!("no invites") };
    assert_eq!((invites.len(), invites[0].uses), (1, 1));

    errand(Errand::ForgetChannel { name: CHANNEL.to_owned() }).await;

    assert_eq!(refused(owner.invites(CHANNEL).await), (404, "not_found".to_owned()));
    let new = NewChannel { name: CHANNEL.to_owned(), unbound_joins: None };
    stranger.register_channel(&new).await.expect("the name is free");
    world.stop().await;
}

#[actix_web::test]
async fn errands_are_not_run_for_callers_of_the_network() {
    let world = World::new().await;
    let (owner, _) = world.account("owner").await;

    assert_eq!(refused(owner.errand(&Errand::Accounts).await), (404, "not_found".to_owned()));
    let done = Operator::of(world.running.office()).run(Errand::Accounts).await;
    assert!(matches!(done, Ok(ErrandAnswer::Accounts(accounts)) if accounts.len() == 1));
    world.stop().await;
}
