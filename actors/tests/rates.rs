//! Peers that send faster than they may.

mod house;

use std::time::Duration;

use house::{Agent, House, run};
use toq_actors::connection::ConnectionId;
use toq_actors::workspace::{Connections, Deliver, Delivered, Patience, Stored};
use toq_protocol::address::Address;
use toq_protocol::envelope::{Envelope, Kind, VERSION};
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::message::MessageId;
use toq_protocol::reason::Reason;

const SECOND: Duration = Duration::from_secs(1);

/// Gives bob so many messages as this peer's connection would.
async fn deliver(bob: &Agent, peer: u8, messages: u8) -> Delivered {
    let address = Address::parse(&format!("toq://127.0.0.1:1/peer{peer}")).expect("valid");
    let envelope = |id: u8| Envelope {
        version: VERSION.to_owned(),
        id: MessageId::from_random([id; 16]),
        kind: Kind::MessageSend,
        from: address.clone(),
        to: vec![bob.address.clone()],
        thread_id: None,
        reply_to: None,
        sequence: u64::from(id),
        timestamp: bob.workspace.home.wall().to_string(),
        priority: None,
        content_type: None,
        ttl: None,
        compression: None,
        e2e_nonce: None,
        body: None,
    };
    let envelopes = (0..messages).map(envelope).collect();
    let deliver = Deliver { connection: ConnectionId(0), peer: key(peer), address, source: None, is_bound: false, envelopes };
    bob.workspace.address().send(deliver).await.expect("alive")
}

fn key(peer: u8) -> PeerKey {
    Identity::from_seed(&[peer; 32]).public()
}

#[test]
fn a_peer_far_above_its_limit_is_slowed_loses_nothing_and_keeps_its_connection() {
    run(async {
        let house = House::with_bob_taking(10).await;
        let start = house.bob.workspace.home.clock.monotonic();
        let mut last = None;

        for number in 0..200 {
            last = Some(house.alice.send(&house.bob.address, &number.to_string(), Patience::Settled).await.expect("accepted"));
        }
        let meanwhile = deliver(&house.bob, 77, 3).await;
        last.and_then(|last| last.settled).expect("asked for").await.expect("told");

        assert_eq!(meanwhile, Delivered { stored: vec![Stored::Committed; 3], pause: Duration::ZERO }, "another peer is not slowed");
        let took = house.bob.workspace.home.clock.monotonic() - start;
        assert!(took > 15 * SECOND && took < 40 * SECOND, "200 messages at ten a second took {took:?} of the paused clock");
        let texts: Vec<String> = house.bob.inbox().into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(texts, (0..200).map(|number| number.to_string()).collect::<Vec<_>>(), "all, once, in order");
        let links = house.bob.workspace.address().send(Connections).await.expect("alive");
        assert_eq!(links.len(), 1, "a pause ends no connection");
        assert!(!house.bob.events().iter().any(|(kind, ..)| kind == "peer.muted"), "who heeds the hints is not muted");
    });
}

#[test]
fn who_goes_on_regardless_is_muted_visibly_and_heard_again_later() {
    run(async {
        let house = House::with_bob_taking(10).await;
        let mut refused = None;
        for _ in 0..100 {
            let delivered = deliver(&house.bob, 66, 50).await;
            if delivered.stored.iter().all(|stored| *stored == Stored::Refused(Reason::ResourceExhausted)) {
                refused = Some(delivered.pause);
                break;
            }
        }

        assert_eq!(refused, Some(60 * SECOND));
        let other = deliver(&house.bob, 77, 3).await;
        assert_eq!(other.stored, vec![Stored::Committed; 3]);
        let muted = || house.bob.events().into_iter().find(|(kind, ..)| kind == "peer.muted");
        while muted().is_none() {
            tokio::time::sleep(SECOND).await;
        }
        assert_eq!(muted().map(|(_, subject, _)| subject), Some(key(66).to_string()));
        tokio::time::sleep(61 * SECOND).await;
        assert_eq!(deliver(&house.bob, 66, 1).await.stored, vec![Stored::Committed]);
    });
}

#[test]
fn a_muted_peer_of_our_own_kind_delivers_everything_in_the_end() {
    run(async {
        let house = House::with_bob_taking(10).await;
        let alice = house.alice.workspace.home.local();
        let envelope = |id: u8| Deliver {
            connection: ConnectionId(0),
            peer: alice.identity.public(),
            address: alice.address.clone(),
            source: None,
            is_bound: false,
            envelopes: vec![
                Envelope {
                    version: VERSION.to_owned(),
                    id: MessageId::from_random([id; 16]),
                    kind: Kind::MessageSend,
                    from: alice.address.clone(),
                    to: vec![house.bob.address.clone()],
                    thread_id: None,
                    reply_to: None,
                    sequence: 0,
                    timestamp: house.bob.workspace.home.wall().to_string(),
                    priority: None,
                    content_type: None,
                    ttl: None,
                    compression: None,
                    e2e_nonce: None,
                    body: None,
                };
                50
            ],
        };
        for id in 0..30 {
            house.bob.workspace.address().send(envelope(id)).await.expect("alive");
        }

        let sent = house.alice.send(&house.bob.address, "late", Patience::Accepted).await.expect("accepted");

        while !house.bob.inbox().contains(&"late".to_owned()) {
            tokio::time::sleep(SECOND).await;
        }
        let state = house.alice.workspace.home.store.reader().entry(sent.seq).expect("reads").expect("there");
        assert!(!state.state.state.is_final() || state.state.state == toq_store::record::State::Delivered);
        assert!(house.bob.events().iter().any(|(kind, ..)| kind == "peer.muted"));
    });
}
