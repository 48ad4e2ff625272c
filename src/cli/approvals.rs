//! Lists the agents that ask to be let in, and finds the ones that somebody means.

use serde_json::json;
use toq_api::{Approval, ApprovalKind, ApprovalsResponse, Decision};

use super::desk::Desk;
use super::failure::Failure;
use super::gate::Gate;
use super::sanitize;

/// Lists the agents that ask to be let in
#[derive(Debug, clap::Args)]
pub struct Approvals {}

impl Approvals {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let answer = open(&Gate::open(desk).await?).await?;
        desk.output.answer(
            || json!(answer),
            || match answer.approvals.as_slice() {
                [] => "No pending approvals".to_owned(),
                approvals => approvals.iter().map(words).collect::<Vec<_>>().join("\n"),
            },
        )
    }
}

/// Which open questions are meant by one word.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Crowd {
    /// Every pending approval, but for changed keys where it approves
    #[arg(long, conflicts_with = "all_unproven")]
    all: bool,
    /// Every pending approval whose address only the agent itself says is its own
    #[arg(long)]
    all_unproven: bool,
}

impl Crowd {
    /// Says whether a crowd is meant.
    pub const fn is_meant(self) -> bool {
        self.all || self.all_unproven
    }

    /// Returns the keys that are meant.
    ///
    /// A changed key may be somebody who poses as an agent that is let in already. It is approved by its key only.
    pub fn keys(self, approvals: &[Approval], decision: Decision) -> Vec<String> {
        let is_meant = |approval: &&Approval| {
            let is_sweeping = decision == Decision::Approve && approval.kind == ApprovalKind::KeyChanged;
            !is_sweeping && (self.all || !is_proven(approval))
        };
        approvals.iter().filter(is_meant).map(|approval| approval.id.clone()).collect()
    }
}

/// Returns the open questions, the best proven first; among equals as the daemon tells them, the oldest first.
pub async fn open(gate: &Gate) -> Result<ApprovalsResponse, Failure> {
    let mut answer = gate.approvals().await?;
    answer.approvals.sort_by_key(|approval| match approval.proof.as_str() {
        "pinned" => 0,
        "dns" => 1,
        "dialled" => 2,
        _ => 3,
    });
    Ok(answer)
}

/// Says whether it is known, other than from the agent, that the address is its own.
fn is_proven(approval: &Approval) -> bool {
    !matches!(approval.proof.as_str(), "" | "claimed")
}

/// Returns the key that an id means: a key itself, a place in the list from one, or an agent's name.
///
/// A name is only what the stranger calls itself, so it must be unique to be accepted.
pub fn meant(id: &str, approvals: &[Approval]) -> Result<String, Failure> {
    if id.starts_with("ed25519:") {
        return Ok(id.to_owned());
    }
    if let Ok(number) = id.parse::<usize>() {
        let found = number.checked_sub(1).and_then(|index| approvals.get(index));
        let found = found.map(|approval| approval.id.clone());
        return found.ok_or_else(|| Failure::error(format!("there is no approval number {number}")));
    }
    let is_named = |approval: &&Approval| approval.address == id || approval.address.rsplit('/').next() == Some(id);
    let named: Vec<&Approval> = approvals.iter().filter(is_named).collect();
    match named.as_slice() {
        [] => Err(Failure::error(format!("no pending approval matches '{id}'"))),
        [one] => Ok(one.id.clone()),
        several => Err(Failure::error(format!("{} pending approvals match '{id}'", several.len()))
            .hint("Use the key or the number in `toq approvals`")),
    }
}

