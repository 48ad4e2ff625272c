//! Shows who is let in and who is shut out.

use serde_json::json;
use toq_api::{PermissionsResponse, Rule};

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// Shows who is let in and who is shut out
#[derive(Debug, clap::Args)]
pub struct Permissions {}

impl Permissions {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let answer: PermissionsResponse = desk.client()?.get(&["v1", "permissions"], &[]).await?;
        desk.output.answer(|| json!(answer), || format!("Approved:\n{}\nBlocked:\n{}", words(&answer.approved), words(&answer.blocked)))
    }
}

fn words(rules: &[Rule]) -> String {
    if rules.is_empty() {
        return "  (none)".to_owned();
    }
    let lines: Vec<String> = rules.iter().map(|rule| format!("  {}: {}", rule.kind.as_str(), sanitize::name(&rule.value))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use toq_api::RuleKind;

    use super::*;

    #[test]
    fn rules_read_as_documented() {
        let rules =
            [Rule { kind: RuleKind::Key, value: "ed25519:A".into() }, Rule { kind: RuleKind::Address, value: "toq://evil.com/*".into() }];

        assert_eq!(words(&rules), "  key: ed25519:A\n  address: toq://evil.com/*");
        assert_eq!(words(&[]), "  (none)");
    }
}
