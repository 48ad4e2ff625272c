//! Turns requests away.

use serde_json::json;
use toq_api::Decision;

use super::approvals::{Crowd, all_meant, all_pending, decide, lines, open, shown};
use super::desk::Desk;
use super::failure::Failure;
use super::gate::Gate;

/// Turns pending approvals away; the agents may ask again
#[derive(Debug, clap::Args)]
pub struct Deny {
    /// Pending approvals: their numbers, the agents' names, or the keys
    #[arg(required_unless_present_any = ["all", "all_unproven"], conflicts_with_all = ["all", "all_unproven"])]
    ids: Vec<String>,
    #[command(flatten)]
    crowd: Crowd,
}

impl Deny {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let gate = Gate::open(desk).await?;
        let pending = open(&gate).await?.approvals;
        let keys = if self.crowd.is_meant() { self.crowd.keys(&pending, Decision::Deny) } else { all_meant(&self.ids, &pending)? };
        all_pending(&keys, &pending)?;
        decide(&gate, &keys, Decision::Deny).await?;
        desk.output.answer(|| json!({ "denied": shown(&keys) }), || lines("Denied", &keys))
    }
}
