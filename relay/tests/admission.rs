//! Who is let in, for how long, and how much it may.

mod world;

use std::time::Duration;

use prost::bytes::Bytes;
use toq_dataplane::{Carriage, Event, LinkError, Refusal};
use toq_relay::Relay;
use toq_relay::home::{Limits, Retention};
use toq_relay::token::{Claims, ISSUER, Mint};
use toq_store::relay::Cut;
use world::{Member, general, tag, with_config, with_relay};

const SECRET: &[u8] = b"a secret that two servers share!";

fn mint() -> Mint {
    Mint::Hs256(SECRET.to_vec())
}

fn claims(relay: &Relay, account: &str, lifetime: i64) -> Claims {
    let now = relay.home().seconds();
    Claims { sub: account.to_owned(), iss: ISSUER.to_owned(), plan: "free".to_owned(), iat: now, exp: now + lifetime, key: None }
}

async fn member(relay: &Relay, account: &str) -> Member {
    Member::try_connect(relay, Some(mint().token(&claims(relay, account, 3600)))).await.expect("let in")
}

fn with_tokens<F: Future<Output = Relay>>(limits: Limits, test: impl FnOnce(Relay) -> F) {
    with_config(
        |config| {
            config.anonymous = false;
            config.hs256 = Some(SECRET.to_vec());
            config.limits = limits;
        },
        test,
    );
}

#[test]
fn a_token_that_is_not_good_now_is_refused_with_what_to_do() {
    with_tokens(Limits::default(), |relay| async move {
        let expired = mint().token(&claims(&relay, "alice", -1));
        let foreign = Mint::Hs256(b"another secret than the right one".to_vec()).token(&claims(&relay, "alice", 3600));

        for token in [None, Some(expired), Some(foreign), Some("nonsense".to_owned())] {
            let refused = Member::try_connect(&relay, token.clone()).await.err();
            assert!(matches!(&refused, Some(LinkError::Unauthenticated(why)) if why.contains("token")), "{token:?}: {refused:?}");
        }
        let mut alice = member(&relay, "alice").await;
        alice.send(&general(), 1, "in").await;
        assert_eq!(alice.accepted().await, (tag(1), 1));
        relay
    });
}

#[test]
fn a_member_with_the_extension_is_sent_away_when_its_token_ends() {
    with_tokens(Limits::default(), |relay| async move {
        let token = mint().token(&claims(&relay, "alice", 2));
        let mut alice = Member::try_connect(&relay, Some(token)).await.expect("let in");

        let end = alice.next().await;

        assert!(matches!(&end, Event::Closed(LinkError::Unauthenticated(why)) if why.contains("expired")), "{end:?}");
        relay
    });
}

#[test]
fn an_account_publishes_its_messages_of_a_month_and_no_more() {
    let limits = Limits { messages_per_month: vec![("free".to_owned(), 2)], ..Limits::default() };
    with_tokens(limits, |relay| async move {
        let (mut alice, mut bob) = (member(&relay, "alice").await, member(&relay, "bob").await);
        for number in 1..=3 {
            alice.send(&general(), number, "one of two").await;
        }

        assert_eq!(alice.accepted().await, (tag(1), 1));
        assert_eq!(alice.accepted().await, (tag(2), 2));
        let Event::Refused { why, tag: of, retry_after, .. } = alice.next().await else { panic!("not refused") };
        assert_eq!((why, of), (Refusal::OverQuota, Some(tag(3))));
        assert!(retry_after > Duration::ZERO);
        bob.send(&general(), 4, "another account").await;
        assert_eq!(bob.accepted().await, (tag(4), 3));
        relay
    });
}

