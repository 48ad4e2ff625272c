//! The two sides of a session in memory, and the time at which they meet.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;
use std::time::Duration;

use toq_protocol::address::{Address, AgentName};
use toq_protocol::card::Card;
use toq_protocol::envelope::VERSION;
use toq_protocol::key::Identity;
use toq_protocol::session::{Deadlines, Entropy, Local, Locality};
use toq_protocol::time::{Now, Timestamp};

pub fn now() -> Now {
    Now { wall: Timestamp::parse("2026-11-21T00:00:00Z").expect("valid"), monotonic: Duration::from_secs(1000) }
}

/// An agent that binds its sessions where its peer can.
pub fn local(name: &str, port: u16) -> Arc<Local> {
    demanding(name, port, false)
}

/// An agent that may insist on bound sessions.
pub fn demanding(name: &str, port: u16, requires_binding: bool) -> Arc<Local> {
    let agent = AgentName::parse(name).expect("valid");
    let identity = Identity::from_seed(&[name.len() as u8; 32]);
    let card = Card {
        name: name.to_owned(),
        description: None,
        public_key: identity.public().to_string(),
        protocol_version: VERSION.to_owned(),
        capabilities: Vec::new(),
        accept_files: false,
        max_file_size: None,
        max_message_size: None,
        connection_mode: None,
    };
    let address = Address::new("127.0.0.1", port, agent.clone());
    let locality = Locality::new(agent, [], [port]);
    Arc::new(Local { identity, address, locality, card, deadlines: Deadlines::default(), requires_binding, rotations: Vec::new() })
}

pub fn entropy(byte: u8) -> Entropy {
    Entropy { challenge: [byte; 32], ids: [byte; 16] }
}
