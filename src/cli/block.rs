//! Shuts an agent out, and lets it be treated like any other again.

use serde_json::json;
use toq_api::RuleBody;
use toq_protocol::policy::Ruling;

use super::approvals::shown;
use super::desk::Desk;
use super::failure::Failure;
use super::gate::Gate;
use super::meant::Directory;
use super::revoke::{names, take_back};
use super::sanitize;

/// Shuts an agent out, whatever the connection mode
#[derive(Debug, clap::Args)]
pub struct Block {
    #[command(flatten)]
    target: Target,
    /// Block a pattern that covers every address
    #[arg(long)]
    i_understand: bool,
}

/// Takes a block back
#[derive(Debug, clap::Args)]
pub struct Unblock {
    #[command(flatten)]
    target: Target,
}

/// Who is meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// A key, the name or the address of a known agent (then its key is meant), the number of a pending approval, or an address
    /// pattern
    target: Option<String>,
    /// Every agent whose address matches this pattern
    #[arg(long, value_name = "PATTERN")]
    from: Option<String>,
    /// The agent with this key
    #[arg(long)]
    key: Option<String>,
}

impl Block {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let gate = Gate::open(desk).await?;
        let Target { target, from, key } = self.target;
        let meant = match target {
            Some(said) => Directory::read(&gate).await?.blocked(&said)?,
            None => RuleBody { key, from, ..RuleBody::default() },
        };
        let rule = RuleBody { i_understand: self.i_understand, ..meant };
        gate.add(&rule, Ruling::Block).await.map_err(|failure| failure.after("Failed to block"))?;
        let blocked = names(&[rule]);
        desk.output.answer(|| json!({ "blocked": shown(&blocked) }), || format!("Blocked {}", sanitize::name(&blocked.concat())))
    }
}

impl Unblock {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let Target { target, from, key } = self.target;
        let gone = take_back(&Gate::open(desk).await?, target.or(from).or(key), Ruling::Block).await;
        let gone = gone.map_err(|failure| failure.after("Failed to unblock"))?;
        let lines = || gone.iter().map(|rule| format!("Unblocked {}", sanitize::name(rule))).collect::<Vec<_>>().join("\n");
        desk.output.answer(|| json!({ "unblocked": shown(&gone) }), lines)
    }
}
