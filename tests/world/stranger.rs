//! A peer that speaks the published protocol by hand, so that it can say whatever it likes.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use toq_net::BoxedIo;
use toq_net::dial::{Patience, dial};
use toq_protocol::address::{Address, AgentName};
use toq_protocol::canonical::Json;
use toq_protocol::envelope::{Envelope, Kind, VERSION};
use toq_protocol::frame::{Decoder, MAX_HANDSHAKE, encode};
use toq_protocol::handshake::{MAGIC, Showing, hello, parse_reply};
use toq_protocol::key::Identity;
use toq_protocol::message::MessageId;

use super::Agent;

/// What a published peer asks for: no extension, no binding.
pub fn published_request() -> Json {
    let body = r#"{"supported_versions":["0.1"],"features":{"streaming":true,"compression":[],"e2e_encryption":false}}"#;
    Json::parse(body).expect("valid")
}

pub async fn connect(agent: &Agent) -> BoxedIo {
    let connector = toq_net::tls::connector().expect("TLS");
    Box::new(dial(&connector, "127.0.0.1", agent.port, Patience::default()).await.expect("TLS works"))
}

/// Reads until the agent closes; the bytes that it said before.
pub async fn closed(io: &mut BoxedIo) -> Vec<u8> {
    let mut said = Vec::new();
    let reading = async {
        // A bare close and a reset are the same to us.
        let _reset = io.read_to_end(&mut said).await;
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the agent closes");
    said
}

/// Somebody with a key that nobody knows.
pub struct Stranger {
    pub identity: Identity,
    pub address: Address,
}

impl Stranger {
    pub fn new(seed: u8) -> Self {
        Self::from_seed(&[seed; 32])
    }

    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let address = Address::new("127.0.0.1", 1, AgentName::parse("stranger").expect("valid"));
        Self { identity: Identity::from_seed(seed), address }
    }

    pub fn hello(&self, challenge: u8) -> Vec<u8> {
        encode(&hello(Showing { identity: &self.identity, challenge: &[challenge; 32], address: &self.address, rotations: &[] }, "bob"))
            .expect("small")
    }

    pub fn envelope(&self, kind: Kind, to: &str, sequence: u64, body: Json) -> Envelope {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        Envelope {
            version: VERSION.to_owned(),
            id: MessageId::from_random([sequence as u8 + 1; 16]),
            kind,
            from: self.address.clone(),
            to: vec![Address::parse(to).expect("valid")],
            thread_id: None,
            reply_to: None,
            sequence,
            timestamp: toq_protocol::time::Timestamp::from_nanos(i64::try_from(now).expect("this century")).to_string(),
            priority: None,
            content_type: None,
            ttl: None,
            compression: None,
            e2e_nonce: None,
            body: Some(body),
        }
    }

    /// Greets and reads the reply.
    pub async fn greet(&self, io: &mut BoxedIo, challenge: u8) {
        io.write_all(&MAGIC).await.expect("writes");
        io.write_all(&self.hello(challenge)).await.expect("writes");
        io.flush().await.expect("writes");
        let mut decoder = Decoder::new();
        let mut buffer = [0; 2048];
        loop {
            let read = io.read(&mut buffer).await.expect("reads");
            assert!(read > 0, "the agent answers a greeting");
            decoder.push(&buffer[..read]);
            if let Some(reply) = decoder.next_frame(MAX_HANDSHAKE).expect("small") {
                parse_reply(&reply).expect("credentials");
                return;
            }
        }
    }
}
