//! Who gets in: a mode and rules, and the verdict that they give.
//!
//! A block always wins, an approval wins over the mode, the mode decides about everybody else. Block rules
//! match the address that a peer claims; approve rules by address match only an address that is *proven*
//! for the key, since anyone can claim any address.
//!
//! A rule about a key is about its agent: it holds for the keys that the agent had before as well. It says nothing about
//! those that came later, so that an owner can shut out a key that was stolen and keep its agent. When a peer is
//! known to have a new key, its rules move there ([`Policy::moving`]).

mod pattern;
mod rules;
pub mod waiting;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::key::PeerKey;
use crate::rotation::{Succession, Successions};
use crate::time::Timestamp;

use pattern::Parts;
pub use pattern::{PATTERN_FORM, Pattern, PatternError};
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
    successions: Arc<Successions>,
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

    /// Which keys followed which.
    #[must_use]
    pub fn successions(&self) -> &Successions {
        &self.successions
    }

    /// Remembers that a key was followed by another. Rules stay where they are: see [`Policy::moving`].
    pub fn follow(&mut self, old: PeerKey, succession: Succession) {
        Arc::make_mut(&mut self.successions).add(old, succession);
    }

    /// Forgets it, because it could not be stored.
    pub fn unfollow(&mut self, old: &PeerKey) {
        Arc::make_mut(&mut self.successions).remove(old);
    }

    /// The rules about exactly this key, which move to the one that follows it. An approval that stayed would stand alone when
    /// the new key's is taken back.
    #[must_use]
    pub fn moving(&self, old: &PeerKey) -> Vec<Ruling> {
        let named = [(Ruling::Approve, &self.approved), (Ruling::Block, &self.blocked)];
        named.into_iter().filter(|(_, named)| named.keys.contains(old)).map(|(ruling, _)| ruling).collect()
    }

    /// The approvals of keys that were given up and whose grace is over; they admit nobody.
    #[must_use]
    pub fn dead_approvals(&self, now: Timestamp) -> Vec<Subject> {
        self.approved.keys.iter().filter(|key| self.successions.is_retired(key, now)).map(|key| Subject::Key(*key)).collect()
    }

    /// The rules that go when `subject` is taken back: what was approved of an agent under its earlier keys goes with its approval.
    /// A block of an earlier key stays; the owner may have shut out a thief. Empty where there is nothing to take back.
    #[must_use]
    pub fn taken_back(&self, subject: &Subject, ruling: Ruling) -> Vec<Subject> {
        let named = self.of(ruling);
        match (subject, ruling) {
            (Subject::Key(key), Ruling::Approve) => {
                self.successions.lineage(key).filter(|key| named.keys.contains(key)).map(|key| Subject::Key(*key)).collect()
            }
            (Subject::Key(key), Ruling::Block) => named.keys.contains(key).then_some(subject.clone()).into_iter().collect(),
            (Subject::Address(pattern), _) => named.addresses.contains(pattern).then_some(subject.clone()).into_iter().collect(),
        }
    }

    /// Why some of the rules cover nobody.
    #[must_use]
    pub fn faults(&self) -> Vec<PatternError> {
        let patterns = self.approved.addresses.all().chain(self.blocked.addresses.all());
        patterns.filter_map(Pattern::fault).collect()
    }

    fn of(&self, ruling: Ruling) -> &Named {
        match ruling {
            Ruling::Approve => &self.approved,
            Ruling::Block => &self.blocked,
        }
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
                let own = self.taken_back(&Subject::Key(*key), Ruling::Approve);
                let homes = known.iter().filter(|(known, _)| self.successions.lineage(key).any(|earlier| earlier == known));
                let whole = homes.flat_map(|(_, address)| self.approved.addresses.included_in(&Pattern::new(&address.written())));
                own.into_iter().chain(whole.map(Subject::Address)).collect()
            }
            Subject::Address(pattern) => {
                let homes = known.iter().filter(|(_, address)| pattern.matches(address));
                let keys = homes.flat_map(|(key, _)| self.taken_back(&Subject::Key(*key), Ruling::Approve));
                let patterns = self.approved.addresses.included_in(pattern);
                keys.chain(patterns.into_iter().map(Subject::Address)).collect()
            }
        }
    }

    /// True where a rule blocks this key or one that its agent had later, or whoever claims this address.
    #[must_use]
    pub fn blocks(&self, key: &PeerKey, address: &Address) -> bool {
        self.successions.heirs(key).any(|key| self.blocked.keys.contains(&key)) || self.blocked.addresses.cover(&Parts::of(address))
    }

    /// True where an address rule would admit this address, were it proven.
    #[must_use]
    pub fn would_approve(&self, address: &Address) -> bool {
        self.approved.addresses.cover(&Parts::of(address))
    }

    /// True where this key, or one that its agent had later, is approved by name.
    #[must_use]
    pub fn approves_key(&self, key: &PeerKey) -> bool {
        self.successions.heirs(key).any(|key| self.approved.keys.contains(&key))
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
        if self.approves_key(key) || (proof.is_proven() && self.would_approve(address)) {
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

    /// A policy that knows that key 2 followed key 1, as it is when the rules of key 1 have moved.
    fn rotated(ruling: Ruling) -> Policy {
        let mut policy = Policy::new(Mode::Allowlist);
        policy.add(&Subject::Key(key(1)), ruling);
        for moved in policy.moving(&key(1)) {
            policy.remove(&Subject::Key(key(1)), moved);
            policy.add(&Subject::Key(key(2)), moved);
        }
        policy.follow(key(1), Succession { new: key(2), counter: 1, retires_at: Timestamp::from_nanos(10) });
        policy
    }

    fn verdicts(policy: &Policy) -> [Verdict; 2] {
        [1, 2].map(|byte| policy.verdict(&key(byte), &address("toq://h/eve"), Proof::Claimed))
    }

    #[test]
    fn a_block_of_a_key_is_one_of_the_keys_before_it() {
        let mut policy = rotated(Ruling::Approve);
        assert_eq!(verdicts(&policy), [Verdict::Accept; 2], "within its grace the old key is as good as the new one");

        let block = Subject::Key(key(2));
        policy.covered_by(&block, &[]).iter().for_each(|covered| policy.remove(covered, Ruling::Approve));
        policy.add(&block, Ruling::Block);

        assert_eq!(verdicts(&policy), [Verdict::Refuse; 2]);
        policy.set_mode(Mode::Open);
        assert_eq!(verdicts(&policy), [Verdict::Refuse; 2]);
    }

    #[test]
    fn a_revoked_key_does_not_come_back_with_the_one_before_it() {
        let mut policy = rotated(Ruling::Approve);
        // As in a log in which an old approval was left behind.
        policy.add(&Subject::Key(key(1)), Ruling::Approve);

        let gone = policy.taken_back(&Subject::Key(key(2)), Ruling::Approve);
        gone.iter().for_each(|subject| policy.remove(subject, Ruling::Approve));

        assert_eq!(gone, [Subject::Key(key(2)), Subject::Key(key(1))]);
        assert_eq!(verdicts(&policy), [Verdict::Refuse; 2]);
        assert!(policy.taken_back(&Subject::Key(key(2)), Ruling::Approve).is_empty(), "there is nothing left to take back");
    }

    #[test]
    fn a_stolen_key_is_shut_out_and_its_agent_is_not() {
        let mut policy = rotated(Ruling::Approve);

        policy.add(&Subject::Key(key(1)), Ruling::Block);

        assert_eq!(verdicts(&policy), [Verdict::Refuse, Verdict::Accept]);
        assert!(policy.taken_back(&Subject::Key(key(2)), Ruling::Block).is_empty());
    }

    #[test]
    fn an_approval_that_was_left_with_an_old_key_dies_with_its_grace() {
        let mut policy = rotated(Ruling::Approve);
        policy.add(&Subject::Key(key(1)), Ruling::Approve);

        assert!(policy.dead_approvals(Timestamp::from_nanos(9)).is_empty());
        assert_eq!(policy.dead_approvals(Timestamp::from_nanos(10)), [Subject::Key(key(1))]);
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
