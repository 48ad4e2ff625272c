//! Who gets in: a mode and rules, and the verdict that they give.
//!
//! A block always wins, an approval wins over the mode, the mode decides about everybody else. Block rules
//! match the address that a peer claims; approve rules by address match only an address that is *proven*
//! for the key, since anyone can claim any address.

use std::collections::HashSet;
use std::fmt;

use crate::address::{Address, DEFAULT_PORT, host_key};
use crate::key::PeerKey;

/// What happens to a peer that no rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// It gets in.
    Open,
    /// It is refused.
    Allowlist,
    /// The owner is asked.
    #[default]
    Approval,
}

impl Mode {
    /// The name in configuration, cards and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Open => "open",
            Mode::Allowlist => "allowlist",
            Mode::Approval => "approval",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An address pattern: `*`, `toq://host/*`, `toq://*/name` or a whole address.
///
/// A whole host or a whole name may be `*`, nothing less. A pattern without a port matches any port, one
/// with a port that port only. Hosts compare without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    text: String,
    host: Option<String>,
    port: Option<u16>,
    name: Option<String>,
}

impl Pattern {
    /// Reads a pattern. Every text is one; some match nothing.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let rest = text.strip_prefix("toq://").unwrap_or(text);
        if rest == "*" {
            return Self { text: text.to_owned(), host: None, port: None, name: None };
        }
        let (authority, name) = rest.split_once('/').unwrap_or((rest, "*"));
        let (host, port) = split_port(authority);
        let part = |part: &str| (part != "*").then(|| part.to_owned());
        Self { text: text.to_owned(), host: part(host).map(|host| host_key(&host)), port, name: part(name) }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True where the pattern covers `address`.
    #[must_use]
    pub fn matches(&self, address: &Address) -> bool {
        self.matches_text(&address.wire())
    }

    /// True where the pattern covers this text, which need not be an address (`a2a-client` is a sender too).
    #[must_use]
    pub fn matches_text(&self, address: &str) -> bool {
        let Some(wanted) = &self.host else {
            return self.name_matches(address) && self.port.is_none_or(|port| port == Self::port_of(address));
        };
        let rest = address.strip_prefix("toq://").unwrap_or(address);
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_port(authority);
        let port_fits = self.port.is_none_or(|wanted| wanted == port.unwrap_or(DEFAULT_PORT));
        !wanted.is_empty() && *wanted == host_key(host) && port_fits && self.name_matches(address)
    }

    fn name_matches(&self, address: &str) -> bool {
        let rest = address.strip_prefix("toq://").unwrap_or(address);
        match &self.name {
            None => true,
            Some(wanted) => rest.split_once('/').is_some_and(|(_, name)| name == wanted),
        }
    }

    fn port_of(address: &str) -> u16 {
        let rest = address.strip_prefix("toq://").unwrap_or(address);
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        split_port(authority).1.unwrap_or(DEFAULT_PORT)
    }
}

fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        None => (authority, None),
    }
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// The peer with this key.
    Key(PeerKey),
    /// Every address that the pattern covers.
    Address(Pattern),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Key(key) => key.fmt(f),
            Subject::Address(pattern) => f.write_str(pattern.as_str()),
        }
    }
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// In, whatever the mode.
    Approve,
    /// Out, whatever else.
    Block,
}

/// The policy's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer gets in.
    Accept,
    /// The owner is to be asked.
    Ask,
    /// The peer stays out.
    Refuse,
}

/// Whether a peer's address is known to be its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Only the peer says so.
    Claimed,
    /// A pin, DNS or a call back says so too.
    Proven,
}

/// A mode and its rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    mode: Mode,
    approved_keys: HashSet<PeerKey>,
    approved_addresses: Vec<Pattern>,
    blocked_keys: HashSet<PeerKey>,
    blocked_addresses: Vec<Pattern>,
}

