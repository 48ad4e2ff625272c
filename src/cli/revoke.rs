//! Takes an approval back.

use serde_json::json;
use toq_api::RuleBody;

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// Takes an approval back
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The key or the address pattern that was approved
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
        let rule = match (self.id, self.from, self.key) {
            (Some(id), _, _) if id.starts_with("ed25519:") => RuleBody { key: Some(id), ..RuleBody::default() },
            (Some(id), _, _) => RuleBody { from: Some(id), ..RuleBody::default() },
            (None, None, None) => {
                let text = "say which approval to take back: a key, or --from with an address pattern";
                return Err(Failure::error(text).hint("Run `toq permissions` to see them"));
            }
            (None, from, key) => RuleBody { key, from, ..RuleBody::default() },
        };
        desk.client()?
            .post::<_, ()>(&["v1", "revoke"], &[], &rule)
            .await
            .map_err(|error| Failure::from(error).after("Failed to revoke"))?;
        let shown = rule.from.or(rule.key).unwrap_or_default();
        desk.output.answer(|| json!({ "revoked": shown }), || format!("Revoked {}", sanitize::name(&shown)))
    }
}
