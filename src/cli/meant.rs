//! Whom somebody means: a key, the number of a pending approval, an address, or an agent's name.
//!
//! A name is only what an agent calls itself, so it is taken where one agent has it and no other. Nothing is decided before everybody who is
//! meant has been found.

use toq_api::{Approval, ApprovalKind, PeersResponse, PermissionsResponse, Rule, RuleBody, RuleKind};
use toq_protocol::address::Address;
use toq_protocol::policy::PATTERN_FORM;

use super::approvals;
use super::failure::Failure;
use super::gate::Gate;
use super::sanitize;

/// How many candidates an error lists.
const LISTED: usize = 10;

/// Everybody who is known.
pub struct Directory {
    pending: Vec<Approval>,
    peers: PeersResponse,
    /// The rules in force.
    pub rules: PermissionsResponse,
}

/// An agent that may be meant.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Agent {
    key: String,
    address: String,
}

impl Agent {
    fn shown(&self) -> String {
        format!("{} ({})", sanitize::name(&self.key), sanitize::name(&self.address))
    }
}

impl Directory {
    /// Reads who is known.
    pub async fn read(gate: &Gate) -> Result<Self, Failure> {
        let pending = approvals::open(gate).await?.approvals;
        Ok(Self { pending, peers: gate.peers().await?, rules: gate.permissions().await? })
    }

    /// Returns the open questions, as they are numbered.
    pub fn pending(&self) -> &[Approval] {
        &self.pending
    }

    /// Returns the key that is to be let in. A changed key is named by itself: its number and its name are what somebody who poses as
    /// another agent has too.
    pub fn approved(&self, said: &str) -> Result<String, Failure> {
        if is_key(said) {
            return Ok(said.to_owned());
        }
        let asking: Vec<&Approval> = match number(said) {
            Some(number) => vec![self.numbered(number)?],
            None => self.pending.iter().filter(|approval| is_at(&approval.address, said)).collect(),
        };
        if let Some(changed) = asking.iter().find(|approval| approval.kind == ApprovalKind::KeyChanged) {
            let text = format!("'{}' has another key than before, and may be somebody else", sanitize::name(said));
            let key = sanitize::name(&changed.public_key);
            return Err(Failure::error(text).hint(format!(
                "Compare its words in `toq approvals` with its owner by another way; then approve it by its key: `toq approve {key}`"
            )));
        }
        let asking: Vec<Agent> = asking.into_iter().map(asks).collect();
        let found = if asking.is_empty() { self.found(said) } else { asking };
        one(said, found)?.map(|agent| agent.key).ok_or_else(|| self.unknown(said))
    }

    /// Returns what is to be shut out: the key of a known agent, else an address or a pattern.
    pub fn blocked(&self, said: &str) -> Result<RuleBody, Failure> {
        if is_key(said) {
            return Ok(by_key(said));
        }
        if let Some(number) = number(said) {
            return Ok(by_key(&self.numbered(number)?.public_key));
        }
        if said.contains('*') {
            return Ok(by_pattern(said));
        }
        // A key is proven and an address is only claimed, so the key is the better rule where it is known.
        match one(said, self.found(said))? {
            Some(agent) => Ok(by_key(&agent.key)),
            None if said.contains("://") => Ok(by_pattern(said)),
            None => Err(self.unknown(said)),
        }
    }

    /// Returns which of some rules are meant to go: those of the agent, by its key and by its address.
    pub fn taken_back(&self, said: &str, listed: &[Rule], what: &str) -> Result<Vec<RuleBody>, Failure> {
        let key = match number(said) {
            Some(number) => Some(self.numbered(number)?.public_key.clone()),
            None => is_key(said).then(|| said.to_owned()),
        };
        let is_meant = |rule: &&Rule| match &key {
            Some(key) => rule.value == *key,
            None => rule.value == said || is_at(whose(rule), said),
        };
        let found: Vec<&Rule> = listed.iter().filter(is_meant).collect();
        let is_other = |rule: &&&Rule| found.first().is_some_and(|first| !is_same(whose(first), whose(rule)));
        if key.is_none() && found.iter().any(|rule| is_other(&rule)) {
            let all = found.iter().map(|rule| shown(rule));
            return Err(several(said, all));
        }
        if found.is_empty() {
            let text = format!("nothing was taken back: there is no {what} of '{}'", sanitize::name(said));
            let hint = if listed.is_empty() { format!("There is no {what} at all") } else { list("There are", listed.iter().map(shown)) };
            return Err(Failure::error(text).hint(hint));
        }
        Ok(found.into_iter().map(|rule| if rule.kind == RuleKind::Key { by_key(&rule.value) } else { by_pattern(&rule.value) }).collect())
    }

