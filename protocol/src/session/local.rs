//! What a session is given: who we are, whom we expect, and what is random.

use std::collections::HashSet;
use std::time::Duration;

use crate::address::{Address, AgentName, host_key};
use crate::binding::Exporter;
use crate::card::Card;
use crate::handshake::Showing;
use crate::key::{Identity, PeerKey};
use crate::rotation::RotationProof;

/// How long each stage may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the first byte to the end of the handshake.
    pub handshake: Duration,
    /// From the handshake to the exchange of cards.
    pub negotiation: Duration,
    /// Silence after which a heartbeat is sent.
    pub heartbeat: Duration,
    /// Silence after which the peer counts as gone.
    pub silence: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            negotiation: Duration::from_secs(5),
            heartbeat: Duration::from_secs(30),
            silence: Duration::from_secs(90),
        }
    }
}

/// The names under which this agent may be addressed.
#[derive(Clone, Debug)]
pub struct Locality {
    agent: AgentName,
    hosts: HashSet<String>,
    ports: HashSet<u16>,
    checks: bool,
}

impl Locality {
    /// An agent that is reached by `agent` on any of `hosts`, where a port is written at one of `ports`.
    pub fn new<'a>(agent: AgentName, hosts: impl IntoIterator<Item = &'a str>, ports: impl IntoIterator<Item = u16>) -> Self {
        let loopback = ["localhost", "127.0.0.1", "::1"];
        let hosts = hosts.into_iter().chain(loopback).map(host_key).collect();
        Self { agent, hosts, ports: ports.into_iter().collect(), checks: true }
    }

    /// Adds the address of the local end of a connection.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        self.hosts.insert(host_key(host));
        self
    }

    /// A locality that takes every address for its own. Only builds that are broken on purpose use it, to
    /// prove that the checkers notice.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.checks = false;
        self
    }

    /// True where `address` means this agent.
    #[must_use]
    pub fn includes(&self, address: &Address) -> bool {
        if !self.checks {
            return true;
        }
        // The wire text of a domain name cannot hold a port, so there is none to compare.
        let port_fits = address.hides_port() || self.ports.contains(&address.port());
        address.agent() == &self.agent && port_fits && self.hosts.contains(&address.host_key())
    }
}

/// Who we are in a session.
#[derive(Debug)]
pub struct Local {
    /// Our key.
    pub identity: Identity,
    /// Our address as we claim it.
    pub address: Address,
    /// The names under which we may be addressed.
    pub locality: Locality,
    /// What we say of ourselves.
    pub card: Card,
    /// How long each stage may take.
    pub deadlines: Deadlines,
    /// How we came to our key, oldest first.
    pub rotations: Vec<RotationProof>,
    /// Whether only sessions that are bound to their TLS channel are accepted.
    pub requires_binding: bool,
}

impl Local {
    pub(super) fn showing<'a>(&'a self, challenge: &'a [u8; 32]) -> Showing<'a> {
        Showing { identity: &self.identity, challenge, address: &self.address, rotations: &self.rotations }
    }
}

/// What is known of the peer before it is dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The key that is pinned to the address, or that its domain announces.
    pub key: Option<PeerKey>,
    /// True where that key has bound a session before.
    pub binding: bool,
}

/// Random bytes of one session.
#[derive(Clone, Copy)]
pub struct Entropy {
    /// The challenge that we sign.
    pub challenge: [u8; 32],
    /// Where the ids of our control envelopes start.
    pub ids: [u8; 16],
}

/// Our end of a connection that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct LocalEnd<'a> {
    /// Its address.
    pub host: &'a str,
    /// The exporter value of its TLS channel.
    pub exporter: Exporter,
}