/// Returns the keys that some ids mean, each once: all of them are found before anything is decided.
pub fn all_meant(ids: &[String], approvals: &[Approval]) -> Result<Vec<String>, Failure> {
    let mut keys = Vec::new();
    for id in ids {
        let key = meant(id, approvals)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Checks that these keys wait for an answer: nothing can be denied to who does not ask.
pub fn all_pending(keys: &[String], approvals: &[Approval]) -> Result<(), Failure> {
    let Some(key) = keys.iter().find(|key| !approvals.iter().any(|approval| approval.id == **key)) else { return Ok(()) };
    Err(Failure::error(format!("no pending approval of {}, so nothing was denied", sanitize::name(key)))
        .hint("`toq approvals` lists them; `toq revoke` takes an approval back, and `toq block` shuts an agent out"))
}

/// Answers open questions one after the other; where one fails, those before it are answered.
pub async fn decide(gate: &Gate, keys: &[String], decision: Decision) -> Result<(), Failure> {
    for (done, key) in keys.iter().enumerate() {
        gate.decide(key, decision).await.map_err(|failure| {
            let failure = failure.after(if decision == Decision::Approve { "Failed to approve" } else { "Failed to deny" });
            if done == 0 { failure } else { failure.hint(format!("{done} of {} were answered before; run it again", keys.len())) }
        })?;
    }
    Ok(())
}

/// Returns decided keys as the answer of a command: one as it is, several as a list.
pub fn shown(keys: &[String]) -> serde_json::Value {
    match keys {
        [one] => json!(one),
        several => json!(several),
    }
}

/// Returns decided keys for people, one for each line.
pub fn lines(verb: &str, keys: &[String]) -> String {
    match keys {
        [] => "No pending approvals".to_owned(),
        keys => keys.iter().map(|key| format!("{verb} {}", sanitize::name(key))).collect::<Vec<_>>().join("\n"),
    }
}

/// Asks somebody to choose an open question by its number; nothing if there is none.
pub fn choose(desk: &Desk, approvals: &[Approval], verb: &str) -> Result<Option<String>, Failure> {
    if approvals.is_empty() {
        return Ok(None);
    }
    if !desk.world.interactive || desk.output.is_json() {
        let hint = format!("Run `toq approvals`, then `toq {verb} <number, name or key>`");
        return Err(Failure::error("say which approval is meant").hint(hint));
    }
    for (index, approval) in approvals.iter().enumerate() {
        desk.output.note(&format!("{}. {}", index + 1, words(approval).trim_end()));
    }
    desk.output.ask("Which one (number)?").map(Some)
}

fn words(approval: &Approval) -> String {
    let mut text = format!(
        "{}\n  address:   {} ({})\n  requested: {}\n  words:     {}\n  digits:    {}\n",
        sanitize::name(&approval.public_key),
        sanitize::name(&approval.address),
        sanitize::name(if approval.proof.is_empty() { "claimed" } else { &approval.proof }),
        sanitize::name(&approval.requested_at),
        sanitize::name(&approval.words),
        sanitize::name(&approval.fingerprint),
    );
    if let Some(warning) = &approval.warning {
        text += &format!("  WARNING: {}\n", sanitize::name(warning));
    }
    if let Some(previous) = &approval.previous_key {
        text += &format!(
            "  KEY CHANGED: this address had another key before\n  before:    {}\n  words:     {}\n  digits:    {}\n",
            sanitize::name(previous),
            sanitize::name(approval.previous_words.as_deref().unwrap_or_default()),
            sanitize::name(approval.previous_fingerprint.as_deref().unwrap_or_default()),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval(key: &str, address: &str) -> Approval {
        Approval { id: key.into(), public_key: key.into(), address: address.into(), requested_at: "T".into(), ..Approval::default() }
    }

    #[test]
    fn a_changed_key_is_approved_by_nobody_who_does_not_name_it() {
        let proven = Approval { proof: "dialled".into(), ..approval("ed25519:A", "toq://h/bob") };
        let claimed = Approval { proof: "claimed".into(), ..approval("ed25519:B", "toq://h/carol") };
        let changed = Approval { kind: ApprovalKind::KeyChanged, ..approval("ed25519:C", "toq://h/dave") };
        let list = [proven, claimed, changed];
        let all = Crowd { all: true, all_unproven: false };
        let unproven = Crowd { all: false, all_unproven: true };

        assert_eq!(all.keys(&list, Decision::Approve), ["ed25519:A", "ed25519:B"]);
        assert_eq!(unproven.keys(&list, Decision::Approve), ["ed25519:B"]);
        assert_eq!(all.keys(&list, Decision::Deny), ["ed25519:A", "ed25519:B", "ed25519:C"]);
        assert_eq!(unproven.keys(&list, Decision::Deny), ["ed25519:B", "ed25519:C"]);
        assert_eq!(all_meant(&["ed25519:C".into()], &list).as_deref(), Ok(&["ed25519:C".to_owned()][..]));
    }

    #[test]
    fn an_id_is_a_key_a_number_or_a_unique_name() {
        let list = [approval("ed25519:A", "toq://h/bob"), approval("ed25519:B", "toq://evil/bob"), approval("ed25519:C", "toq://h/carol")];

        assert_eq!(meant("ed25519:Z", &list).as_deref(), Ok("ed25519:Z"));
        assert_eq!(meant("2", &list).as_deref(), Ok("ed25519:B"));
        assert_eq!(meant("carol", &list).as_deref(), Ok("ed25519:C"));
        assert_eq!(meant("toq://h/bob", &list).as_deref(), Ok("ed25519:A"));
        assert_eq!(
            all_meant(&["2".into(), "ed25519:B".into(), "carol".into()], &list).as_deref(),
            Ok(&["ed25519:B".to_owned(), "ed25519:C".to_owned()][..])
        );
        assert!(all_meant(&["2".into(), "dave".into()], &list).is_err());
        assert!(all_pending(&["ed25519:A".into(), "ed25519:C".into()], &list).is_ok());
        let refused = all_pending(&["ed25519:A".into(), "ed25519:Z".into()], &list).expect_err("nobody asks with that key");
        assert!(refused.message.contains("ed25519:Z") && refused.hint.is_some_and(|hint| hint.contains("toq block")));
        for bad in ["bob", "dave", "0", "4", ""] {
            assert!(meant(bad, &list).is_err(), "{bad}");
        }
    }
}
