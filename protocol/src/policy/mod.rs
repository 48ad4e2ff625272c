//! Who gets in: a mode and rules, and the verdict that they give.
//!
//! A block always wins, an approval wins over the mode, the mode decides about everybody else. Block rules
//! match the address that a peer claims; approve rules by address match only an address that is *proven*
//! for the key, since anyone can claim any address.

mod pattern;
mod rules;
pub mod waiting;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::key::PeerKey;

use pattern::Parts;
pub use pattern::Pattern;
use rules::AddressRules;

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
    /// It gets in where DNS proves that its key belongs to the domain that it claims.
    DnsVerified,
}

impl Mode {
    /// The name in configuration, cards and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Open => "open",
            Mode::Allowlist => "allowlist",
            Mode::Approval => "approval",
            Mode::DnsVerified => "dns-verified",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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

/// How it is known that a peer's address is its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Only the peer says so.
    #[default]
    Claimed,
    /// The same key was met at this address before.
    Pinned,
    /// A DNS record of the domain names the key.
    Dns,
    /// The address was dialled just now and the same key answered.
    Dialled,
}

impl Proof {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Proof::Claimed => "claimed",
            Proof::Pinned => "pinned",
            Proof::Dns => "dns",
            Proof::Dialled => "dialled",
        }
    }

    /// True where somebody else than the peer says so.
    #[must_use]
    pub const fn is_proven(self) -> bool {
        !matches!(self, Proof::Claimed)
    }
}

/// A mode and its rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    mode: Mode,
    approved: Arc<Named>,
    blocked: Arc<Named>,
}

/// Whom rules of one kind name. Shared, because a policy is handed to everybody who offers messages whenever
/// it changes.
#[derive(Clone, Debug, Default)]
struct Named {
    keys: HashSet<PeerKey>,
    addresses: AddressRules,
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

    /// Changes the mode.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Adds a rule. It takes nothing away: see [`Policy::covered_by`].
    pub fn add(&mut self, subject: &Subject, ruling: Ruling) {
        let named = self.named(ruling);
        match subject {
            Subject::Key(key) => drop(named.keys.insert(*key)),
            Subject::Address(pattern) => named.addresses.add(pattern),
        }
    }

    /// Removes exactly this rule, if it is there.
    pub fn remove(&mut self, subject: &Subject, ruling: Ruling) {
        let named = self.named(ruling);
        match subject {
            Subject::Key(key) => drop(named.keys.remove(key)),
            Subject::Address(pattern) => named.addresses.remove(pattern),
        }
    }

    fn named(&mut self, ruling: Ruling) -> &mut Named {
        Arc::make_mut(match ruling {
            Ruling::Approve => &mut self.approved,
            Ruling::Block => &mut self.blocked,
        })
    }

    /// The approvals that a block of `subject` takes away, so that lifting the block does not bring them back.
    /// `known` are the peers whose address is known: an approval of a key is covered by a block of its address,
    /// an approval of one whole address by a block of the key that lives there.
    #[must_use]
    pub fn covered_by(&self, subject: &Subject, known: &[(PeerKey, Address)]) -> Vec<Subject> {
        match subject {
            Subject::Key(key) => {
                let own = self.approved.keys.contains(key).then_some(Subject::Key(*key));
                let homes = known.iter().filter(|(known, _)| known == key);
                let whole = homes.flat_map(|(_, address)| self.approved.addresses.included_in(&Pattern::new(&address.written())));
                own.into_iter().chain(whole.map(Subject::Address)).collect()
            }
            Subject::Address(pattern) => {
                let keys = known.iter().filter(|(key, address)| self.approved.keys.contains(key) && pattern.matches(address));
                let patterns = self.approved.addresses.included_in(pattern);
                keys.map(|(key, _)| Subject::Key(*key)).chain(patterns.into_iter().map(Subject::Address)).collect()
            }
        }
    }

    /// True where a rule blocks this key, or whoever claims this address.
    #[must_use]
    pub fn blocks(&self, key: &PeerKey, address: &Address) -> bool {
        self.blocked.keys.contains(key) || self.blocked.addresses.cover(&Parts::of(address))
    }

    /// True where an address rule would admit this address, were it proven.
    #[must_use]
    pub fn would_approve(&self, address: &Address) -> bool {
        self.approved.addresses.cover(&Parts::of(address))
    }

    /// True where this key is approved by name.
    #[must_use]
    pub fn approves_key(&self, key: &PeerKey) -> bool {
        self.approved.keys.contains(key)
    }

    /// Why what the peer with `key` sent before is not offered to programs any more; `None` where it is. Whoever would not get in
    /// now is not heard either.
    #[must_use]
    pub fn silences(&self, key: &PeerKey, address: &Address, proof: Proof) -> Option<&'static str> {
        match self.verdict(key, address, proof) {
            Verdict::Accept => None,
            _ if self.blocks(key, address) => Some("the sender is blocked"),
            _ => Some("the sender is not let in any more"),
        }
    }

    /// The verdict on the peer with `key` that claims `address`.
    #[must_use]
    pub fn verdict(&self, key: &PeerKey, address: &Address, proof: Proof) -> Verdict {
        if self.blocks(key, address) {
            return Verdict::Refuse;
        }
        if self.approved.keys.contains(key) || (proof.is_proven() && self.would_approve(address)) {
            return Verdict::Accept;
        }
        match self.mode {
            Mode::Open => Verdict::Accept,
            Mode::Allowlist => Verdict::Refuse,
            Mode::Approval => Verdict::Ask,
            Mode::DnsVerified if proof == Proof::Dns => Verdict::Accept,
            Mode::DnsVerified => Verdict::Refuse,
        }
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

        for covered in policy.covered_by(&subject, &[]) {
            policy.remove(&covered, Ruling::Approve);
        }
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
        assert_eq!(policy.verdict(&key(2), &partner, Proof::Pinned), Verdict::Accept);
    }

    #[test]
    fn a_block_covers_the_approvals_of_whoever_lives_there() {
        let (alice, bob) = (address("toq://a.example/alice"), address("toq://b.example/bob"));
        let known = [(key(1), alice), (key(2), bob)];
        let mut policy = Policy::new(Mode::Allowlist);
        let whole = Subject::Address(Pattern::new("toq://a.example/alice"));
        let wide = Subject::Address(Pattern::new("toq://*/alice"));
        for subject in [&Subject::Key(key(1)), &Subject::Key(key(2)), &whole, &wide] {
            policy.add(subject, Ruling::Approve);
        }

        let by_address = policy.covered_by(&Subject::Address(Pattern::new("toq://a.example/*")), &known);
        let by_key = policy.covered_by(&Subject::Key(key(1)), &known);

        assert_eq!(by_address, [Subject::Key(key(1)), whole.clone()]);
        assert_eq!(by_key, [Subject::Key(key(1)), whole]);
    }

    #[test]
    fn dns_verified_admits_whom_dns_proves_and_whom_a_rule_approves() {
        let mut policy = Policy::new(Mode::DnsVerified);
        let alice = address("toq://a.example/alice");
        assert_eq!(policy.verdict(&key(1), &alice, Proof::Dns), Verdict::Accept);
        assert_eq!(policy.verdict(&key(1), &alice, Proof::Pinned), Verdict::Refuse);
        assert_eq!(policy.verdict(&key(1), &alice, Proof::Claimed), Verdict::Refuse);

        policy.add(&Subject::Key(key(1)), Ruling::Approve);
        assert_eq!(policy.verdict(&key(1), &alice, Proof::Claimed), Verdict::Accept);
    }
}
