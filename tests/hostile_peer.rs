//! Strangers on the peer port: whatever they send, nothing is delivered for it and nobody else waits.

mod world;

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use toq_protocol::address::{Address, AgentName};
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::frame::{Decoder, MAX_FRAME, encode};
use toq_protocol::handshake::MAGIC;
use toq_protocol::key::Identity;
use world::stranger::{Stranger, closed, connect, published_request};
use world::{Agent, World};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn bob(world: &World) -> Agent {
    world.agent("bob", &[("connection_mode", "open")])
}

#[test]
fn garbage_is_met_with_silence() {
    let world = World::new();
    let bob = bob(&world);
    block_on(async {
        let stranger = Stranger::new(7);
        let oversized = [&MAGIC[..], &u32::MAX.to_be_bytes()].concat();
        let not_json = [MAGIC.to_vec(), encode(b"not json").expect("small")].concat();
        let mut tampered = [MAGIC.to_vec(), stranger.hello(1)].concat();
        let middle = tampered.len() / 2;
        tampered[middle] ^= 1;
        for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), b"TOQ\x02".to_vec(), oversized, not_json, tampered] {
            let mut io = connect(&bob).await;
            io.write_all(&garbage).await.expect("writes");
            io.flush().await.expect("writes");

            assert!(closed(&mut io).await.is_empty());
        }
    });
    assert_eq!(bob.get("/v1/health").status, 200);
    assert!(bob.get("/v1/peers").json()["peers"].as_array().expect("a list").is_empty());
}

#[test]
fn an_oversized_frame_and_a_wrong_signature_end_a_session() {
    let world = World::new();
    let bob = bob(&world);
    block_on(async {
        let stranger = Stranger::new(8);
        let mut io = connect(&bob).await;
        stranger.greet(&mut io, 1).await;
        io.write_all(&0x0010_0001_u32.to_be_bytes()).await.expect("writes");
        io.flush().await.expect("writes");
        closed(&mut io).await;

        let mut io = connect(&bob).await;
        stranger.greet(&mut io, 2).await;
        let request = stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request());
        let forged = request.sign(&Identity::from_seed(&[99; 32]));
        io.write_all(&encode(&forged).expect("small")).await.expect("writes");
        io.flush().await.expect("writes");
        closed(&mut io).await;
    });
    assert!(bob.get("/v1/peers").json()["peers"].as_array().expect("a list").is_empty());
}

#[test]
fn a_replayed_session_is_refused_even_after_a_restart() {
    let world = World::new();
    // A port that no other daemon takes while this one is down: the automatic ones are below it.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port().to_string();
    let bob = world.agent("bob", &[("connection_mode", "open"), ("port", &port)]);
    let stranger = Stranger::new(9);
    let message = Json::from_value(&json!({"text": "once"}));
    let recorded: Vec<Vec<u8>> = {
        let card = json!({"name": "stranger", "public_key": stranger.identity.public().to_string(), "protocol_version": "0.1"});
        let envelopes = [
            stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request()),
            stranger.envelope(Kind::CardExchange, &bob.address(), 1, Json::from_value(&card)),
            stranger.envelope(Kind::MessageSend, &bob.address(), 2, message),
        ];
        envelopes.iter().map(|envelope| encode(&envelope.sign(&stranger.identity)).expect("small")).collect()
    };
    let play = |bob: &Agent| {
        block_on(async {
            let mut io = connect(bob).await;
            stranger.greet(&mut io, 1).await;
            for frame in &recorded {
                // A refused replay is closed under our hands.
                let _closed = io.write_all(frame).await;
            }
            let _closed = io.flush().await;
            let mut said = vec![0; 4096];
            tokio::time::timeout(Duration::from_secs(20), io.read(&mut said)).await.expect("an answer or a close").unwrap_or(0)
        })
    };

    assert!(play(&bob) > 0, "the first time is good");
    assert_eq!(bob.has_received(1)[0]["body"]["text"], "once");
    assert_eq!(play(&bob), 0, "the second time is met with a close");
    bob.toq(&["down"]);
    assert!(world.up(&bob.place).status.success());
    assert_eq!(play(&bob), 0, "and so is a replay after a restart");

    assert_eq!(bob.get("/v1/messages/history").json()["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
fn one_key_has_so_many_sessions_and_no_more() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open"), ("limits.connections_per_key", "2")]);
    let stranger = Stranger::new(11);
    let open = |challenge: u8| {
        let (bob, stranger) = (&bob, &stranger);
        async move {
            let mut io = connect(bob).await;
            stranger.greet(&mut io, challenge).await;
            let request = stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request());
            let card = json!({"name": "stranger", "public_key": stranger.identity.public().to_string(), "protocol_version": "0.1"});
            let card = stranger.envelope(Kind::CardExchange, &bob.address(), 1, Json::from_value(&card));
            for envelope in [request, card] {
                io.write_all(&encode(&envelope.sign(&stranger.identity)).expect("small")).await.expect("writes");
            }
            io.flush().await.expect("writes");
            io
        }
    };
    let connections = || bob.get("/v1/connections").json()["connections"].as_array().map(Vec::len);

    block_on(async {
        let mut first = open(1).await;
        world::eventually("the first session opens", || (connections() == Some(1)).then_some(()));
        let _second = open(2).await;
        world::eventually("the second session opens", || (connections() == Some(2)).then_some(()));
        let _third = open(3).await;

        closed(&mut first).await;
        world::eventually("two are left", || (connections() == Some(2)).then_some(()));
    });
}

