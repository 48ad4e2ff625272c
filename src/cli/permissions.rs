//! Shows who is let in and who is shut out.

use serde_json::json;
use toq_api::Rule;

use super::desk::Desk;
use super::failure::Failure;
use super::gate::Gate;
use super::sanitize;

/// Shows who is let in and who is shut out
#[derive(Debug, clap::Args)]
pub struct Permissions {}

impl Permissions {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let rules = Gate::open(desk).await?.permissions().await?;
        desk.output.answer(|| json!(rules), || format!("Approved:\n{}\nBlocked:\n{}", words(&rules.approved), words(&rules.blocked)))
    }
}

/// Returns rules for people. Below a key stands whose it is and how that is known, if it was here, and below a pattern that
/// covers nobody, why.
fn words(rules: &[Rule]) -> String {
    if rules.is_empty() {
        return "  (none)".to_owned();
    }
    let line = |rule: &Rule| {
        let mut text = format!("  {}: {}", rule.kind.as_str(), sanitize::name(&rule.value));
        if let Some(address) = &rule.address {
            let proof = rule.verified_by.as_deref().filter(|proof| *proof != "claimed").unwrap_or("no");
            text += &format!("\n    {} (verified: {})", sanitize::name(address), sanitize::name(proof));
        }
        if let Some(words) = &rule.words {
            text += &format!("\n    words: {}", sanitize::name(words));
        }
        if let Some(warning) = &rule.warning {
            text += &format!("\n    WARNING: covers nobody: {}", sanitize::text(warning));
        }
        text
    };
    rules.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use toq_api::RuleKind;

    use super::*;

    #[test]
    fn rules_read_as_documented() {
        let rules = [Rule::new(RuleKind::Key, "ed25519:A"), Rule::new(RuleKind::Address, "toq://evil.com/*")];

        assert_eq!(words(&rules), "  key: ed25519:A\n  address: toq://evil.com/*");
        assert_eq!(words(&[]), "  (none)");
    }

    #[test]
    fn a_key_is_shown_with_whose_it_is_and_how_that_is_known() {
        let proven = Rule {
            address: Some("toq://h/bob".into()),
            verified_by: Some("pinned".into()),
            words: Some("one two".into()),
            ..Rule::new(RuleKind::Key, "ed25519:A")
        };
        let claimed = Rule { verified_by: Some("claimed".into()), words: None, ..proven.clone() };

        assert_eq!(words(&[proven]), "  key: ed25519:A\n    toq://h/bob (verified: pinned)\n    words: one two");
        assert_eq!(words(&[claimed]), "  key: ed25519:A\n    toq://h/bob (verified: no)");
    }

    #[test]
    fn a_pattern_that_covers_nobody_says_why() {
        let void = Rule { warning: Some("it has no host".into()), ..Rule::new(RuleKind::Address, "toq://") };

        assert_eq!(words(&[void]), "  address: toq://\n    WARNING: covers nobody: it has no host");
    }
}
