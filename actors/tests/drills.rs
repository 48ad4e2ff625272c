//! Panics cost one actor and no message. Needs the feature `faults`; `make crash-check` runs it.
#![cfg(feature = "faults")]

mod house;

use house::{Agent, House, run};
use toq_actors::Counters;
use toq_actors::drill::Drill;
use toq_actors::workspace::Patience;

async fn panics(agent: &Agent) -> u64 {
    Counters::read(&agent.workspace.home.counters.panics)
}

/// Lets a drill happen at both agents in turn while messages go back and forth; every message arrives once.
async fn survives(drill: Drill) {
    let house = House::with_two_agents().await;
    let mut sent = Vec::new();
    for round in 0..3 {
        for victim in [&house.alice, &house.bob] {
            let text = format!("{round} {}", sent.len());
            house.alice.send(&house.bob.address, &text, Patience::Accepted).await.expect("accepted");
            sent.push(text);
            house.bob.has_received(sent.len()).await;

            victim.workspace.address().do_send(drill);
            tokio::time::sleep(std::time::Duration::from_secs(90)).await;
        }
    }

    assert_eq!(house.bob.has_received(sent.len()).await, sent);
    assert!(panics(&house.alice).await + panics(&house.bob).await > 0, "the drill took place");
}

#[test]
fn a_panicking_connection_loses_nothing() {
    run(survives(Drill::Connections));
}

#[test]
fn a_panicking_outbox_is_started_again_from_its_rows() {
    run(survives(Drill::Outboxes));
}

#[test]
fn a_panicking_thread_is_not_missed() {
    run(survives(Drill::Threads));
}

#[test]
fn a_panicking_workspace_is_opened_again_over_the_same_store() {
    run(survives(Drill::Workspace));
}

#[test]
fn messages_in_flight_survive_the_panic_of_whoever_carries_them() {
    run(async {
        for drill in [Drill::Connections, Drill::Outboxes, Drill::Workspace] {
            let house = House::with_two_agents().await;
            let mut sent = Vec::new();
            for number in 0..20 {
                let text = number.to_string();
                house.alice.send(&house.bob.address, &text, Patience::Accepted).await.expect("accepted");
                sent.push(text);
                if number == 10 {
                    house.alice.workspace.address().do_send(drill);
                    house.bob.workspace.address().do_send(drill);
                    tokio::time::sleep(std::time::Duration::from_secs(90)).await;
                }
            }

            assert_eq!(house.bob.has_received(20).await, sent, "{drill:?}");
        }
    });
}