#[test]
fn a_published_peer_above_its_limit_is_read_late_and_told_nothing_but_acknowledgements() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open"), ("limits.messages_per_second_per_peer", "20")]);
    let stranger = Stranger::new(12);
    let answers = block_on(async {
        let mut io = connect(&bob).await;
        stranger.greet(&mut io, 1).await;
        let card = json!({"name": "stranger", "public_key": stranger.identity.public().to_string(), "protocol_version": "0.1"});
        let mut envelopes = vec![
            stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request()),
            stranger.envelope(Kind::CardExchange, &bob.address(), 1, Json::from_value(&card)),
        ];
        let text = |number: u64| Json::from_value(&json!({"text": number.to_string()}));
        envelopes.extend((2..82).map(|number| stranger.envelope(Kind::MessageSend, &bob.address(), number, text(number))));
        for envelope in envelopes {
            io.write_all(&encode(&envelope.sign(&stranger.identity)).expect("small")).await.expect("writes");
        }
        io.flush().await.expect("writes");
        let (mut decoder, mut buffer, mut answers) = (Decoder::new(), [0; 4096], Vec::new());
        while answers.len() < 82 {
            let read = tokio::time::timeout(Duration::from_secs(60), io.read(&mut buffer)).await.expect("an answer").expect("reads");
            assert!(read > 0, "the session goes on: {answers:?}");
            decoder.push(&buffer[..read]);
            while let Some(frame) = decoder.next_frame(MAX_FRAME).expect("small") {
                let envelope: serde_json::Value = serde_json::from_slice(&frame).expect("JSON");
                answers.push(envelope["type"].as_str().expect("a type").to_owned());
            }
        }
        answers
    });

    assert_eq!(answers[..2], ["negotiate.response", "card.exchange"]);
    assert!(answers[2..].iter().all(|kind| kind == "message.ack"), "{answers:?}");
    let history = bob.get("/v1/messages/history?limit=200").json();
    let texts = history["messages"].as_array().expect("a list").len();
    assert_eq!(texts, 80);
}