#[test]
fn an_account_has_so_many_connections_and_channels() {
    let limits = Limits { connections_per_account: 1, channels_per_account: 1, ..Limits::default() };
    with_tokens(limits, |relay| async move {
        let mut alice = member(&relay, "alice").await;
        let token = || Some(mint().token(&claims(&relay, "alice", 3600)));
        let second = Member::try_connect(&relay, token()).await.err();
        let other = toq_channels::ChannelName::parse("acme/team/other").expect("a name");
        alice.send(&general(), 1, "begun").await;
        assert_eq!(alice.accepted().await, (tag(1), 1));
        alice.send(&other, 2, "one too many").await;

        assert!(matches!(second, Some(LinkError::Exhausted(_))), "{second:?}");
        assert!(matches!(alice.next().await, Event::Refused { why: Refusal::OverQuota, .. }));
        assert!(member(&relay, "bob").await.link.is_extended());
        relay
    });
}

#[test]
fn who_was_away_for_longer_than_messages_are_kept_is_told_so() {
    with_relay(|relay| async move {
        let mut alice = Member::connect(&relay).await;
        for number in 1..=20 {
            alice.send(&general(), number, "old").await;
            assert_eq!(alice.accepted().await.1, number);
        }
        let cut = Cut { before: i64::MAX, rows: 15 };
        assert_eq!(relay.store().log().trim(None, cut).await.expect("it trims").rows, 15);

        let mut bob = Member::connect(&relay).await;
        bob.link.subscribe(&general(), Some(3), tag(100)).await.expect("sent");
        let Event::Refused { why, seq, tag: of, .. } = bob.next().await else { panic!("not refused") };
        assert_eq!((why, of, seq), (Refusal::Behind, Some(tag(100)), 16));
        assert_eq!(bob.listen(&general(), Some(seq - 1)).await, 20);

        assert_eq!(bob.delivered().await.0, seq);
        relay
    });
}

#[test]
fn a_member_that_falls_behind_while_it_is_connected_is_sent_away_to_learn_of_it() {
    with_relay(|relay| async move {
        let (mut alice, mut slow) = (Member::connect(&relay).await, Member::connect(&relay).await);
        assert_eq!(slow.listen(&general(), None).await, 0);
        let text = "x".repeat(60_000);
        // More than is on its way to one who does not read.
        for number in 1..=100 {
            alice.send(&general(), number, &text).await;
            assert_eq!(alice.accepted().await.1, number);
        }
        relay.store().log().trim(None, Cut { before: i64::MAX, rows: 100 }).await.expect("it trims");

        let (mut last, mut end) = (0, None);
        while end.is_none() {
            match slow.next().await {
                Event::Delivered { seq, .. } => last = seq,
                Event::Closed(error) => end = Some(error),
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert!(last < 100 && matches!(&end, Some(LinkError::Closed(why)) if why.contains("no longer kept")), "{last} {end:?}");
        let mut again = Member::connect(&relay).await;
        again.link.subscribe(&general(), Some(last), tag(7)).await.expect("sent");

        assert!(matches!(again.next().await, Event::Refused { why: Refusal::Behind, tag: Some(of), seq: 101, .. } if of == tag(7)));
        relay
    });
}

#[test]
fn a_full_channel_refuses_before_it_accepts_and_loses_nothing() {
    with_config(
        |config| config.retention = Retention { bytes_per_channel: 5_000, ..Retention::default() },
        |relay| async move {
            let mut alice = Member::connect(&relay).await;
            let mut accepted = 0;
            let why = loop {
                alice.send_seen(&general(), Carriage::Message, accepted + 1, Bytes::from(vec![7; 1000]), None).await;
                match alice.next().await {
                    Event::Accepted { .. } => accepted += 1,
                    Event::Refused { why, detail, retry_after, .. } => break (why, detail, retry_after),
                    other => panic!("unexpected: {other:?}"),
                }
            };
            let mut bob = Member::connect(&relay).await;
            bob.listen(&general(), Some(0)).await;

            assert_eq!(accepted, 4, "five with their headers are more than 5,000 bytes");
            assert!(why.0 == Refusal::OverQuota && why.1.contains("no room") && why.2 > Duration::ZERO, "{why:?}");
            for place in 1..=4 {
                assert_eq!(bob.delivered().await.0, place);
            }
            relay
        },
    );
}
