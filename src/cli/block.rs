//! Shuts an agent out, and lets it be treated like any other again.

use serde_json::json;
use toq_api::{Client, PeersResponse, RuleBody};

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// Shuts an agent out, whatever the connection mode
#[derive(Debug, clap::Args)]
pub struct Block {
    #[command(flatten)]
    target: Target,
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
    /// A key, the address of a known peer (then its key is meant), or an address pattern
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
        let client = desk.client()?;
        let rule = self.target.rule(&client).await?;
        client.post::<_, ()>(&["v1", "block"], &[], &rule).await.map_err(|error| Failure::from(error).after("Failed to block"))?;
        let shown = shown(rule);
        desk.output.answer(|| json!({ "blocked": shown }), || format!("Blocked {}", sanitize::name(&shown)))
    }
}

impl Unblock {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let client = desk.client()?;
        let rule = self.target.rule(&client).await?;
        client.delete::<_, ()>(&["v1", "block"], Some(&rule)).await.map_err(|error| Failure::from(error).after("Failed to unblock"))?;
        let shown = shown(rule);
        desk.output.answer(|| json!({ "unblocked": shown }), || format!("Unblocked {}", sanitize::name(&shown)))
    }
}

impl Target {
    async fn rule(self, client: &Client) -> Result<RuleBody, Failure> {
        let Some(target) = self.target else {
            return Ok(RuleBody { key: self.key, from: self.from, ..RuleBody::default() });
        };
        if target.starts_with("ed25519:") {
            return Ok(RuleBody { key: Some(target), ..RuleBody::default() });
        }
        // A key is proven and an address is only claimed, so the key is the better rule where it is known.
        let known: PeersResponse = client.get(&["v1", "peers"], &[]).await?;
        let keys: Vec<String> = known.peers.into_iter().filter(|peer| peer.address == target).map(|peer| peer.public_key).collect();
        match <[String; 1]>::try_from(keys) {
            Ok([key]) => Ok(RuleBody { key: Some(key), ..RuleBody::default() }),
            Err(_) => Ok(RuleBody { from: Some(target), ..RuleBody::default() }),
        }
    }
}

fn shown(rule: RuleBody) -> String {
    rule.from.or(rule.key).unwrap_or_default()
}
