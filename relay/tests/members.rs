//! What members with the extension can rely on, over real sockets.

mod world;

use prost::bytes::Bytes;
use toq_channels::ChannelName;
use toq_dataplane::{Carriage, Event, Refusal};
use toq_relay::home::Limits;
use world::{Member, commit, general, tag, with_config, with_relay};

#[test]
fn everybody_hears_one_order_and_nobody_hears_itself() {
    with_relay(|relay| async move {
        let (mut alice, mut bob, mut carol) = (Member::connect(&relay).await, Member::connect(&relay).await, Member::connect(&relay).await);
        for member in [&mut alice, &mut bob, &mut carol] {
            assert_eq!(member.listen(&general(), None).await, 0);
        }

        for number in 0..50 {
            alice.send(&general(), number, &format!("a{number}")).await;
            bob.send(&general(), 1000 + number, &format!("b{number}")).await;
        }

        let mut order = Vec::new();
        for place in 1..=100 {
            let (seq, text) = carol.delivered().await;
            assert_eq!(seq, place);
            order.push(text);
        }
        for (member, own, base) in [(&mut alice, 'a', 0), (&mut bob, 'b', 1000)] {
            for (place, text) in order.iter().enumerate() {
                let seq = place as u64 + 1;
                if text.starts_with(own) {
                    let number: u64 = text[1..].parse().expect("a number");
                    assert_eq!(member.accepted().await, (tag(base + number), seq), "an answer stands where the message stands");
                } else {
                    assert_eq!(member.delivered().await, (seq, text.clone()));
                }
            }
        }
        relay
    });
}

#[test]
fn a_member_that_comes_back_gets_what_it_missed_and_then_what_comes() {
    with_relay(|relay| async move {
        let mut alice = Member::connect(&relay).await;
        for number in 1..=300 {
            alice.send(&general(), number, &number.to_string()).await;
            assert_eq!(alice.accepted().await, (tag(number), number));
        }

        let mut bob = Member::connect(&relay).await;
        assert_eq!(bob.listen(&general(), Some(100)).await, 300);
        for place in 101..=300 {
            assert_eq!(bob.delivered().await, (place, place.to_string()));
        }
        assert_eq!(bob.next().await, Event::CaughtUp { channel: general(), seq: 300 });
        alice.send(&general(), 301, "live").await;

        assert_eq!(bob.delivered().await, (301, "live".to_owned()));
        relay
    });
}

#[test]
fn who_is_behind_nothing_is_told_so_at_once() {
    with_relay(|relay| async move {
        let mut bob = Member::connect(&relay).await;

        assert_eq!(bob.listen(&general(), Some(0)).await, 0);

        assert_eq!(bob.next().await, Event::CaughtUp { channel: general(), seq: 0 });
        relay
    });
}

#[test]
fn a_place_beyond_the_log_is_refused_because_the_relay_must_have_lost_something() {
    with_relay(|relay| async move {
        let mut bob = Member::connect(&relay).await;
        bob.link.subscribe(&general(), Some(7), tag(1)).await.expect("sent");

        let Event::Refused { why, seq, detail, .. } = bob.next().await else { panic!("not refused") };

        assert_eq!((why, seq), (Refusal::BadRequest, 0));
        assert!(detail.contains("lost"), "{detail}");
        relay
    });
}

#[test]
fn what_is_sent_again_with_its_tag_stands_once() {
    with_relay(|relay| async move {
        let mut alice = Member::connect(&relay).await;
        alice.send(&general(), 1, "once").await;
        assert_eq!(alice.accepted().await, (tag(1), 1));

        let mut again = Member::connect(&relay).await;
        again.send(&general(), 1, "once").await;
        again.send(&general(), 2, "twice").await;

        assert_eq!(again.accepted().await, (tag(1), 1));
        assert_eq!(again.accepted().await, (tag(2), 2));
        relay
    });
}

