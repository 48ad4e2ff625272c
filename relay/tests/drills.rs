//! Panics cost one connection or one channel a moment, and nothing that was accepted. Needs the feature `faults`; `make crash-check`
//! runs it.
#![cfg(feature = "faults")]

mod world;

use std::collections::BTreeSet;

use prost::bytes::Bytes;
use toq_channels::ChannelName;
use toq_dataplane::{Carriage, Event, LinkError};
use toq_relay::Relay;
use toq_relay::drill::Drill;
use world::{Member, general, tag, with_relay};

const ROUNDS: u64 = 6;
const EACH: u64 = 40;

fn elsewhere() -> ChannelName {
    ChannelName::parse("acme/team/elsewhere").expect("a name")
}

fn counter(relay: &Relay, name: &str) -> u64 {
    let named = relay.home().counters.named();
    named.iter().find(|(known, _)| *known == name).expect("a counter").1
}

/// Publishes as members do: what was not accepted when a link ends is sent again on the next one, with its tag.
struct Diligent {
    member: Member,
    open: BTreeSet<u64>,
    ends: Vec<LinkError>,
}

impl Diligent {
    async fn connect(relay: &Relay) -> Self {
        Self { member: Member::connect(relay).await, open: BTreeSet::new(), ends: Vec::new() }
    }

    async fn publish(&mut self, number: u64) {
        self.open.insert(number);
        let blob = Bytes::from(number.to_string());
        // A link that has ended says so when it is listened to.
        drop(self.member.link.publish(&general(), Carriage::Message, blob, tag(number), None).await);
    }

    /// Until everything is accepted.
    async fn settle(&mut self, relay: &Relay) {
        while !self.open.is_empty() {
            match self.member.next().await {
                Event::Accepted { tag: of, .. } => {
                    let number = u64::from_be_bytes(of.0[8..].try_into().expect("eight bytes"));
                    self.open.remove(&number);
                }
                Event::Closed(why) => {
                    self.ends.push(why);
                    self.member = Member::connect(relay).await;
                    for number in self.open.clone() {
                        self.publish(number).await;
                    }
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
    }
}

/// Lets a drill happen while somebody publishes; everything is there once afterwards, in the order in which it was first accepted.
async fn survives(relay: &Relay, drill: Drill) -> Vec<LinkError> {
    let mut alice = Diligent::connect(relay).await;
    for round in 0..ROUNDS {
        for number in round * EACH..(round + 1) * EACH {
            alice.publish(number).await;
            if number % EACH == EACH / 2 {
                relay.drill(drill.clone());
            }
        }
        alice.settle(relay).await;
    }

    let mut bob = Member::connect(relay).await;
    bob.listen(&general(), Some(0)).await;
    let mut heard: Vec<u64> = Vec::new();
    for place in 1..=ROUNDS * EACH {
        let (seq, text) = bob.delivered().await;
        assert_eq!(seq, place);
        heard.push(text.parse().expect("a number"));
    }
    assert!(matches!(bob.next().await, Event::CaughtUp { .. }), "nothing else is there");
    heard.sort_unstable();
    assert_eq!(heard, (0..ROUNDS * EACH).collect::<Vec<u64>>(), "each stands once");
    // A drill may come before there is anybody to panic.
    assert!(counter(relay, "panics") >= ROUNDS / 2, "the drill took place");
    alice.ends
}

fn are_told_to_come_back(ends: &[LinkError]) -> bool {
    !ends.is_empty() && ends.iter().all(|end| matches!(end, LinkError::Closed(word) if word.contains("connect again")))
}

#[test]
fn a_panicking_topic_ends_the_connections_of_its_channel_and_leaves_others_alone() {
    with_relay(async |relay| {
        let mut carol = Member::connect(&relay).await;
        carol.listen(&elsewhere(), None).await;
        let mut dave = Member::connect(&relay).await;
        dave.listen(&general(), None).await;

        let mut ends = survives(&relay, Drill::Topic(general())).await;

        // Who had nothing unanswered when it happened goes on; who listens there is always told.
        ends.push(loop {
            if let Event::Closed(why) = dave.next().await {
                break why;
            }
        });
        assert!(are_told_to_come_back(&ends), "{ends:?}");
        carol.send(&elsewhere(), 1, "undisturbed").await;
        assert_eq!(carol.accepted().await, (tag(1), 1), "on the link that she has had all along");
        relay
    });
}

#[test]
fn a_panicking_connection_loses_nothing_that_was_accepted() {
    with_relay(async |relay| {
        survives(&relay, Drill::Subscribers).await;
        relay
    });
}

#[test]
fn a_panic_of_what_writes_to_a_connection_ends_it_and_does_not_leave_it_silent() {
    with_relay(async |relay| {
        let ends = survives(&relay, Drill::Pumps).await;

        assert!(are_told_to_come_back(&ends), "{ends:?}");
        relay
    });
}

#[test]
fn a_panicking_scribe_is_replaced_and_everybody_sends_again_what_was_not_accepted() {
    with_relay(async |relay| {
        let ends = survives(&relay, Drill::Scribe).await;

        assert!(are_told_to_come_back(&ends), "{ends:?}");
        relay
    });
}

#[test]
fn a_panicking_sweeper_disturbs_nobody() {
    with_relay(async |relay| {
        let mut alice = Member::connect(&relay).await;
        relay.drill(Drill::Sweeper);
        while counter(&relay, "panics") == 0 {
            tokio::task::yield_now().await;
        }

        alice.send(&general(), 1, "undisturbed").await;

        assert_eq!(alice.accepted().await, (tag(1), 1));
        relay
    });
}
