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

/// Where a peer says that it lives.
#[derive(Clone, Debug)]
pub struct Home {
    /// Who.
    pub key: PeerKey,
    /// Where.
    pub address: Address,
    /// Whether the address is known to be this key's.
    pub is_proven: bool,
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
            (Subject::Address(pattern), _) => named.addresses.same_as(pattern).cloned().map(Subject::Address).collect(),
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
    ///
    /// An approval of a key is covered by a block of the address that it claims, an approval of one agent's address by a block of the
    /// key that is *proven* to live there: whoever only claims an address is not to take its approval away.
    #[must_use]
    pub fn covered_by(&self, subject: &Subject, homes: &[Home]) -> Vec<Subject> {
        match subject {
            Subject::Key(key) => {
                let own = self.taken_back(&Subject::Key(*key), Ruling::Approve);
                let is_own = |home: &&Home| home.is_proven && self.successions.lineage(key).any(|earlier| *earlier == home.key);
                let named = homes.iter().filter(is_own).map(|home| Pattern::new(&home.address.key()));
                let whole = named.flat_map(|named| self.approved.addresses.covered_by(&named));
                own.into_iter().chain(whole.map(Subject::Address)).collect()
            }
            Subject::Address(pattern) => {
                let homes = homes.iter().filter(|home| pattern.matches(&home.address));
                let keys = homes.flat_map(|home| self.taken_back(&Subject::Key(home.key), Ruling::Approve));
                let patterns = self.approved.addresses.covered_by(pattern);
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
mod tests;
