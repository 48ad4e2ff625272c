//! A peer that says it takes no streams gets what they would have carried as one message.

mod world;

use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::card::Card;
use toq_protocol::envelope::{Kind, Unverified, VERSION};
use toq_protocol::frame::{MAX_FRAME, encode};
use toq_protocol::handshake::{Showing, reply};
use toq_protocol::session::{Greeted, Greeting};
use world::World;
use world::stranger::Stranger;

/// An agent that takes messages and no streams; what it is sent: type and body.
struct Unwilling {
    me: Stranger,
    tell: std::sync::mpsc::SyncSender<(Kind, String)>,
}

impl Unwilling {
    fn start(world: &World) -> (Address, Receiver<(Kind, String)>) {
        let keys = toq_vault::Keys::open(&world.path().join("unwilling")).expect("made");
        let acceptor = toq_net::tls::acceptor(&keys.certificate).expect("a certificate of ours");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let mut me = Stranger::new(9);
        me.address = Address::new("127.0.0.1", listener.local_addr().expect("an address").port(), me.address.agent().clone());
        let (tell, told) = sync_channel(64);
        let (address, agent) = (me.address.clone(), Self { me, tell });
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        agent.serve(stream).await;
                    }
                }
            });
        });
        (address, told)
    }

    async fn serve(&self, mut io: impl AsyncRead + AsyncWrite + Unpin) {
        let mut greeting = Greeting::new();
        let Greeted { credentials, rest: mut decoder } = loop {
            let mut bytes = Vec::new();
            if io.read_buf(&mut bytes).await.map_or(0, |read| read) == 0 {
                return;
            }
            match greeting.read(&bytes).expect("a greeting") {
                Ok(greeted) => break greeted,
                Err(more) => greeting = more,
            }
        };
        let showing = Showing { identity: &self.me.identity, challenge: &[1; 32], address: &self.me.address, rotations: &[] };
        self.say(&mut io, &encode(&reply(showing, "sess-1")).expect("small")).await;
        let mut sequence = 0;
        loop {
            while let Some(frame) = decoder.next_frame(MAX_FRAME).expect("small") {
                let envelope = Unverified::parse(&frame).expect("an envelope").verify(&credentials.key).expect("signed");
                let answers = match envelope.kind {
                    Kind::NegotiateRequest => {
                        let features = json!({"streaming": false, "compression": null, "e2e_encryption": false});
                        let response = json!({"selected_version": "0.1", "features": features});
                        vec![(Kind::NegotiateResponse, Json::from_value(&response)), (Kind::CardExchange, self.card().to_body())]
                    }
                    Kind::CardExchange | Kind::SessionDisconnect => Vec::new(),
                    kind => {
                        let _nobody_looks =
                            self.tell.try_send((kind, envelope.body.map(|body| body.as_str().to_owned()).unwrap_or_default()));
                        vec![(Kind::MessageAck, Json::from_value(&json!({"ack_id": envelope.id.to_string()})))]
                    }
                };
                for (kind, body) in answers {
                    let answer = self.me.envelope(kind, &credentials.address.wire(), sequence, body);
                    self.say(&mut io, &encode(&answer.sign(&self.me.identity)).expect("small")).await;
                    sequence += 1;
                }
            }
            let mut bytes = Vec::new();
            if io.read_buf(&mut bytes).await.map_or(0, |read| read) == 0 {
                return;
            }
            decoder.push(&bytes);
        }
    }

    async fn say(&self, io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
        let _gone = io.write_all(bytes).await;
        let _gone = io.flush().await;
    }

    fn card(&self) -> Card {
        Card {
            name: "stranger".to_owned(),
            description: None,
            public_key: self.me.identity.public().to_string(),
            protocol_version: VERSION.to_owned(),
            capabilities: Vec::new(),
            accept_files: false,
            max_file_size: None,
            max_message_size: None,
            connection_mode: None,
        }
    }
}

#[test]
fn who_did_not_offer_streams_gets_the_whole_text_as_a_message() {
    let world = World::new();
    let (address, told) = Unwilling::start(&world);
    let bob = world.agent("bob", &[]);
    let post = |path: &str, body: serde_json::Value| {
        let answer = bob.post(path, &body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };

    let opened = post("/v1/stream/start", json!({"to": address.written(), "thread_id": "t"}));
    let id = opened["stream_id"].as_str().expect("an id");
    for text in ["Here ", "is "] {
        post("/v1/stream/chunk", json!({"stream_id": id, "text": text}));
    }
    let ended = post("/v1/stream/end", json!({"stream_id": id, "text": "a text", "close_thread": true}));

    let patience = std::time::Duration::from_secs(60);
    let heard: Vec<(Kind, String)> = (0..2).map(|_| told.recv_timeout(patience).expect("within a minute")).collect();
    assert_eq!(heard[0], (Kind::MessageSend, r#"{"text":"Here is a text"}"#.to_owned()));
    assert_eq!(heard[1].0, Kind::ThreadClose);
    assert!(told.try_recv().is_err(), "and nothing else");
    let state = bob.get(&format!("/v1/messages/{}", ended["chunk_id"].as_str().expect("an id"))).json();
    assert_eq!(state["state"], "delivered", "{ended} {state}");
}
