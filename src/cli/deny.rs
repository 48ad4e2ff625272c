//! Turns a request away.

use serde_json::json;
use toq_api::{ApprovalDecision, Decision};

use super::approvals::{meant, open};
use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// Turns a pending approval away; the agent may ask again
#[derive(Debug, clap::Args)]
pub struct Deny {
    /// A pending approval: its number, the agent's name, or the key
    id: String,
}

impl Deny {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let client = desk.client()?;
        let id = meant(&self.id, &open(&client).await?.approvals)?;
        let decision = ApprovalDecision { decision: Decision::Deny };
        client
            .post::<_, ()>(&["v1", "approvals", &id], &[], &decision)
            .await
            .map_err(|error| Failure::from(error).after("Failed to deny"))?;
        desk.output.answer(|| json!({ "denied": id }), || format!("Denied {}", sanitize::name(&id)))
    }
}