#[test]
fn many_who_ask_are_answered_with_one_command() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "approval")]);
    let pending = || bob.get("/v1/approvals").json()["approvals"].as_array().map_or(0, Vec::len);
    block_on(async {
        for seed in 20..26 {
            let stranger = Stranger::new(seed);
            let mut io = connect(&bob).await;
            stranger.greet(&mut io, seed).await;
            let request = stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request());
            io.write_all(&encode(&request.sign(&stranger.identity)).expect("small")).await.expect("writes");
            io.flush().await.expect("writes");
            closed(&mut io).await;
        }
    });
    world::eventually("all have asked", || (pending() == 6).then_some(()));

    let two = bob.toq(&["approve", "1", "3"]);
    let wrong = bob.toq(&["deny", "1", "nobody"]);
    assert_eq!((two.status.code(), wrong.status.code(), pending()), (Some(0), Some(1), 4), "{two:?} {wrong:?}");
    assert!(bob.toq(&["deny", "--all"]).status.success());

    assert_eq!(pending(), 0);
    assert_eq!(bob.get("/v1/permissions").json()["approved"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_crowd_that_stays_silent_delays_nobody() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), bob(&world));
    let silent: Vec<_> = (0..400).map(|_| TcpStream::connect(("127.0.0.1", bob.port)).expect("accepted")).collect();
    let (half, greeted) = block_on(async {
        let mut half = Vec::new();
        let mut greeted = Vec::new();
        for number in 0..50 {
            half.push(connect(&bob).await);
            let mut io = connect(&bob).await;
            Stranger::new(number).greet(&mut io, 1).await;
            greeted.push(io);
        }
        (half, greeted)
    });

    let body = format!(r#"{{"to":"{}","body":{{"text":"through"}}}}"#, bob.address());
    let answer = alice.post("/v1/messages?wait=true&timeout=10", &body);

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(bob.get("/v1/health").status, 200);
    drop((silent, half, greeted));
}

#[test]
fn who_takes_the_id_of_another_agent_s_message_hides_it_from_no_reader() {
    let world = World::new();
    let bob = bob(&world);
    let say = |seed: u8, name: &str| {
        let mut stranger = Stranger::new(seed);
        stranger.address = Address::new("127.0.0.1", 1, AgentName::parse(name).expect("valid"));
        let card = json!({"name": name, "public_key": stranger.identity.public().to_string(), "protocol_version": "0.1"});
        block_on(async {
            let mut io = connect(&bob).await;
            stranger.greet(&mut io, seed).await;
            // The id of each is made of its place in the session.
            for (sequence, kind, body) in [
                (0, Kind::NegotiateRequest, published_request()),
                (1, Kind::CardExchange, Json::from_value(&card)),
                (2, Kind::MessageSend, Json::from_value(&json!({"text": name}))),
            ] {
                let envelope = stranger.envelope(kind, &bob.address(), sequence, body);
                io.write_all(&encode(&envelope.sign(&stranger.identity)).expect("small")).await.expect("writes");
            }
            io.flush().await.expect("writes");
            bob.reads("/v1/messages?since=0", |messages| messages.iter().any(|message| message["body"]["text"] == name));
        });
    };
    let offered = |consumer: &str| bob.reads(&format!("/v1/messages?consumer={consumer}&since=0"), |messages| messages.len() == 2);
    let confirm = |consumer: &str, body: serde_json::Value| {
        let answer = bob.post(&format!("/v1/consumers/{consumer}/confirm"), &body.to_string());
        (answer.status, answer.json()["confirmed"].clone())
    };
    let pending = |consumer: &str| bob.get(&format!("/v1/consumers/{consumer}")).json()["pending"].clone();
    say(31, "first");
    say(32, "second");

    let (by_place, by_id) = (offered("by-place"), offered("by-id"));
    assert_eq!(by_place[0]["id"], by_place[1]["id"], "{by_place:?}");

    assert_eq!(confirm("by-place", json!({"seqs": [by_place[0]["seq"]]})), (200, json!(1)));
    assert_eq!(pending("by-place"), 1, "the other's message is still there");
    assert_eq!(confirm("by-place", json!({"seqs": [by_place[1]["seq"]]})), (200, json!(1)));
    assert_eq!(confirm("by-id", json!({"ids": [by_id[0]["id"]]})), (200, json!(2)));
    assert_eq!((pending("by-place"), pending("by-id")), (json!(0), json!(0)));
    let unborn = bob.post("/v1/consumers/by-id/confirm", &json!({"seqs": [1_000_000]}).to_string());
    assert_eq!((unborn.status, unborn.code()), (404, "not_found".to_owned()));
}
