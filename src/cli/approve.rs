//! Lets agents in.

use serde_json::json;
use toq_api::{ApprovalKind, Decision, RuleBody};

use super::approvals::{Crowd, all_meant, choose, decide, lines, open, shown};
use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// Lets agents in from now on
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// Pending approvals: their numbers, the agents' names, or the keys
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
        let client = desk.client()?;
        if self.from.is_some() || self.key.is_some() {
            let rule = RuleBody { key: self.key.clone(), from: self.from.clone(), i_understand: self.i_understand };
            let approving = client.post::<_, ()>(&["v1", "approve"], &[], &rule).await;
            approving.map_err(|error| Failure::from(error).after("Failed to approve"))?;
            let approved = self.from.or(self.key).unwrap_or_default();
            return desk.output.answer(|| json!({ "approved": approved }), || format!("Approved {}", sanitize::name(&approved)));
        }
        let pending = open(&client).await?.approvals;
        let keys = match (self.crowd.is_meant(), self.ids.as_slice()) {
            (true, _) => self.crowd.keys(&pending, Decision::Approve),
            (false, []) => choose(desk, &pending, "approve")?.into_iter().collect(),
            (false, ids) => all_meant(ids, &pending)?,
        };
        decide(&client, &keys, Decision::Approve).await?;
        let held = pending.iter().filter(|approval| approval.kind == ApprovalKind::KeyChanged).count();
        if self.crowd.is_meant() && held > 0 {
            desk.output.note(&format!("Not approved: {held} with a changed key. See `toq approvals`, then approve each by its key"));
        }
        desk.output.answer(|| json!({ "approved": shown(&keys) }), || lines("Approved", &keys))
    }
}
