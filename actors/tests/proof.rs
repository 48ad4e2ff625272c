//! Who may speak for an address, and what happens when its key changes.

mod house;

use std::time::Duration;

use house::{Agent, House, later, run};
use toq_actors::workspace::{Patience, Rule, SetMode};
use toq_config::ConnectionMode;
use toq_protocol::address::Address;
use toq_protocol::dns::Record;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Mode, Pattern, Proof, Ruling, Subject};
use toq_store::Seq;
use toq_store::record::{ApprovalRow, Direction, State};

fn key(agent: &Agent) -> PeerKey {
    agent.workspace.home.local().identity.public()
}

fn questions(agent: &Agent) -> Vec<(PeerKey, ApprovalRow)> {
    agent.workspace.home.store.reader().approvals().expect("reads")
}

async fn decide(agent: &Agent, rule: Rule) {
    agent.workspace.address().send(rule).await.expect("alive").expect("committed");
}

/// How the senders of incoming messages were known.
fn proofs(agent: &Agent) -> Vec<Proof> {
    let rows = agent.workspace.home.store.reader().messages_after(Seq(0), 100).expect("reads");
    rows.into_iter().filter(|(_, row)| row.direction() == Direction::In).map(|(_, row)| row.proof()).collect()
}

#[test]
fn a_key_that_was_met_at_an_address_is_pinned_to_it() {
    run(async {
        let house = House::with_two_agents().await;
        house.alice.send(&house.bob.address, "hi", Patience::Accepted).await.expect("accepted");
        house.bob.has_received(1).await;
        house.bob.send(&house.alice.address, "hello", Patience::Accepted).await.expect("accepted");
        house.alice.has_received(1).await;
        house.alice.send(&house.bob.address, "again", Patience::Accepted).await.expect("accepted");
        house.bob.has_received(2).await;

        let pin = house.alice.workspace.home.store.reader().pin(&house.bob.address).expect("reads").expect("pinned");
        assert_eq!(pin.peer(), key(&house.bob));
        assert_eq!(proofs(&house.alice), [Proof::Pinned], "alice had dialled bob before he wrote");
        assert_eq!(proofs(&house.bob)[0], Proof::Claimed);
    });
}

#[test]
fn another_key_at_a_pinned_address_gets_nothing_until_the_owner_accepts_it() {
    run(async {
        let house = House::with_two_agents().await;
        house.alice.send(&house.bob.address, "before", Patience::Accepted).await.expect("accepted");
        house.bob.has_received(1).await;
        let mallory = house.impostor("mallory", &house.bob.address, 77).await;
        house.lead(&house.bob.address, &mallory);
        later(Duration::from_secs(400)).await;

        let accepted = house.alice.send(&house.bob.address, "secret", Patience::Settled).await.expect("accepted");
        let settled = accepted.settled.expect("asked for").await.expect("told");
        house.alice.send(&house.bob.address, "later", Patience::Accepted).await.expect("accepted");
        later(Duration::from_secs(600)).await;

        assert_eq!(settled.state, State::Withdrawn);
        assert!(settled.reason.expect("a reason").contains("another key"));
        assert!(mallory.inbox().is_empty());
        let asked = questions(&house.alice);
        assert_eq!(asked.len(), 1);
        assert_eq!((asked[0].0, asked[0].1.previous()), (key(&mallory), Some(key(&house.bob))));

        decide(&house.alice, Rule::Add(Subject::Key(key(&mallory)), Ruling::Approve)).await;
        assert_eq!(mallory.has_received(1).await, ["later"]);
        assert!(questions(&house.alice).is_empty());
    });
}

#[test]
fn a_stranger_who_claims_a_pinned_address_is_held_in_every_mode() {
    run(async {
        let house = House::with_two_agents().await;
        house.bob.send(&house.alice.address, "hi", Patience::Accepted).await.expect("accepted");
        house.alice.has_received(1).await;
        let mallory = house.impostor("mallory", &house.alice.address, 77).await;

        mallory.send(&house.bob.address, "I am alice", Patience::Accepted).await.expect("accepted");
        later(Duration::from_secs(60)).await;

        assert!(house.bob.inbox().is_empty());
        let asked = questions(&house.bob);
        assert_eq!((asked[0].0, asked[0].1.previous()), (key(&mallory), Some(key(&house.alice))));
    });
}

#[test]
fn an_approved_address_admits_only_whoever_answers_there() {
    run(async {
        let house = House::with_bob_in(ConnectionMode::Approval).await;
        decide(&house.bob, Rule::Add(Subject::Address(Pattern::new("toq://127.0.0.1/*")), Ruling::Approve)).await;
        let mallory = house.impostor("mallory", &house.alice.address, 77).await;

        mallory.send(&house.bob.address, "I am alice", Patience::Accepted).await.expect("accepted");
        later(Duration::from_secs(60)).await;
        assert!(house.bob.inbox().is_empty());
        assert_eq!(questions(&house.bob)[0].0, key(&mallory));
        assert_eq!(questions(&house.bob)[0].1.previous(), None);

        house.alice.send(&house.bob.address, "so am I", Patience::Accepted).await.expect("accepted");
        assert_eq!(house.bob.has_received(1).await, ["so am I"]);
        assert_eq!(proofs(&house.bob), [Proof::Dialled]);
        let pin = house.bob.workspace.home.store.reader().pin(&house.alice.address).expect("reads").expect("pinned");
        assert_eq!(pin.peer(), key(&house.alice));
    });
}

