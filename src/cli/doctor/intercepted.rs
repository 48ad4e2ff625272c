//! Sessions that were refused because somebody may be in between, or says so.
//!
//! A stranger can cause this as often as it likes, so only what concerns an agent that is known counts as an issue, and only so many
//! are told in words.

use std::time::Duration;

use toq_api::{DiagnosticsResponse, Interception};
use toq_http::listing;
use toq_kit::Clock;
use toq_protocol::time::Timestamp;

use super::super::desk::Desk;
use super::super::{export, sanitize, state};
use super::{Check, bad, open};

/// The name of the check.
const NAME: &str = "intercepted";

/// How many are told in words, of known agents and of strangers each; the others are in the JSON.
const TOLD: usize = 5;

/// For how long one is an issue that somebody should look at now.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// The time now.
pub fn now() -> Timestamp {
    Timestamp::from_nanos(Clock::system().wall_nanos())
}

/// Asks the daemon, or reads the log where none runs. What cannot be read is told by the other checks.
pub async fn read(desk: &Desk) -> Vec<Interception> {
    let Ok(dir) = desk.dir() else { return Vec::new() };
    match state::live(&dir) {
        Ok(Some(state)) => {
            let Ok(client) = desk.client_at(state.port) else { return Vec::new() };
            let answer = client.get::<DiagnosticsResponse>(&["v1", "diagnostics"], &[]).await;
            answer.map(|answer| answer.intercepted).unwrap_or_default()
        }
        Ok(None) => {
            let Ok(Some(store)) = export::log(&dir) else { return Vec::new() };
            let found = listing::interceptions(store.reader(), now());
            store.close();
            found.unwrap_or_default()
        }
        Err(_) => Vec::new(),
    }
}

/// Who it was, what it claims, how often and when, and what to do.
pub fn checks(found: &[Interception], now: Timestamp) -> Vec<Check> {
    let is_fresh = |one: &Interception| Timestamp::parse(&one.last_seen).is_some_and(|last| now.since(last) < FRESH);
    let check = |one: &Interception| if one.known && is_fresh(one) { bad(NAME, told(one)) } else { open(NAME, told(one)) };
    let mut checks = Vec::new();
    for (is_known, whose) in [(true, "known agents"), (false, "strangers")] {
        let theirs: Vec<&Interception> = found.iter().filter(|one| one.known == is_known).collect();
        checks.extend(theirs.iter().take(TOLD).map(|one| check(one)));
        let more = theirs.len().saturating_sub(TOLD);
        if more > 0 {
            checks.push(open(NAME, format!("{more} more of {whose}: `toq doctor --json`")));
        }
    }
    checks
}

fn told(one: &Interception) -> String {
    let who = if one.known { "an agent that is known" } else { "a stranger" };
    let first = sanitize::name(&one.first_seen);
    let times = if one.count == 1 { "once".to_owned() } else { format!("{} times since {first}", one.count) };
    let hint = one.hint.as_deref().map(|hint| format!("; {}", sanitize::text(hint))).unwrap_or_default();
    format!(
        "{who} at {} with {}, {times}, last {}: {}{hint}",
        sanitize::name(&one.address),
        sanitize::name(&one.public_key),
        sanitize::name(&one.last_seen),
        sanitize::text(&one.message),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn one(number: u8, known: bool) -> Interception {
        Interception {
            public_key: format!("ed25519:{number}"),
            address: "toq://h/\u{202e}eve\u{1b}[2J".to_owned(),
            reason: "channel_binding_mismatch".to_owned(),
            message: "somebody may be in between".to_owned(),
            hint: Some("compare keys".to_owned()),
            count: 3,
            first_seen: "2026-01-01T00:00:00Z".to_owned(),
            last_seen: "2026-01-01T00:05:00Z".to_owned(),
            known,
        }
    }

    #[test]
    fn strangers_cause_no_issue_and_fill_no_screen() {
        let now = Timestamp::parse("2026-01-01T01:00:00Z").expect("a time");
        let found: Vec<Interception> = (0..30).map(|number| one(number, false)).chain([one(99, true)]).collect();

        let checks = checks(&found, now);

        assert_eq!(checks.len(), 1 + TOLD + 1);
        assert_eq!(checks.iter().filter(|check| check.verdict == Verdict::Bad).count(), 1);
        let known = &checks[0].detail;
        assert!(known.contains("ed25519:99") && known.contains("3 times since 2026-01-01T00:00:00Z"), "{known}");
        assert!(known.ends_with("; compare keys"), "{known}");
        assert!(checks[TOLD + 1].detail.contains("25 more"));
        assert!(checks.iter().all(|check| !check.detail.contains(['\u{202e}', '\u{1b}'])));
    }

    #[test]
    fn what_is_long_ago_is_no_issue() {
        let now = Timestamp::parse("2026-01-03T01:00:00Z").expect("a time");

        assert!(checks(&[one(1, true)], now).iter().all(|check| check.verdict == Verdict::Open));
    }
}