    fn numbered(&self, number: usize) -> Result<&Approval, Failure> {
        let found = number.checked_sub(1).and_then(|index| self.pending.get(index));
        found.ok_or_else(|| Failure::error(format!("there is no approval number {number}")).hint("`toq approvals` lists them"))
    }

    /// Returns everybody who is known, each key once.
    fn agents(&self) -> Vec<Agent> {
        let peers = self.peers.peers.iter().map(|peer| Agent { key: peer.public_key.clone(), address: peer.address.clone() });
        let ruled = self.rules.approved.iter().chain(&self.rules.blocked).filter(|rule| rule.kind == RuleKind::Key);
        let ruled = ruled.map(|rule| Agent { key: rule.value.clone(), address: rule.address.clone().unwrap_or_default() });
        let mut agents: Vec<Agent> = Vec::new();
        for agent in self.pending.iter().map(asks).chain(peers).chain(ruled) {
            if !agent.address.is_empty() && !agents.iter().any(|known| known.key == agent.key) {
                agents.push(agent);
            }
        }
        agents
    }

    fn found(&self, said: &str) -> Vec<Agent> {
        self.agents().into_iter().filter(|agent| is_at(&agent.address, said)).collect()
    }

    fn unknown(&self, said: &str) -> Failure {
        let agents = self.agents();
        let known = if agents.is_empty() { "No agent is known yet".to_owned() } else { list("Known are", agents.iter().map(Agent::shown)) };
        Failure::error(format!("no agent '{}' is known", sanitize::name(said)))
            .hint(format!("{known}\nFor addresses that were not here yet, use --from: {PATTERN_FORM}"))
    }
}

fn asks(approval: &Approval) -> Agent {
    Agent { key: approval.public_key.clone(), address: approval.address.clone() }
}

fn by_key(key: &str) -> RuleBody {
    RuleBody { key: Some(key.to_owned()), ..RuleBody::default() }
}

fn by_pattern(pattern: &str) -> RuleBody {
    RuleBody { from: Some(pattern.to_owned()), ..RuleBody::default() }
}

fn is_key(said: &str) -> bool {
    said.starts_with("ed25519:")
}

fn number(said: &str) -> Option<usize> {
    said.parse().ok()
}

/// Returns the address that a rule is about.
fn whose(rule: &Rule) -> &str {
    if rule.kind == RuleKind::Key { rule.address.as_deref().unwrap_or_default() } else { &rule.value }
}

fn shown(rule: &Rule) -> String {
    let address = rule.address.as_deref().map(|address| format!(" ({})", sanitize::name(address))).unwrap_or_default();
    format!("{}{address}", sanitize::name(&rule.value))
}

/// Says whether an address is meant by this text, which is an address or a name.
fn is_at(address: &str, said: &str) -> bool {
    if said.contains("://") {
        return is_same(address, said);
    }
    Address::parse(address).is_ok_and(|address| address.agent().as_str() == said)
}

/// Says whether two texts are one address. The wire leaves the port of a domain away.
fn is_same(left: &str, right: &str) -> bool {
    match (Address::parse(left), Address::parse(right)) {
        (Ok(left), Ok(right)) => {
            let is_port = left.port() == right.port() || left.hides_port();
            left.host_key() == right.host_key() && left.agent() == right.agent() && is_port
        }
        _ => left == right,
    }
}

fn one(said: &str, mut found: Vec<Agent>) -> Result<Option<Agent>, Failure> {
    if found.len() > 1 {
        return Err(several(said, found.iter().map(Agent::shown)));
    }
    Ok(found.pop())
}

fn several(said: &str, candidates: impl Iterator<Item = String>) -> Failure {
    Failure::error(format!("'{}' may mean several agents", sanitize::name(said))).hint(list("Say which, by its key:", candidates))
}

