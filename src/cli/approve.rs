//! Lets agents in.

use serde_json::json;
use toq_api::{ApprovalKind, Decision, PermissionsResponse, Rule, RuleBody, RuleKind};
use toq_protocol::policy::{Pattern, Ruling};

use super::approvals::{Crowd, choose, decide, lines, shown};
use super::desk::Desk;
use super::failure::Failure;
use super::gate::Gate;
use super::meant::Directory;
use super::sanitize;

/// Lets agents in from now on
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// Pending approvals, or known agents: their numbers, names or keys; a changed key by itself only
    #[arg(conflicts_with_all = ["from", "key", "all", "all_unproven"])]
    ids: Vec<String>,
    #[command(flatten)]
    crowd: Crowd,
    /// Every agent whose address matches this pattern
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["key", "all", "all_unproven"])]
    from: Option<String>,
    /// The agent with this key
    #[arg(long, conflicts_with_all = ["all", "all_unproven"])]
    key: Option<String>,
    /// Approve a pattern that covers every address
    #[arg(long, requires = "from")]
    i_understand: bool,
}

impl Approve {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let gate = Gate::open(desk).await?;
        if self.from.is_some() || self.key.is_some() {
            let rule = RuleBody { key: self.key.clone(), from: self.from.clone(), i_understand: self.i_understand };
            gate.add(&rule, Ruling::Approve).await.map_err(|failure| failure.after("Failed to approve"))?;
            let approved = self.from.or(self.key).unwrap_or_default();
            warn_of_blocks(desk, &gate, std::slice::from_ref(&approved)).await;
            return desk.output.answer(|| json!({ "approved": approved }), || format!("Approved {}", sanitize::name(&approved)));
        }
        let directory = Directory::read(&gate).await?;
        let pending = directory.pending();
        let keys = if self.crowd.is_meant() {
            self.crowd.keys(pending, Decision::Approve)
        } else {
            let chosen = if self.ids.is_empty() { choose(desk, pending, "approve")?.into_iter().collect() } else { self.ids };
            let mut keys: Vec<String> = Vec::new();
            for said in chosen {
                let key = directory.approved(&said)?;
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            keys
        };
        decide(&gate, &keys, Decision::Approve).await?;
        warn_of_blocks(desk, &gate, &keys).await;
        let held = pending.iter().filter(|approval| approval.kind == ApprovalKind::KeyChanged).count();
        let is_held = self.crowd.is_meant() && held > 0;
        if is_held {
            desk.output.note(&format!("Not approved: {held} with a changed key. See `toq approvals`, then approve each by its key"));
        }
        let said = || if is_held && keys.is_empty() { "Approved nobody".to_owned() } else { lines("Approved", &keys) };
        desk.output.answer(|| json!({ "approved": shown(&keys) }), said)
    }
}

/// Says which of those who were approved stay out nevertheless: a block always wins.
async fn warn_of_blocks(desk: &Desk, gate: &Gate, approved: &[String]) {
    // They are approved all the same; who cannot read the rules now is told by the command that needs them.
    let Ok(rules) = gate.permissions().await else { return };
    for subject in approved {
        if let Some(block) = overruling(&rules, subject) {
            let (subject, block) = (sanitize::name(subject), sanitize::name(block));
            desk.output.warn(&format!("{subject} stays out: the block of {block} covers it; `toq unblock {block}` lifts that"));
        }
    }
}

/// The block that covers whom this approval is about.
fn overruling<'a>(rules: &'a PermissionsResponse, approved: &str) -> Option<&'a str> {
    let lives = rules.approved.iter().find(|rule| rule.value == approved).and_then(|rule| rule.address.as_deref());
    let lives = lives.or_else(|| (!approved.starts_with("ed25519:")).then_some(approved));
    let covers = |block: &Rule| match block.kind {
        RuleKind::Key => block.value == approved,
        RuleKind::Address => lives.is_some_and(|lives| Pattern::new(&block.value).includes(&Pattern::new(lives))),
    };
    rules.blocked.iter().find(|block| covers(block)).map(|block| block.value.as_str())
}
