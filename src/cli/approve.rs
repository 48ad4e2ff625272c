//! Lets an agent in.

use serde_json::json;
use toq_api::{ApprovalDecision, Decision, RuleBody};

use super::approvals::{choose, meant, open};
use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// Lets an agent in from now on
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// A pending approval: its number, the agent's name, or the key
    #[arg(conflicts_with_all = ["from", "key"])]
    id: Option<String>,
    /// Every agent whose address matches this pattern
    #[arg(long, value_name = "PATTERN", conflicts_with = "key")]
    from: Option<String>,
    /// The agent with this key
    #[arg(long)]
    key: Option<String>,
}

impl Approve {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let client = desk.client()?;
        let failed = |error| Failure::from(error).after("Failed to approve");
        let approved = match (self.from, self.key) {
            (None, None) => {
                let pending = open(&client).await?.approvals;
                let id = match &self.id {
                    Some(id) => Some(meant(id, &pending)?),
                    None => choose(desk, &pending, "approve")?,
                };
                let Some(id) = id else {
                    return desk.output.answer(|| json!({"approved": null}), || "No pending approvals".to_owned());
                };
                let decision = ApprovalDecision { decision: Decision::Approve };
                client.post::<_, ()>(&["v1", "approvals", &id], &[], &decision).await.map_err(failed)?;
                id
            }
            (from, key) => {
                let rule = RuleBody { key: key.clone(), from: from.clone() };
                client.post::<_, ()>(&["v1", "approve"], &[], &rule).await.map_err(failed)?;
                from.or(key).unwrap_or_default()
            }
        };
        desk.output.answer(|| json!({ "approved": approved }), || format!("Approved {}", sanitize::name(&approved)))
    }
}
