//! What the targets share: two agents, and a clock that stands still.

pub mod channel;

use std::sync::Arc;
use std::time::Duration;

use toq_protocol::session::{Deadlines, Entropy, Local, Locality};
use toq_protocol::time::{Now, Timestamp};
use toq_protocol::{Address, AgentName, Card, Identity};

/// The agent that dials. Seeds in `seeds/` are signed with its key.
pub const ALICE: (&str, u16, u8) = ("alice", 9101, 5);

/// The agent that is dialled.
pub const BOB: (&str, u16, u8) = ("bob", 9102, 3);

/// One of the two, complete.
pub fn local((name, port, seed): (&str, u16, u8)) -> Arc<Local> {
    let agent = AgentName::parse(name).expect("a name");
    let identity = Identity::from_seed(&[seed; 32]);
    let card = Card {
        name: name.to_owned(),
        description: None,
        public_key: identity.public().to_string(),
        protocol_version: "0.1".to_owned(),
        capabilities: Vec::new(),
        accept_files: false,
        max_file_size: None,
        max_message_size: None,
        connection_mode: None,
    };
    let address = Address::new("127.0.0.1", port, agent.clone());
    let locality = Locality::new(agent, [], [port]);
    Arc::new(Local { identity, address, locality, card, deadlines: Deadlines::default(), requires_binding: false, rotations: Vec::new() })
}

/// The same "random" bytes every time, so that an input is its own reproduction.
pub fn entropy(byte: u8) -> Entropy {
    Entropy { challenge: [byte; 32], ids: [byte; 16] }
}

/// `seconds` after the start of every run.
pub fn now(seconds: u64) -> Now {
    let start = Timestamp::parse("2026-11-21T00:00:00Z").expect("a time");
    let by = Duration::from_secs(seconds);
    Now { wall: start.plus(by), monotonic: Duration::from_secs(1000) + by }
}