#[test]
fn dns_verified_admits_whom_the_domain_names_and_refuses_the_rest() {
    run(async {
        let house = House::with_bob_in(ConnectionMode::DnsVerified).await;
        let address = Address::parse("toq://alice.test/alice").expect("valid");
        let genuine = house.impostor("genuine", &address, 41).await;
        let forged = house.impostor("forged", &address, 42).await;
        house.wire.announce("alice.test", Record::announcing(address.agent(), &key(&genuine), 9009).to_string());

        for sender in [&forged, &house.alice, &genuine] {
            sender.send(&house.bob.address, "hi", Patience::Accepted).await.expect("accepted");
        }
        later(Duration::from_secs(60)).await;

        assert_eq!(proofs(&house.bob), [Proof::Dns]);
        assert!(questions(&house.bob).is_empty(), "nobody is asked");
    });
}

#[test]
fn a_change_of_mode_acts_on_whoever_is_inside() {
    run(async {
        let house = House::with_two_agents().await;
        house.alice.send(&house.bob.address, "in", Patience::Accepted).await.expect("accepted");
        house.bob.has_received(1).await;

        house.bob.workspace.address().send(SetMode(Mode::Allowlist)).await.expect("alive");
        house.alice.send(&house.bob.address, "out", Patience::Accepted).await.expect("accepted");
        later(Duration::from_secs(60)).await;
        assert_eq!(house.bob.inbox(), ["in"]);

        decide(&house.bob, Rule::Add(Subject::Key(key(&house.alice)), Ruling::Approve)).await;
        assert_eq!(house.bob.has_received(2).await, ["in", "out"]);
    });
}

#[test]
fn a_block_takes_away_every_approval_that_it_covers_and_the_question() {
    run(async {
        let house = House::with_bob_in(ConnectionMode::Approval).await;
        house.alice.send(&house.bob.address, "may I?", Patience::Accepted).await.expect("accepted");
        later(Duration::from_secs(5)).await;
        assert_eq!(questions(&house.bob).len(), 1);

        let all = Subject::Address(Pattern::new("toq://127.0.0.1/*"));
        decide(&house.bob, Rule::Add(Subject::Address(Pattern::new("toq://127.0.0.1/carol")), Ruling::Approve)).await;
        decide(&house.bob, Rule::Add(all.clone(), Ruling::Block)).await;
        assert!(questions(&house.bob).is_empty());
        assert_eq!(house.bob.workspace.home.store.reader().rules().expect("reads"), [(all.clone(), Ruling::Block)]);

        decide(&house.bob, Rule::Remove(all, Ruling::Block)).await;
        later(Duration::from_secs(600)).await;
        assert!(house.bob.inbox().is_empty(), "the approval has not come back");
        assert_eq!(questions(&house.bob).len(), 1, "but alice may ask again");
    });
}

#[test]
fn a_question_does_not_change_under_the_owner_who_reads_it() {
    run(async {
        let house = House::with_bob_in(ConnectionMode::Approval).await;
        house.bob.send(&house.alice.address, "hi", Patience::Accepted).await.expect("accepted");
        house.alice.has_received(1).await;
        let home = Address::parse("toq://127.0.0.1:9107/mallory").expect("valid");
        let mallory = house.impostor("mallory", &home, 77).await;
        mallory.send(&house.bob.address, "let me in", Patience::Accepted).await.expect("accepted");
        later(Duration::from_secs(5)).await;
        assert_eq!(questions(&house.bob)[0].1.address, home.written());

        // The same key comes back as somebody whom bob knows.
        let again = house.impostor("again", &house.alice.address, 77).await;
        again.send(&house.bob.address, "I am alice", Patience::Accepted).await.expect("accepted");
        later(Duration::from_secs(5)).await;
        let asked = questions(&house.bob);
        assert_eq!((asked.len(), asked[0].1.address.as_str(), asked[0].1.previous()), (1, home.written().as_str(), None));

        decide(&house.bob, Rule::Add(Subject::Key(key(&mallory)), Ruling::Approve)).await;
        assert_eq!(house.bob.has_received(1).await, ["let me in"]);
        let pin = house.bob.workspace.home.store.reader().pin(&house.alice.address).expect("reads").expect("pinned");
        assert_eq!(pin.peer(), key(&house.alice), "the address is still alice's");
        later(Duration::from_secs(600)).await;
        assert_eq!(house.bob.inbox(), ["let me in"]);
        assert_eq!(questions(&house.bob)[0].1.previous(), Some(key(&house.alice)), "that is a question of its own");
    });
}