fn list(words: &str, candidates: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = candidates.collect();
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    format!("{words}\n    {}", lines.join("\n    "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn directory() -> Directory {
        let asks = |key: &str, address: &str, kind| Approval {
            id: key.into(),
            public_key: key.into(),
            address: address.into(),
            kind,
            ..Approval::default()
        };
        let peer = |key: &str, address: &str| json!({"public_key": key, "address": address, "status": "seen", "last_seen": "T"});
        let of = |key: &str, address: &str| Rule { address: Some(address.into()), ..Rule::new(RuleKind::Key, key) };
        Directory {
            pending: vec![
                asks("ed25519:E", "toq://evil/eve", ApprovalKind::Unknown),
                asks("ed25519:M", "toq://h/alice", ApprovalKind::KeyChanged),
                asks("ed25519:B2", "toq://other/bob", ApprovalKind::Unknown),
            ],
            peers: serde_json::from_value(json!({"peers": [
                peer("ed25519:A", "toq://h/alice"), peer("ed25519:B", "toq://h/bob"), peer("ed25519:C", "toq://127.0.0.1:9010/carol")]}))
            .expect("peers"),
            rules: PermissionsResponse {
                approved: vec![of("ed25519:A", "toq://h/alice"), Rule::new(RuleKind::Key, "ed25519:X")],
                blocked: vec![
                    of("ed25519:C", "toq://127.0.0.1:9010/carol"),
                    Rule::new(RuleKind::Address, "toq://127.0.0.1:9010/carol"),
                    Rule::new(RuleKind::Address, "toq://*/dave"),
                    of("ed25519:F", "toq://h/frank"),
                    of("ed25519:G", "toq://other/frank"),
                ],
            },
        }
    }

    #[test]
    fn a_block_means_the_key_of_whoever_is_known_and_else_an_address() {
        let directory = directory();

        for (said, key) in
            [("eve", "ed25519:E"), ("1", "ed25519:E"), ("toq://127.0.0.1:9010/carol", "ed25519:C"), ("ed25519:Z", "ed25519:Z")]
        {
            assert_eq!(directory.blocked(said), Ok(by_key(key)), "{said}");
        }
        for said in ["toq://127.0.0.1/carol", "toq://*/x", "*"] {
            assert_eq!(directory.blocked(said), Ok(by_pattern(said)), "{said}");
        }
        for (said, told) in
            [("alice", "several"), ("bob", "several"), ("nobody", "no agent"), ("garbage words", "no agent"), ("9", "number")]
        {
            let failure = directory.blocked(said).expect_err(said);
            assert!(failure.message.contains(told), "{said}: {failure}");
        }
        let hint = directory.blocked("bob").expect_err("two").hint.expect("a hint");
        assert!(hint.contains("ed25519:B (toq://h/bob)") && hint.contains("ed25519:B2 (toq://other/bob)"), "{hint}");
    }

    #[test]
    fn what_is_taken_back_is_there_by_its_key_and_by_its_address() {
        let directory = directory();
        let blocked = |said: &str| directory.taken_back(said, &directory.rules.blocked, "block");

        let carols = vec![by_key("ed25519:C"), by_pattern("toq://127.0.0.1:9010/carol")];
        assert_eq!(blocked("toq://127.0.0.1:9010/carol"), Ok(carols.clone()));
        assert_eq!(blocked("carol"), Ok(carols));
        assert_eq!(blocked("toq://*/dave"), Ok(vec![by_pattern("toq://*/dave")]));
        assert_eq!(directory.taken_back("ed25519:X", &directory.rules.approved, "approval"), Ok(vec![by_key("ed25519:X")]));
        for said in ["toq://h/agent", "bogus", "ed25519:A", "1"] {
            assert!(blocked(said).expect_err(said).message.contains("nothing was taken back"), "{said}");
        }
        assert!(blocked("frank").expect_err("two").message.contains("several"));
    }

    #[test]
    fn a_changed_key_is_approved_by_itself_only_and_an_agent_without_a_question_by_its_name() {
        let directory = directory();

        for (said, key) in
            [("eve", "ed25519:E"), ("1", "ed25519:E"), ("bob", "ed25519:B2"), ("carol", "ed25519:C"), ("ed25519:M", "ed25519:M")]
        {
            assert_eq!(directory.approved(said).as_deref(), Ok(key), "{said}");
        }
        for said in ["2", "alice", "toq://h/alice"] {
            let failure = directory.approved(said).expect_err(said);
            assert!(failure.hint.expect("a hint").contains("toq approve ed25519:M"), "{said}");
        }
        for said in ["frank", "nobody", "0", "4", "", "toq://h/nobody"] {
            assert!(directory.approved(said).is_err(), "{said}");
        }
    }
}
