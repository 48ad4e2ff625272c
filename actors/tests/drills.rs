//! Panics cost one actor and no message. Needs the feature `faults`; `make crash-check` runs it.
#![cfg(feature = "faults")]

mod house;

use house::{Agent, House, run};
use tokio::io::AsyncWriteExt as _;
use toq_actors::Counters;
use toq_actors::drill::Drill;
use toq_actors::registry::OpenDoor;
use toq_actors::workspace::{EndStream, OpenStream, Patience, Rule, StreamChunk};
use toq_protocol::policy::{Ruling, Subject};

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

#[test]
fn a_panicking_question_is_asked_again_and_can_be_answered() {
    run(async {
        let house = House::with_bob_in(toq_config::ConnectionMode::Approval).await;
        house.alice.send(&house.bob.address, "may I?", Patience::Accepted).await.expect("accepted");
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;

        house.bob.workspace.address().do_send(Drill::Approvals);
        tokio::time::sleep(std::time::Duration::from_secs(90)).await;

        assert!(panics(&house.bob).await > 0, "the drill took place");
        let alice = house.alice.workspace.home.local().identity.public();
        assert!(house.bob.workspace.home.store.reader().approval(&alice).expect("reads").is_some());
        let tree = house.registry.send(toq_actors::Describe).await.expect("alive");
        let bob = tree.children.iter().find(|child| child.name == "bob").expect("open");
        assert!(bob.children.iter().any(|child| child.kind == "approval"), "its expiry is watched again");
        let approve = Rule::Add(Subject::Key(alice), Ruling::Approve);
        house.bob.workspace.address().send(approve).await.expect("alive").expect("committed");
        assert_eq!(house.bob.has_received(1).await, ["may I?"]);
    });
}

#[test]
fn a_panicking_stream_ends_at_both_sides_and_the_next_one_works() {
    run(async {
        let house = House::with_two_agents().await;
        let open = || OpenStream { to: house.bob.address.clone(), thread_id: None, stream_id: None, only: None };
        let alice = house.alice.workspace.address();
        let stream_id = alice.send(open()).await.expect("alive").expect("opened").stream_id;
        let chunk = |stream_id: &str| StreamChunk { stream_id: stream_id.to_owned(), text: "half a sent".to_owned() };
        alice.send(chunk(&stream_id)).await.expect("alive").expect("taken");

        for victim in [&house.bob, &house.alice] {
            victim.workspace.address().do_send(Drill::Streams);
        }
        tokio::time::sleep(std::time::Duration::from_secs(90)).await;
        assert!(panics(&house.alice).await > 0 && panics(&house.bob).await > 0, "the drill took place");
        assert!(alice.send(chunk(&stream_id)).await.expect("alive").is_err(), "what is broken is never resumed silently");

        let stream_id = alice.send(open()).await.expect("alive").expect("opened").stream_id;
        alice.send(chunk(&stream_id)).await.expect("alive").expect("taken");
        let end = EndStream { stream_id, text: Some("ence".to_owned()), close_thread: false, answers: None };
        alice.send(end).await.expect("alive").expect("ended");
        assert_eq!(house.bob.inbox().last().map(String::as_str), Some("half a sentence"));
    });
}

#[test]
fn a_panicking_door_is_opened_again_at_the_same_port() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let house = House::with_two_agents().await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let (plain, mut arrived) = tokio::sync::mpsc::channel(1);
        let dir = tempfile::TempDir::new().expect("a directory");
        let keys = toq_vault::Keys::open(&dir.path().join("keys")).expect("keys");
        let acceptor = toq_net::tls::acceptor(&keys.certificate).expect("TLS");
        let open = OpenDoor { listener, acceptor, plain, seat: toq_kit::Seat::Here, seats: 8, seats_per_source: 8 };
        house.registry.send(open).await.expect("alive");
        house.registry.do_send(Drill::Doors);

        // Connected in the kernel before anybody accepts; the byte says that it is no TLS.
        let mut client = tokio::net::TcpStream::connect(address).await.expect("the port is still listened at");
        client.write_all(b"G").await.expect("written");

        let accepted = arrived.recv().await.expect("the new door accepts it");
        assert_eq!(accepted.peer_addr().expect("connected"), client.local_addr().expect("connected"));
        let tree = house.registry.send(toq_actors::Describe).await.expect("alive");
        assert!(tree.children.iter().any(|child| child.kind == "door"));
    });
}