#[test]
fn a_commit_of_a_taken_epoch_is_refused_until_the_winner_has_been_seen() {
    with_relay(|relay| async move {
        let (mut alice, mut bob) = (Member::connect(&relay).await, Member::connect(&relay).await);
        alice.listen(&general(), Some(0)).await;
        assert_eq!(alice.next().await, Event::CaughtUp { channel: general(), seq: 0 });
        bob.send_seen(&general(), Carriage::Commit, 1, commit(&general(), 5, 1), Some(0)).await;
        assert_eq!(bob.accepted().await, (tag(1), 1));

        alice.send_seen(&general(), Carriage::Commit, 2, commit(&general(), 5, 2), Some(0)).await;
        let (mut refused, mut delivered) = (None, None);
        for _ in 0..2 {
            match alice.next().await {
                Event::Refused { tag, why, seq, .. } => refused = Some((tag, why, seq)),
                Event::Delivered { seq, carriage, .. } => delivered = Some((seq, carriage)),
                other => panic!("unexpected: {other:?}"),
            }
        }
        alice.send_seen(&general(), Carriage::Commit, 3, commit(&general(), 6, 2), Some(1)).await;
        alice.send_seen(&general(), Carriage::Commit, 4, commit(&general(), 5, 3), Some(1)).await;

        assert_eq!(refused, Some((Some(tag(2)), Refusal::EpochTaken, 1)));
        assert_eq!(delivered, Some((1, Carriage::Commit)));
        assert_eq!(alice.accepted().await, (tag(3), 2));
        assert_eq!(alice.accepted().await, (tag(4), 3), "a forged commit that was seen holds nobody up for ever");
        relay
    });
}

#[test]
fn too_much_is_refused_and_the_stream_goes_on() {
    with_config(
        |config| config.limits = Limits { max_message: 1000, subscriptions: 1, ..Limits::default() },
        |relay| async move {
            let mut alice = Member::connect(&relay).await;
            alice.send_seen(&general(), Carriage::Message, 1, Bytes::from(vec![7; 1000]), None).await;
            assert_eq!(alice.accepted().await, (tag(1), 1));
            alice.send_seen(&general(), Carriage::Message, 2, Bytes::from(vec![7; 1001]), None).await;
            assert!(matches!(alice.next().await, Event::Refused { why: Refusal::TooLarge, tag: Some(of), .. } if of == tag(2)));

            alice.listen(&general(), None).await;
            let other = ChannelName::parse("acme/team/other").expect("a name");
            alice.link.subscribe(&other, None, tag(3)).await.expect("sent");
            assert!(matches!(alice.next().await, Event::Refused { why: Refusal::OverQuota, .. }));
            alice.link.unsubscribe(&general()).await.expect("sent");

            assert_eq!(alice.listen(&other, None).await, 0);
            relay
        },
    );
}

fn numbered(n: usize) -> ChannelName {
    ChannelName::parse(&format!("acme/team/{n}")).expect("a name")
}

#[test]
fn naming_channels_wakes_none_of_them() {
    with_relay(|relay| async move {
        let mut mallory = Member::connect(&relay).await;
        for n in 0..500 {
            mallory.link.unsubscribe(&numbered(n)).await.expect("sent");
        }
        mallory.listen(&general(), None).await;

        let topics = relay.home().counters.topics.load(std::sync::atomic::Ordering::Relaxed);

        assert_eq!(topics, 1, "the one that is listened to");
        relay
    });
}

#[test]
fn more_channels_than_may_be_in_use_are_refused_and_those_in_use_go_on() {
    with_config(
        |config| config.limits = Limits { channels_in_use: 2, ..Limits::default() },
        |relay| async move {
            let (mut alice, mut bob) = (Member::connect(&relay).await, Member::connect(&relay).await);
            bob.listen(&numbered(1), None).await;
            bob.listen(&numbered(2), None).await;

            alice.link.subscribe(&numbered(3), None, tag(1)).await.expect("sent");
            let refused = alice.next().await;
            assert!(matches!(&refused, Event::Refused { why: Refusal::OverQuota, tag: Some(of), .. } if *of == tag(1)), "{refused:?}");
            alice.send(&numbered(4), 2, "nobody's").await;
            let refused = alice.next().await;
            assert!(matches!(&refused, Event::Refused { why: Refusal::OverQuota, tag: Some(of), .. } if *of == tag(2)), "{refused:?}");

            alice.send(&numbered(2), 3, "heard").await;
            assert_eq!(alice.accepted().await, (tag(3), 1));
            assert_eq!(bob.delivered().await, (1, "heard".to_owned()));
            relay
        },
    );
}
