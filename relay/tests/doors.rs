//! What the API server decides and the data plane obeys: tokens, revoked keys, whose channel it is.

mod world;

use std::time::Duration;

use toq_api::relay::{Credential, JoinRequest, NewAccount, NewChannel, NewInvite, RelayApi, Target, WelcomeSubmission};
use toq_channels::ChannelName;
use toq_dataplane::{Event, Refusal};
use toq_relay::Relay;
use world::{Member, general, tag, with_config};

/// A client of a fresh account.
async fn account(relay: &Relay, name: &str) -> RelayApi {
    let api = RelayApi::new(&Target::at(format!("http://{}", relay.api)), Credential::None).expect("a client");
    let new = NewAccount { email: format!("{name}@example.org"), name: None };
    api.with(Credential::Bearer(api.create_account(&new).await.expect("opened").api_key))
}

/// A stream of that account.
async fn member(relay: &Relay, api: &RelayApi) -> Member {
    let token = api.token().await.expect("exchanged").token;
    Member::try_connect(relay, Some(token)).await.expect("it lets us in")
}

async fn subscribed(member: &mut Member, channel: &ChannelName) -> Event {
    member.link.subscribe(channel, None, tag(1)).await.expect("it is sent");
    member.next().await
}

#[test]
fn a_token_of_the_api_server_opens_the_data_plane_until_its_key_is_revoked() {
    with_config(
        |config| config.anonymous = false,
        async |relay| {
            assert!(Member::try_connect(&relay, None).await.is_err(), "a token is asked for");
            let owner = account(&relay, "owner").await;
            let mut connected = member(&relay, &owner).await;
            let mut other = {
                let key = owner.create_key(&toq_api::relay::NewKey::default()).await.expect("made");
                member(&relay, &owner.with(Credential::Bearer(key.key))).await
            };
            assert!(matches!(subscribed(&mut connected, &general()).await, Event::Accepted { .. }));
            let token = owner.token().await.expect("exchanged").token;
            let first = owner.keys().await.expect("read").keys.pop().expect("the oldest");

            owner.revoke_key(&first.id).await.expect("revoked");

            assert!(matches!(connected.next().await, Event::Closed(why) if why.to_string().contains("revoked")));
            assert!(Member::try_connect(&relay, Some(token)).await.is_err(), "a token ends with its key");
            assert!(matches!(subscribed(&mut other, &general()).await, Event::Accepted { .. }), "others go on");
            relay
        },
    );
}

#[test]
fn a_registered_channel_is_open_to_its_account_and_to_those_it_lets_in() {
    with_config(
        |config| config.anonymous = false,
        async |relay| {
            let (owner, guest) = (account(&relay, "owner").await, account(&relay, "guest").await);
            let name = general().as_str().to_owned();
            owner.register_channel(&NewChannel { name: name.clone(), unbound_joins: None }).await.expect("registered");
            let mut own = member(&relay, &owner).await;
            let mut foreign = member(&relay, &guest).await;

            assert!(matches!(subscribed(&mut own, &general()).await, Event::Accepted { .. }));
            assert!(matches!(subscribed(&mut foreign, &general()).await, Event::Refused { why: Refusal::Forbidden, .. }));
            foreign.send(&general(), 2, "a flood").await;
            assert!(matches!(foreign.next().await, Event::Refused { why: Refusal::Forbidden, .. }));
            let nobodys = ChannelName::parse("acme/team/nobodys").expect("a name");
            assert!(matches!(subscribed(&mut foreign, &nobodys).await, Event::Accepted { .. }));

            let new = NewInvite { channel: name.clone(), ..NewInvite::default() };
            let token = owner.create_invite(&new).await.expect("made").token;
            let join = JoinRequest { channel: name.clone(), token, key_package: "AAEABQ==".to_owned(), ..JoinRequest::default() };
            let request_id = guest.join(&join).await.expect("taken").request_id;
            assert_eq!(owner.pending(&name, Duration::ZERO).await.expect("read").requests.len(), 1);
            owner.submit_welcome(&WelcomeSubmission { request_id, welcome: "AAEAAw==".to_owned() }).await.expect("stored");

            assert!(matches!(subscribed(&mut foreign, &general()).await, Event::Accepted { .. }), "on the same connection");
            relay
        },
    );
}