impl Policy {
    /// A policy without rules.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Adds a rule. A block takes away the approval of the same subject.
    pub fn add(&mut self, subject: &Subject, ruling: Ruling) {
        match (subject, ruling) {
            (Subject::Key(key), Ruling::Approve) => {
                self.approved_keys.insert(*key);
            }
            (Subject::Key(key), Ruling::Block) => {
                self.approved_keys.remove(key);
                self.blocked_keys.insert(*key);
            }
            (Subject::Address(pattern), Ruling::Approve) => add_once(&mut self.approved_addresses, pattern),
            (Subject::Address(pattern), Ruling::Block) => {
                self.approved_addresses.retain(|approved| approved != pattern);
                add_once(&mut self.blocked_addresses, pattern);
            }
        }
    }

    /// Removes exactly this rule, if it is there.
    pub fn remove(&mut self, subject: &Subject, ruling: Ruling) {
        match (subject, ruling) {
            (Subject::Key(key), Ruling::Approve) => {
                self.approved_keys.remove(key);
            }
            (Subject::Key(key), Ruling::Block) => {
                self.blocked_keys.remove(key);
            }
            (Subject::Address(pattern), Ruling::Approve) => self.approved_addresses.retain(|approved| approved != pattern),
            (Subject::Address(pattern), Ruling::Block) => self.blocked_addresses.retain(|blocked| blocked != pattern),
        }
    }

    /// The verdict on the peer with `key` that claims `address`.
    #[must_use]
    pub fn verdict(&self, key: &PeerKey, address: &Address, proof: Proof) -> Verdict {
        let covers = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(address));
        if self.blocked_keys.contains(key) || covers(&self.blocked_addresses) {
            return Verdict::Refuse;
        }
        if self.approved_keys.contains(key) || (proof == Proof::Proven && covers(&self.approved_addresses)) {
            return Verdict::Accept;
        }
        match self.mode {
            Mode::Open => Verdict::Accept,
            Mode::Allowlist => Verdict::Refuse,
            Mode::Approval => Verdict::Ask,
        }
    }
}

fn add_once(patterns: &mut Vec<Pattern>, pattern: &Pattern) {
    if !patterns.contains(pattern) {
        patterns.push(pattern.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PeerKey {
        PeerKey::from_bytes([byte; 32])
    }

    fn address(text: &str) -> Address {
        Address::parse(text).expect("valid")
    }

    #[test]
    fn a_block_beats_an_approval_and_an_approval_beats_the_mode() {
        let alice = address("toq://a.example/alice");
        for mode in [Mode::Open, Mode::Allowlist, Mode::Approval] {
            let mut policy = Policy::new(mode);
            policy.add(&Subject::Key(key(1)), Ruling::Approve);
            assert_eq!(policy.verdict(&key(1), &alice, Proof::Claimed), Verdict::Accept);

            policy.add(&Subject::Address(Pattern::new("toq://A.example/*")), Ruling::Block);
            assert_eq!(policy.verdict(&key(1), &alice, Proof::Claimed), Verdict::Refuse);
        }
    }

    #[test]
    fn a_block_removes_the_approval_and_unblocking_does_not_restore_it() {
        let subject = Subject::Key(key(1));
        let mut policy = Policy::new(Mode::Allowlist);
        policy.add(&subject, Ruling::Approve);

        policy.add(&subject, Ruling::Block);
        policy.remove(&subject, Ruling::Block);

        assert_eq!(policy.verdict(&key(1), &address("toq://h/a"), Proof::Claimed), Verdict::Refuse);
    }

    #[test]
    fn an_address_rule_admits_only_an_address_that_is_proven() {
        let mut policy = Policy::new(Mode::Approval);
        policy.add(&Subject::Address(Pattern::new("toq://partner.example/*")), Ruling::Approve);
        let partner = address("toq://partner.example/x");

        assert_eq!(policy.verdict(&key(2), &partner, Proof::Claimed), Verdict::Ask);
        assert_eq!(policy.verdict(&key(2), &partner, Proof::Proven), Verdict::Accept);
    }

    #[test]
    fn a_pattern_without_a_port_matches_any_port() {
        let pattern = Pattern::new("toq://127.0.0.1/*");

        assert!(pattern.matches(&address("toq://127.0.0.1:9010/bob")));
        assert!(!Pattern::new("toq://127.0.0.1:9011/*").matches(&address("toq://127.0.0.1:9010/bob")));
        assert!(Pattern::new("toq://h:9009/*").matches(&address("toq://h/bob")));
    }
}
