//! Members that are there and do not read, and members that are not there any more.

mod world;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prost::bytes::Bytes;
use toq_dataplane::{Carriage, Event, Link, LinkError, Options};
use toq_relay::Relay;
use world::{Member, block_on, general, tag, with_config, with_relay};

/// What one publication takes up.
const SIZE: usize = 256 << 10;

fn counter(relay: &Relay, name: &str) -> u64 {
    let named = relay.home().counters.named();
    named.iter().find(|(known, _)| *known == name).expect("a counter").1
}

async fn publish(member: &mut Member, from: u64, to: u64) {
    for number in from..=to {
        member.send_seen(&general(), Carriage::Message, number, Bytes::from(vec![7; SIZE]), None).await;
        assert_eq!(member.accepted().await, (tag(number), number));
    }
}

/// Waits until something is so; fails where it takes too long.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), waiting).await.is_ok(), "not so after a minute: {what}");
}

/// A member whose program has stopped: its socket is open, and nobody looks at it. Ended when it is dropped.
struct Stopped {
    go: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stopped {
    /// Connects and subscribes, and stops once that is in force; the receiver tells when.
    fn start(relay: &Relay) -> (Self, Receiver<()>) {
        let address = relay.grpc;
        let (go, wait) = sync_channel(1);
        let (told, in_force) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let _member = runtime.block_on(async {
                let mut member = Member::at(address).await;
                member.listen(&general(), None).await;
                member
            });
            told.send(()).expect("somebody listens");
            // Nothing of it runs any more, though everything of it is there.
            let _end = wait.recv();
        });
        (Self { go: Some(go), thread: Some(thread) }, in_force)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(self.go.take());
        if let Some(Err(panicked)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panicked);
        }
    }
}

#[test]
fn a_member_that_does_not_read_costs_a_place_in_the_log_and_no_memory() {
    with_relay(|relay| async move {
        let (mut alice, mut bob) = (Member::connect(&relay).await, Member::connect(&relay).await);
        bob.listen(&general(), None).await;

        publish(&mut alice, 1, 96).await;

        // What has been read of the log for Bob is what lies in the relay, in the sockets and at his end, and what he has heard.
        assert_eq!(bob.delivered().await.0, 1);
        let taken = usize::try_from(counter(&relay, "delivered")).expect("few") * SIZE;
        assert!(taken <= 6 << 20, "{taken} bytes are on their way to somebody who does not read");
        for place in 2..=96 {
            assert_eq!(bob.delivered().await.0, place);
        }
        relay
    });
}

#[test]
fn a_member_that_has_vanished_is_dropped_after_the_configured_time_and_its_channel_goes_on() {
    for backlog in [0, 32] {
        with_config(
            |config| config.keepalive = Duration::from_secs(1),
            async |relay| {
                let mut alice = Member::connect(&relay).await;
                let (_bob, in_force) = Stopped::start(&relay);
                until("it listens", || in_force.try_recv().is_ok()).await;
                // With a backlog, what is to be written to the one who has vanished fills every buffer on the way.
                publish(&mut alice, 1, backlog).await;
                assert_eq!(counter(&relay, "connections"), 2);

                until("it is dropped", || counter(&relay, "connections") <= 1).await;

                publish(&mut alice, backlog + 1, backlog + 1).await;
                relay
            },
        );
    }
}

#[test]
fn a_member_that_is_silent_and_there_is_kept() {
    with_config(
        |config| config.keepalive = Duration::from_secs(1),
        async |relay| {
            let mut silent = Member::connect(&relay).await;
            silent.listen(&general(), None).await;
            // Somebody else vanishes and is dropped: the time has passed for everybody.
            let (_gone, in_force) = Stopped::start(&relay);
            until("it listens", || in_force.try_recv().is_ok()).await;
            until("it is dropped", || counter(&relay, "connections") <= 1).await;

            let mut alice = Member::connect(&relay).await;
            publish(&mut alice, 1, 1).await;

            assert!(matches!(silent.next().await, Event::Delivered { seq: 1, .. }));
            relay
        },
    );
}

#[test]
fn a_relay_that_takes_connections_and_does_not_answer_is_told_of_in_time() {
    block_on(async {
        // The system takes the connection; nobody ever looks at it.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", silent.local_addr().expect("bound"));
        let options = Options { connect_timeout: Duration::from_millis(300), ..Options::new(endpoint) };

        let opening = tokio::time::timeout(Duration::from_secs(30), Link::open(options)).await.expect("it ends");

        let Err(LinkError::Unreachable { detail, .. }) = opening else { panic!("{opening:?}") };
        assert!(detail.contains("does not answer"), "{detail}");
    });
}
