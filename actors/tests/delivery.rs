//! What becomes of messages: across refusals, cuts, panics and the owner's decisions.

mod house;

use house::{House, SILENT, run};
use toq_actors::workspace::{Patience, Rule};
use toq_config::ConnectionMode;
use toq_protocol::address::Address;
use toq_protocol::policy::{Ruling, Subject};
use toq_store::record::State;

#[test]
fn a_message_is_delivered_and_its_sender_told() {
    run(async {
        let house = House::with_two_agents().await;

        let accepted = house.alice.send(&house.bob.address, "hello", Patience::Settled).await.expect("accepted");
        let settled = accepted.settled.expect("asked for").await.expect("told");

        assert_eq!(settled.state, State::Delivered);
        assert_eq!(house.bob.inbox(), ["hello"]);
    });
}

#[test]
fn a_name_about_which_nobody_answers_holds_up_no_other_message() {
    run(async {
        let house = House::with_two_agents().await;
        let nowhere = Address::new(SILENT, 9009, house.bob.address.agent().clone());
        let held = house.alice.send(&nowhere, "to nowhere", Patience::Settled).await.expect("accepted");

        let accepted = house.alice.send(&house.bob.address, "hello", Patience::Settled).await.expect("accepted");

        assert_eq!(accepted.settled.expect("asked for").await.expect("told").state, State::Delivered);
        assert!(held.settled.expect("asked for").try_recv().is_err(), "the name is still being asked for");
    });
}

#[test]
fn messages_to_a_peer_that_is_away_arrive_in_order_when_it_is_back() {
    run(async {
        let house = House::with_two_agents().await;
        house.wire.cut(true);
        for text in ["one", "two", "three"] {
            house.alice.send(&house.bob.address, text, Patience::Accepted).await.expect("accepted");
        }
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        assert!(house.bob.inbox().is_empty());

        house.wire.cut(false);

        assert_eq!(house.bob.has_received(3).await, ["one", "two", "three"]);
    });
}

#[test]
fn a_caller_that_waits_gets_the_reason_and_the_message_is_withdrawn_for_good() {
    run(async {
        let house = House::with_two_agents().await;
        house.wire.cut(true);

        let accepted = house.alice.send(&house.bob.address, "now or never", Patience::Settled).await.expect("accepted");
        let settled = accepted.settled.expect("asked for").await.expect("told");
        house.wire.cut(false);
        house.alice.send(&house.bob.address, "later", Patience::Accepted).await.expect("accepted");

        assert_eq!(settled.state, State::Withdrawn);
        assert!(settled.reason.expect("a reason").contains("no agent running"));
        assert_eq!(house.bob.has_received(1).await, ["later"]);
    });
}

#[test]
fn a_message_expires_when_nobody_takes_it_in_its_lifetime() {
    run(async {
        let house = House::with_two_agents().await;
        house.wire.cut(true);
        let accepted = house.alice.send(&house.bob.address, "too late", Patience::Accepted).await.expect("accepted");

        tokio::time::sleep(house.alice.workspace.home.config.delivery.message_ttl + std::time::Duration::from_secs(600)).await;

        let entry = house.alice.workspace.home.store.reader().entry(accepted.seq).expect("reads").expect("stays in history");
        assert_eq!(entry.state.state, State::Expired);
    });
}

#[test]
fn an_unapproved_peer_waits_and_its_message_arrives_after_the_approval() {
    run(async {
        let house = House::with_bob_in(ConnectionMode::Approval).await;
        house.alice.send(&house.bob.address, "may I?", Patience::Accepted).await.expect("accepted");
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        let reader = house.bob.workspace.home.store.reader();
        let pending = reader.approvals().expect("reads");
        assert_eq!(pending.len(), 1);
        assert!(house.bob.inbox().is_empty());

        let approve = Rule::Add(Subject::Key(pending[0].0), Ruling::Approve);
        house.bob.workspace.address().send(approve).await.expect("alive").expect("committed");

        assert_eq!(house.bob.has_received(1).await, ["may I?"]);
        assert!(reader.approvals().expect("reads").is_empty());
    });
}

#[test]
fn a_block_acts_on_a_live_connection() {
    run(async {
        let house = House::with_two_agents().await;
        let first = house.alice.send(&house.bob.address, "in", Patience::Settled).await.expect("accepted");
        first.settled.expect("asked for").await.expect("told");
        let alice = house.alice.workspace.home.local().identity.public();

        let block = Rule::Add(Subject::Key(alice), Ruling::Block);
        house.bob.workspace.address().send(block).await.expect("alive").expect("committed");
        house.alice.send(&house.bob.address, "out", Patience::Accepted).await.expect("accepted");
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;

        assert_eq!(house.bob.inbox(), ["in"]);
    });
}

#[test]
fn the_tree_shows_every_actor_in_its_place() {
    run(async {
        let house = House::with_two_agents().await;
        let accepted = house.alice.send(&house.bob.address, "hello", Patience::Settled).await.expect("accepted");
        accepted.settled.expect("asked for").await.expect("told");

        let tree = house.registry.send(toq_actors::Describe).await.expect("alive");

        let alice = tree.children.iter().find(|child| child.name == "alice").expect("open");
        let kinds: Vec<_> = alice.children.iter().map(|child| child.kind).collect();
        assert_eq!(kinds, ["connection", "outbox", "thread"]);
    });
}

#[test]
fn a_drained_workspace_takes_nothing_more_and_loses_nothing() {
    run(async {
        let house = House::with_two_agents().await;
        house.wire.cut(true);
        house.alice.send(&house.bob.address, "kept", Patience::Accepted).await.expect("accepted");

        let drain = toq_kit::Drain { grace: std::time::Duration::from_secs(1) };
        house.alice.workspace.address().send(drain).await.expect("drained");

        assert!(house.alice.send(&house.bob.address, "refused", Patience::Accepted).await.is_err());
        assert_eq!(house.alice.workspace.home.store.reader().waiting().expect("reads"), 1);
    });
}

#[test]
fn a_message_to_oneself_is_refused() {
    run(async {
        let house = House::with_two_agents().await;

        let refused = house.alice.send(&house.alice.address, "echo", Patience::Accepted).await;

        assert!(refused.is_err());
    });
}
