//! What a decision of the owner writes: from the rows, the rules in force and the time, whether a daemon runs or not.

use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{self, Mode, Pattern, Policy, Proof, Ruling, Subject};
use toq_protocol::rotation::Succession;
use toq_protocol::time::Timestamp;
use toq_store::audit::AuditRow;
use toq_store::batch::{Change, Sort};
use toq_store::record::{self, ApprovalRow, EventRow, PeerRow, PinRow, TurnedAwayRow};
use toq_store::{Batch, Reader, Store, StoreError};

use super::Rule;
use super::audit::OWNER;

/// What became of a question that nobody answered.
const EXPIRED: &str = "expired";

/// What a decision is made from.
pub(super) struct Decider<'a> {
    pub(super) reader: &'a Reader,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
}

/// An open question that an approval by address covers.
pub(super) struct Covered {
    pub(super) key: PeerKey,
    pub(super) address: Address,
    pub(super) row: ApprovalRow,
    /// Whether the address is known to be this key's.
    pub(super) is_pinned: bool,
}

/// The rules on disk, and which keys followed which.
pub(super) fn policy(reader: &Reader, mode: Mode) -> Result<Policy, StoreError> {
    let mut policy = Policy::new(mode);
    for (subject, ruling) in reader.rules()? {
        policy.add(&subject, ruling);
    }
    for (old, row) in reader.rotations()? {
        let retires_at = Timestamp::from_nanos(row.retires_at);
        policy.follow(old, Succession { new: PeerKey::from_bytes(row.new), counter: row.counter, retires_at });
    }
    Ok(policy)
}

/// Whether everything is there that says who may come in.
///
/// # Errors
/// [`StoreError`] where a rule, or what says which key followed which, cannot be read.
pub fn are_rules_readable(reader: &Reader) -> Result<(), StoreError> {
    policy(reader, Mode::default()).map(drop)
}

/// Makes decisions in a workspace that no daemon has open. Whoever is let in is told by the next daemon; whoever is not, hears of it when
/// it comes again.
///
/// # Errors
/// [`StoreError`] where a row or the disk is damaged; then decisions before it are in force.
pub async fn decide_at_rest(store: &Store, rules: &[Rule], now: Timestamp) -> Result<(), StoreError> {
    for rule in rules {
        let policy = policy(store.reader(), Mode::default())?;
        let decider = Decider { reader: store.reader(), policy: &policy, now };
        let mut changes = decider.decision(rule)?;
        if let Rule::Add(_, Ruling::Approve) = rule {
            changes.extend(decider.untold(&changes)?);
        }
        store.journal().commit(Batch::new(changes)).await?;
    }
    Ok(())
}

pub(super) fn event(
    now: Timestamp,
    kind: &str,
    subject: &dyn std::fmt::Display,
    address: Option<String>,
    reason: Option<&str>,
) -> EventRow {
    EventRow { kind: kind.to_owned(), subject: subject.to_string(), address, reason: reason.map(str::to_owned), timestamp: now.as_nanos() }
}

/// Ties a key to an address.
pub(super) fn pin(address: &Address, key: PeerKey, proof: Proof, now: Timestamp) -> Change {
    let row = PinRow { address: address.written(), key: *key.as_bytes(), proof: record::Proof::of(proof), since: now.as_nanos() };
    Change::Pin(address.clone(), row)
}

/// The record of a decision about a rule or a question. That a question lapsed is none: strangers could push out what the
/// owner decided, with questions that nobody answers.
fn recorded(rule: &Rule, now: Timestamp) -> Option<Change> {
    let (what, subject): (_, &dyn std::fmt::Display) = match rule {
        Rule::Add(subject, Ruling::Approve) => ("rule.approved", subject),
        Rule::Add(subject, Ruling::Block) => ("rule.blocked", subject),
        Rule::Remove(subject, Ruling::Approve) => ("rule.revoked", subject),
        Rule::Remove(subject, Ruling::Block) => ("rule.unblocked", subject),
        Rule::Deny(key) => ("approval.denied", key),
        Rule::Lapse(_) => return None,
    };
    Some(Change::Audit(AuditRow::new(now, OWNER, what, subject)))
}

