//! `system.key_rotation`, from outside: who is connected or can be reached follows a new key without waiting for a message.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use toq_net::BoxedIo;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::{Kind, Unverified};
use toq_protocol::frame::{Decoder, MAX_FRAME, encode};
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::rotation::published_proof;
use world::stranger::{Stranger, connect, published_request};
use world::{Agent, World, eventually};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn free_port() -> String {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string()
}

fn rotate(agent: &Agent) -> Value {
    let answer = agent.post("/v1/keys/rotate", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["new_public_key"].clone()
}

fn send(from: &Agent, to: &Agent) {
    let body = json!({"to": to.address(), "body": {"text": "hello"}});
    let answer = from.post("/v1/messages?wait=true&timeout=10", &body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn known(agent: &Agent) -> Vec<Value> {
    agent.get("/v1/peers").json()["peers"].as_array().unwrap().iter().map(|peer| peer["public_key"].clone()).collect()
}

#[test]
fn a_peer_that_is_connected_follows_before_anything_else_is_said() {
    let world = World::new();
    let alice = world.agent("alice", &[("connection_mode", "open")]);
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    // bob dials; alice knows his address from his word alone, so she does not dial it.
    send(&bob, &alice);
    assert_eq!(alice.get("/v1/peers").json()["peers"][0]["verified"], false);

    let new = rotate(&alice);

    eventually("bob knows the new key", || (known(&bob) == [new.clone()]).then_some(()));
    let event = bob.first_event("/v1/events?since=0&type=peer.key_rotated");
    assert_eq!(event["id"], new);
}

#[test]
fn a_peer_that_is_not_connected_and_can_be_reached_is_dialled() {
    let world = World::new();
    let (here, there) = (free_port(), free_port());
    let alice = world.agent("alice", &[("port", &here), ("connection_mode", "open")]);
    let bob = world.agent("bob", &[("port", &there), ("connection_mode", "open")]);
    let carol = world.agent("carol", &[("connection_mode", "open")]);
    send(&alice, &bob);
    send(&alice, &carol);
    assert!(alice.toq(&["down"]).status.success() && carol.toq(&["down"]).status.success());
    assert!(world.up(&alice.place).status.success());

    let new = rotate(&alice);

    eventually("bob knows the new key", || (known(&bob) == [new.clone()]).then_some(()));
    // carol was away and meets the proof in the next handshake.
    assert!(world.up(&carol.place).status.success());
    let carol = world.running("carol", &carol.place);
    send(&carol, &alice);
    eventually("carol knows the new key", || (known(&carol) == [new.clone()]).then_some(()));
}

/// A peer that speaks the published protocol, in an open session with bob.
struct Link {
    io: BoxedIo,
    decoder: Decoder,
    bob: PeerKey,
}

impl Link {
    async fn open(stranger: &Stranger, bob: &Agent, challenge: u8) -> Self {
        let key = PeerKey::parse(bob.get("/v1/status").json()["public_key"].as_str().unwrap()).unwrap();
        let mut link = Self { io: connect(bob).await, decoder: Decoder::new(), bob: key };
        stranger.greet(&mut link.io, challenge).await;
        link.write(stranger, bob, Kind::NegotiateRequest, 0, published_request()).await;
        let card = json!({"name": "stranger", "public_key": stranger.identity.public().to_string(), "protocol_version": "0.1"});
        link.write(stranger, bob, Kind::CardExchange, 1, Json::from_value(&card)).await;
        link
    }

    async fn write(&mut self, stranger: &Stranger, bob: &Agent, kind: Kind, sequence: u64, body: Json) {
        let envelope = stranger.envelope(kind, &bob.address(), sequence, body);
        // Whoever is not let in is closed under his hands; what is read next tells.
        let _closed = self.io.write_all(&encode(&envelope.sign(&stranger.identity)).unwrap()).await;
        let _closed = self.io.flush().await;
    }

    /// Reads until an envelope of this kind comes; `None` where the connection ends before.
    async fn read(&mut self, kind: Kind) -> Option<Value> {
        let mut buffer = [0; 4096];
        loop {
            while let Some(frame) = self.decoder.next_frame(MAX_FRAME).unwrap() {
                let envelope = Unverified::parse(&frame).unwrap().verify(&self.bob).unwrap();
                if envelope.kind == kind {
                    return Some(
                        serde_json::from_str(envelope.body.map_or("null".to_owned(), |body| body.as_str().to_owned()).as_str()).unwrap(),
                    );
                }
            }
            let read = tokio::time::timeout(Duration::from_secs(20), self.io.read(&mut buffer)).await.unwrap().unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.decoder.push(&buffer[..read]);
        }
    }

    /// Says in the published form that this key comes, and returns the answer.
    async fn says(&mut self, stranger: &Stranger, bob: &Agent, new: &Identity, signer: &Identity, sequence: u64) -> Value {
        let body =
            json!({"new_public_key": new.public().to_string(), "rotation_proof": published_proof(signer, &new.public()).to_string()});
        self.write(stranger, bob, Kind::SystemKeyRotation, sequence, Json::from_value(&body)).await;
        self.read(Kind::SystemKeyRotationAck).await.unwrap()
    }
}

#[test]
fn a_published_notice_is_kept_until_the_key_that_it_names_comes_by_itself() {
    let world = World::new();
    let bob = world.agent("bob", &[]);
    let (old, new, other) = (Stranger::new(31), Stranger::new(32), Stranger::new(33));
    let key = |stranger: &Stranger| json!({"key": stranger.identity.public().to_string()}).to_string();
    assert_eq!(bob.post("/v1/approve", &key(&old)).status, 200);
    block_on(async {
        let mut link = Link::open(&old, &bob, 1).await;
        assert!(link.read(Kind::CardExchange).await.is_some());

        let forged = link.says(&old, &bob, &new.identity, &other.identity, 2).await;
        let good = link.says(&old, &bob, &new.identity, &old.identity, 3).await;
        let second = link.says(&old, &bob, &other.identity, &old.identity, 4).await;

        assert_eq!((&forged["accepted"], &good["accepted"], &second["accepted"]), (&json!(false), &json!(true), &json!(false)));
        assert_eq!(known(&bob), [json!(old.identity.public().to_string())], "nothing goes over for a word alone");

        // The same key from elsewhere is a stranger; from the address of the old one it is believed, once it is here.
        let mut elsewhere = Stranger::new(32);
        elsewhere.address = toq_protocol::address::Address::parse("toq://127.0.0.1:2/stranger").unwrap();
        assert!(Link::open(&elsewhere, &bob, 2).await.read(Kind::CardExchange).await.is_none());
        assert!(Link::open(&other, &bob, 3).await.read(Kind::CardExchange).await.is_none());
        assert!(Link::open(&new, &bob, 4).await.read(Kind::CardExchange).await.is_some());
    });
    let approved = bob.get("/v1/permissions").json()["approved"].clone();
    assert!(approved.as_array().unwrap().iter().any(|rule| rule["value"] == new.identity.public().to_string()), "{approved}");
    assert!(known(&bob).contains(&json!(new.identity.public().to_string())));
}
