//! Lanes that have nothing to do, that are asked again, and that give up.

mod house;

use std::time::Duration;

use house::{Agent, House, later, run};
use toq_actors::workspace::{Accepted, Connections, Idempotency, Origin, Patience, Send};
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_store::Seq;
use toq_store::record::State;

/// Longer than an idle lane lives.
const LONG: Duration = Duration::from_secs(400);

async fn connections(agent: &Agent) -> usize {
    agent.workspace.address().send(Connections).await.expect("the workspace lives").len()
}

async fn deliver(house: &House, text: &str) {
    let accepted = house.alice.send(&house.bob.address, text, Patience::Settled).await.expect("accepted");
    assert_eq!(accepted.settled.expect("asked for").await.expect("told").state, State::Delivered);
}

async fn send_once(from: &Agent, to: &Address, key: &str) -> Accepted {
    let command = Send {
        to: vec![to.clone()],
        kind: Kind::MessageSend,
        body: Some(Json::from_text("once")),
        thread_id: Some("t".to_owned()),
        reply_to: None,
        content_type: None,
        idempotency: Some(Idempotency { key: key.to_owned(), fingerprint: [7; 32] }),
        patience: Patience::Settled,
        origin: Origin::Owner,
    };
    let accepted = from.workspace.address().send(command).await.expect("the workspace lives").expect("accepted");
    accepted.into_iter().next().expect("one recipient")
}

fn state(agent: &Agent, seq: Seq) -> (State, u32) {
    let entry = agent.workspace.home.store.reader().entry(seq).expect("reads").expect("kept");
    (entry.state.state, entry.state.attempts)
}

#[test]
fn a_lane_that_has_been_idle_takes_its_connection_with_it_at_both_ends() {
    run(async {
        let house = House::with_two_agents().await;
        deliver(&house, "first").await;
        assert_eq!((connections(&house.alice).await, connections(&house.bob).await), (1, 1));

        later(LONG).await;
        assert_eq!((connections(&house.alice).await, connections(&house.bob).await), (0, 0));

        deliver(&house, "second").await;
        assert_eq!(house.bob.inbox(), ["first", "second"]);
        assert_eq!((connections(&house.alice).await, connections(&house.bob).await), (1, 1));
    });
}

#[test]
fn a_send_that_is_repeated_after_its_delivery_hears_of_it_though_its_lane_is_gone() {
    run(async {
        let house = House::with_two_agents().await;
        let first = send_once(&house.alice, &house.bob.address, "k").await;
        assert_eq!(first.settled.expect("asked for").await.expect("told").state, State::Delivered);
        later(LONG).await;

        let again = send_once(&house.alice, &house.bob.address, "k").await;

        assert_eq!(again.id, first.id);
        let settled = tokio::time::timeout(Duration::from_secs(5), again.settled.expect("asked for")).await;
        assert_eq!(settled.expect("in time").expect("told").state, State::Delivered);
        assert_eq!(house.bob.inbox_len(), 1);
    });
}

#[test]
fn each_message_gets_the_attempts_that_are_set_whatever_became_of_those_before_it() {
    run(async {
        let house = House::with_alice_trying(3).await;
        house.wire.cut(true);
        let first = house.alice.send(&house.bob.address, "first", Patience::Accepted).await.expect("accepted");
        later(LONG).await;
        assert_eq!(state(&house.alice, first.seq), (State::DeadLetter, 3));

        let second = house.alice.send(&house.bob.address, "second", Patience::Accepted).await.expect("accepted");
        later(Duration::from_millis(10)).await;
        assert_eq!(state(&house.alice, second.seq).0, State::Accepted, "what its lane had tried before is not counted against it");

        house.wire.cut(false);
        assert_eq!(house.bob.has_received(1).await, ["second"]);
    });
}
