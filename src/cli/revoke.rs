//! Takes an approval back.

use serde_json::json;
use toq_api::RuleBody;
use toq_protocol::policy::Ruling;

use super::approvals::shown;
use super::desk::Desk;
use super::failure::Failure;
use super::gate::Gate;
use super::meant::Directory;
use super::sanitize;

/// Takes an approval back
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The key, the address pattern, or the name or address of the agent that was approved
    #[arg(conflicts_with_all = ["from", "key"])]
    id: Option<String>,
    /// The address pattern that was approved
    #[arg(long, value_name = "PATTERN", conflicts_with = "key")]
    from: Option<String>,
    /// The key that was approved
    #[arg(long)]
    key: Option<String>,
}

impl Revoke {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let said = self.id.or(self.from).or(self.key);
        let gone = take_back(&Gate::open(desk).await?, said, Ruling::Approve).await;
        let gone = gone.map_err(|failure| failure.after("Failed to revoke"))?;
        let lines = || gone.iter().map(|rule| format!("Revoked {}", sanitize::name(rule))).collect::<Vec<_>>().join("\n");
        desk.output.answer(|| json!({ "revoked": shown(&gone) }), lines)
    }
}

/// Takes back every rule of an agent, and says which they were; fails where there is none.
pub async fn take_back(gate: &Gate, said: Option<String>, ruling: Ruling) -> Result<Vec<String>, Failure> {
    let what = if ruling == Ruling::Approve { "approval" } else { "block" };
    let Some(said) = said else {
        let text = format!("say which {what} to take back: a key, a name, or --from with an address pattern");
        return Err(Failure::error(text).hint("Run `toq permissions` to see them"));
    };
    let directory = Directory::read(gate).await?;
    let listed = if ruling == Ruling::Approve { &directory.rules.approved } else { &directory.rules.blocked };
    let gone = directory.taken_back(&said, listed, what)?;
    for rule in &gone {
        gate.remove(rule, ruling).await?;
    }
    Ok(names(&gone))
}

/// Returns what rules are about.
pub fn names(rules: &[RuleBody]) -> Vec<String> {
    rules.iter().filter_map(|rule| rule.from.clone().or_else(|| rule.key.clone())).collect()
}
