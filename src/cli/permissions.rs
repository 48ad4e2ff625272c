//! Shows who is let in and who is shut out.

use serde_json::json;
use toq_api::{Peer, PeersResponse, PermissionsResponse, Rule, RuleKind};

use super::desk::Desk;
use super::failure::Failure;
use super::{peers, sanitize};

/// Shows who is let in and who is shut out
#[derive(Debug, clap::Args)]
pub struct Permissions {}

impl Permissions {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let client = desk.client()?;
        let rules: PermissionsResponse = client.get(&["v1", "permissions"], &[]).await?;
        let known: PeersResponse = client.get(&["v1", "peers"], &[]).await?;
        desk.output.answer(
            || json!(rules),
            || format!("Approved:\n{}\nBlocked:\n{}", words(&rules.approved, &known.peers), words(&rules.blocked, &known.peers)),
        )
    }
}

/// Returns rules for people. Below a key stands whose it is and how that is known, if it was here.
fn words(rules: &[Rule], known: &[Peer]) -> String {
    if rules.is_empty() {
        return "  (none)".to_owned();
    }
    let line = |rule: &Rule| {
        let line = format!("  {}: {}", rule.kind.as_str(), sanitize::name(&rule.value));
        let holder = known.iter().find(|peer| rule.kind == RuleKind::Key && peer.public_key == rule.value);
        match holder {
            Some(peer) => {
                let (address, proof) = (sanitize::name(&peer.address), peers::proof(peer));
                format!("{line}\n    {address} (verified: {proof})\n    words: {}", sanitize::name(&peer.words))
            }
            None => line,
        }
    };
    rules.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_as_documented() {
        let rules =
            [Rule { kind: RuleKind::Key, value: "ed25519:A".into() }, Rule { kind: RuleKind::Address, value: "toq://evil.com/*".into() }];

        assert_eq!(words(&rules, &[]), "  key: ed25519:A\n  address: toq://evil.com/*");
        assert_eq!(words(&[], &[]), "  (none)");
    }

    #[test]
    fn a_key_that_was_here_is_shown_with_how_its_address_is_known() {
        let rules = [Rule { kind: RuleKind::Key, value: "ed25519:A".into() }];
        let peer = json!({"public_key": "ed25519:A", "address": "toq://h/bob", "status": "seen", "last_seen": "T", "verified": true,
            "verified_by": "pinned", "words": "one two"});

        let shown = words(&rules, &[serde_json::from_value(peer).expect("a peer")]);

        assert_eq!(shown, "  key: ed25519:A\n    toq://h/bob (verified: pinned, transport only)\n    words: one two");
    }
}
