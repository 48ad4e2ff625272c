//! What an owner decides reaches whoever waits for it.

mod house;

use std::time::Duration;

use house::{Agent, House, later, run};
use toq_actors::connection::tell;
use toq_actors::workspace::{Patience, Rule};
use toq_config::ConnectionMode;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Ruling, Subject};
use toq_protocol::session::Decision;
use toq_store::record::State;

/// Long enough for the pauses between attempts to have grown to minutes.
const LONG: Duration = Duration::from_secs(3600);

/// Much shorter than such a pause.
const SOON: Duration = Duration::from_secs(2);

fn key(agent: &Agent) -> PeerKey {
    agent.workspace.home.local().identity.public()
}

async fn decide(agent: &Agent, rule: Rule) {
    agent.workspace.address().send(rule).await.expect("alive").expect("committed");
}

/// How often bob was asked for alice.
fn requests(bob: &Agent) -> u32 {
    let open = bob.workspace.home.store.reader().approvals().expect("reads");
    open.first().map_or(0, |(_, row)| row.requests)
}

fn heard(agent: &Agent, kind: &str) -> Vec<String> {
    agent.events().into_iter().filter(|(found, _, _)| found == kind).map(|(_, subject, _)| subject).collect()
}

/// Alice has tried for a long time to send one message to bob, who has not decided about her.
async fn waiting() -> House {
    let house = House::with_bob_in(ConnectionMode::Approval).await;
    house.alice.send(&house.bob.address, "hello", Patience::Accepted).await.expect("accepted");
    later(LONG).await;
    assert!(house.bob.inbox().is_empty() && requests(&house.bob) > 1);
    house
}

#[test]
fn an_approved_stranger_is_told_and_its_message_comes_at_once() {
    run(async {
        let house = waiting().await;

        decide(&house.bob, Rule::Add(Subject::Key(key(&house.alice)), Ruling::Approve)).await;
        later(SOON).await;

        assert_eq!(house.bob.inbox(), ["hello"]);
        assert_eq!(heard(&house.alice, "approval.granted"), [key(&house.bob).to_string()]);
    });
}

#[test]
fn a_denied_stranger_hears_of_it_once_and_its_message_goes_on_waiting() {
    run(async {
        let house = House::with_bob_in(ConnectionMode::Approval).await;
        let sent = house.alice.send(&house.bob.address, "hello", Patience::Accepted).await.expect("accepted");
        later(LONG).await;

        decide(&house.bob, Rule::Deny(key(&house.alice))).await;
        later(SOON).await;

        assert_eq!(heard(&house.alice, "approval.denied"), [key(&house.bob).to_string()]);
        let entry = house.alice.workspace.home.store.reader().entry(sent.seq).expect("reads").expect("there");
        assert_eq!(entry.state.state, State::Accepted);
        later(LONG).await;
        assert!(requests(&house.bob) > 0, "the door is open for another try");
        assert!(house.bob.inbox().is_empty());
    });
}

#[test]
fn an_address_that_nobody_reaches_costs_the_owner_nothing() {
    run(async {
        let house = waiting().await;
        house.wire.cut(true);

        decide(&house.bob, Rule::Add(Subject::Key(key(&house.alice)), Ruling::Approve)).await;
        later(SOON).await;
        assert!(heard(&house.alice, "approval.granted").is_empty());
        house.wire.cut(false);

        assert_eq!(house.bob.has_received(1).await, ["hello"], "the stranger asks again by itself");
    });
}

#[test]
fn nobody_but_the_agent_that_is_waited_for_can_cause_a_retry() {
    run(async {
        let house = waiting().await;
        let mallory = house.impostor("mallory", &house.bob.address, 77).await;
        let before = requests(&house.bob);

        for _ in 0..5 {
            let target = (house.alice.address.clone(), key(&house.alice));
            tell(mallory.workspace.home.clone(), target.0, target.1, Decision::Granted).await.expect("told");
        }
        later(SOON).await;

        assert_eq!(requests(&house.bob), before);
        assert!(heard(&house.alice, "approval.granted").is_empty());
    });
}

#[test]
fn an_agent_that_says_yes_again_and_again_causes_one_retry() {
    run(async {
        let house = waiting().await;
        let before = requests(&house.bob);

        for _ in 0..20 {
            let target = (house.alice.address.clone(), key(&house.alice));
            tell(house.bob.workspace.home.clone(), target.0, target.1, Decision::Granted).await.expect("told");
            later(Duration::from_millis(50)).await;
        }

        assert_eq!((requests(&house.bob), heard(&house.alice, "approval.granted").len()), (before + 1, 1));
    });
}