impl Decider<'_> {
    /// What a decision of the owner writes; nothing where there is nothing to decide about.
    pub(super) fn decision(&self, rule: &Rule) -> Result<Vec<Change>, StoreError> {
        let mut changes = match rule {
            Rule::Add(subject, Ruling::Approve) => self.approval(subject)?,
            Rule::Add(subject, Ruling::Block) => self.block(subject)?,
            Rule::Remove(subject, ruling) => self.taken_back(subject, *ruling),
            Rule::Deny(key) => self.turned_away(key)?.into_iter().chain(self.resolution(key, "denied")?).collect(),
            Rule::Lapse(key) => self.resolution(key, EXPIRED)?,
        };
        if !changes.is_empty() {
            changes.extend(recorded(rule, self.now));
        }
        Ok(changes)
    }

    fn approval(&self, subject: &Subject) -> Result<Vec<Change>, StoreError> {
        let mut changes = vec![Change::AddRule(subject.clone(), Ruling::Approve, self.now)];
        changes.extend(match subject {
            Subject::Key(key) => self.acceptance(key)?,
            Subject::Address(pattern) => self.acceptances(pattern)?,
        });
        changes.push(Change::Event(event(self.now, "policy.changed", subject, None, Some("approved"))));
        Ok(changes)
    }

    /// A block ends what was approved of whom it covers, and answers what they ask.
    fn block(&self, subject: &Subject) -> Result<Vec<Change>, StoreError> {
        let addresses = |(key, address): (PeerKey, String)| Some((key, Address::parse(&address).ok()?));
        let peers = self.reader.peers()?.into_iter().map(|(key, row)| (key, row.address));
        let waiting: Vec<_> = self.reader.approvals()?.into_iter().map(|(key, row)| (key, row.address)).filter_map(addresses).collect();
        let homes = peers.filter_map(addresses).chain(waiting.clone());
        let homes = homes.map(|(key, address)| {
            let is_proven = self.pinned(&key, &address)? == Some(key);
            Ok(policy::Home { key, address, is_proven })
        });
        let covered = self.policy.covered_by(subject, &homes.collect::<Result<Vec<_>, StoreError>>()?);
        let mut changes: Vec<Change> = covered.into_iter().map(|subject| Change::RemoveRule(subject, Ruling::Approve)).collect();
        changes.push(Change::AddRule(subject.clone(), Ruling::Block, self.now));
        if let Subject::Key(key) = subject
            && let Some(row) = self.reader.approval(key)?
        {
            changes.extend(self.remembered(key, &row)?);
        }
        for (key, address) in waiting {
            let is_covered = match subject {
                Subject::Key(blocked) => self.policy.successions().lineage(blocked).any(|earlier| *earlier == key),
                Subject::Address(pattern) => pattern.matches(&address),
            };
            if is_covered {
                changes.extend(self.turned_away(&key)?);
                changes.push(Change::RemoveApproval(key));
                changes.push(Change::Event(event(self.now, "approval.resolved", &key, None, Some("blocked"))));
            }
        }
        changes.push(Change::Event(event(self.now, "policy.changed", subject, None, Some("blocked"))));
        Ok(changes)
    }

    fn taken_back(&self, subject: &Subject, ruling: Ruling) -> Vec<Change> {
        let word = if ruling == Ruling::Approve { "revoked" } else { "unblocked" };
        let gone = self.policy.taken_back(subject, ruling);
        let changed = (!gone.is_empty()).then(|| Change::Event(event(self.now, "policy.changed", subject, None, Some(word))));
        gone.into_iter().map(|subject| Change::RemoveRule(subject, ruling)).chain(changed).collect()
    }

    fn resolution(&self, key: &PeerKey, word: &str) -> Result<Vec<Change>, StoreError> {
        let is_open = self.reader.approval(key)?.is_some();
        if !is_open {
            return Ok(Vec::new());
        }
        let resolved = event(self.now, "approval.resolved", key, None, Some(word));
        // That nobody answers is what strangers can cause, again and again.
        let told = if word == EXPIRED { Change::StrangersEvent(Sort::Asked, resolved) } else { Change::Event(resolved) };
        Ok(vec![Change::RemoveApproval(*key), told])
    }

    /// Who asks with this key waits for a yes from now on, for when the owner thinks better of it.
    fn turned_away(&self, key: &PeerKey) -> Result<Option<Change>, StoreError> {
        let asks = self.reader.approval(key)?.filter(|row| row.hears_decisions == Some(true));
        Ok(asks.map(|row| Change::TurnAway(*key, TurnedAwayRow { address: row.address, at: self.now.as_nanos() })))
    }

    /// Those whose questions these changes answer with a yes that nobody can tell them now.
    fn untold(&self, changes: &[Change]) -> Result<Vec<Change>, StoreError> {
        let answered = changes.iter().filter_map(|change| if let Change::RemoveApproval(key) = change { Some(key) } else { None });
        answered.filter_map(|key| self.turned_away(key).transpose()).collect()
    }

    /// What it means for a question that its key is approved. Where another key was known for the address, the
    /// owner has now said that the address is this one's, and the other one's approval ends.
    fn acceptance(&self, key: &PeerKey) -> Result<Vec<Change>, StoreError> {
        let Some(row) = self.reader.approval(key)? else { return Ok(Vec::new()) };
        let mut changes = Vec::from(self.accepted(key));
        changes.extend(self.remembered(key, &row)?);
        if let (Some(previous), Ok(address)) = (row.previous(), Address::parse(&row.address)) {
            changes.push(pin(&address, *key, Proof::Pinned, self.now));
            let ended = self.policy.taken_back(&Subject::Key(previous), Ruling::Approve).into_iter();
            let ended = ended.filter(|subject| *subject != Subject::Key(*key));
            changes.extend(ended.map(|subject| Change::RemoveRule(subject, Ruling::Approve)));
        }
        Ok(changes)
    }

    /// Who asked, for when the owner wants to know whom a rule is about: the question itself is forgotten.
    fn remembered(&self, key: &PeerKey, row: &ApprovalRow) -> Result<Option<Change>, StoreError> {
        let Ok(address) = Address::parse(&row.address) else { return Ok(None) };
        let is_news = self.reader.peer(key)?.is_none();
        let asked = Timestamp::from_nanos(row.requested_at);
        Ok(is_news.then(|| Change::Peer(*key, PeerRow { proof: row.proof, ..PeerRow::new(address.wire(), asked) })))
    }

    /// What an approval of a pattern writes about those whose address is known to be theirs.
    fn acceptances(&self, pattern: &Pattern) -> Result<Vec<Change>, StoreError> {
        let covered = self.covered(&|address| pattern.matches(address))?.into_iter().filter(|covered| covered.is_pinned);
        Ok(covered.flat_map(|covered| self.accepted(&covered.key)).collect())
    }

    pub(super) fn accepted(&self, key: &PeerKey) -> [Change; 3] {
        let resolved = Change::Event(event(self.now, "approval.resolved", key, None, Some("approved")));
        [Change::RemoveApproval(*key), Change::ForgetTurnedAway(*key), resolved]
    }

    /// The open questions of those whose address is covered.
    pub(super) fn covered(&self, covers: &dyn Fn(&Address) -> bool) -> Result<Vec<Covered>, StoreError> {
        let mut covered = Vec::new();
        for (key, row) in self.reader.approvals()? {
            let Ok(address) = Address::parse(&row.address) else { continue };
            let pinned = self.pinned(&key, &address)?;
            let is_others = row.previous().is_some() || pinned.is_some_and(|pinned| pinned != key);
            if covers(&address) && !is_others && !self.policy.blocks(&key, &address) {
                covered.push(Covered { key, address, row, is_pinned: pinned.is_some() });
            }
        }
        Ok(covered)
    }

    /// The key that belongs to an address. A key that `key` followed counts as `key`, also where the pin has not moved
    /// yet.
    pub(super) fn pinned(&self, key: &PeerKey, address: &Address) -> Result<Option<PeerKey>, StoreError> {
        let pinned = self.reader.pin(address)?.map(|pin| pin.peer());
        Ok(pinned.map(|pinned| if self.policy.successions().leads(&pinned, key) { *key } else { pinned }))
    }
}
