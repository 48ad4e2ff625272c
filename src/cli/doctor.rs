//! Looks whether everything is in order.

mod intercepted;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use toq_api::{CheckStatus, DiagnosticsResponse, HandlersResponse, Misaddressed, PermissionsResponse, Rule, StatusResponse};
use toq_protocol::address::Address;
use toq_store::StoreError;

use super::desk::Desk;
use super::domain::{Said, Wanted};
use super::failure::{ERROR, Failure, chain};
use super::state::{self, State};
use super::{config, export, identity, mend, sanitize};
use crate::daemon::opening::has_lost_key;

/// Below this the log will soon not take another message.
const SCARCE: u64 = 64 * 1024 * 1024;

/// Looks whether everything is in order
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Mends what can be mended safely: files that others can read, traces of a daemon that is gone, missing directories
    #[arg(long)]
    fix: bool,
}

impl Doctor {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let mut checks = if self.fix { fixed(desk)? } else { Vec::new() };
        let intercepted = intercepted::read(desk).await;
        checks.extend(examine(desk).await?);
        checks.extend(intercepted::checks(&intercepted, intercepted::now()));
        let issues = checks.iter().filter(|check| check.verdict == Verdict::Bad).count();
        desk.output.answer(
            || {
                let checks: Vec<_> = checks
                    .iter()
                    .map(|check| json!({"name": check.name, "status": check.verdict.word(), "detail": check.detail}))
                    .collect();
                json!({"checks": checks, "issues": issues, "intercepted": intercepted})
            },
            || words(&checks, issues),
        )?;
        if issues == 0 { Ok(()) } else { Err(Failure::silent(ERROR)) }
    }
}

/// One thing that was looked at.
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Bad,
    Good,
    /// Nothing to look at.
    Open,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Bad => "fail",
            Self::Good => "ok",
            Self::Open => "skipped",
        }
    }

    const fn mark(self) -> &'static str {
        match self {
            Self::Bad => "[!!]",
            Self::Good => "[ok]",
            Self::Open => "[--]",
        }
    }
}

const fn good(name: &'static str, detail: String) -> Check {
    Check { name, verdict: Verdict::Good, detail }
}

const fn bad(name: &'static str, detail: String) -> Check {
    Check { name, verdict: Verdict::Bad, detail }
}

const fn open(name: &'static str, detail: String) -> Check {
    Check { name, verdict: Verdict::Open, detail }
}

async fn examine(desk: &Desk) -> Result<Vec<Check>, Failure> {
    let dir = desk.located()?.dir;
    if !dir.join(toq_config::FILE).is_file() {
        return Ok(vec![bad("setup", format!("nothing at {}, run `toq init`", dir.display()))]);
    }
    let mut checks = vec![good("setup", dir.display().to_string())];
    checks.push(match config::verdict(desk, &dir) {
        Ok(detail) => good("config", detail),
        Err(detail) => bad("config", detail),
    });
    checks.push(keys(&dir));
    checks.extend(files(&dir));
    let state = match state::live(&dir) {
        Ok(state) => state,
        Err(failure) => {
            checks.push(bad("state", failure.message));
            None
        }
    };
    checks.extend(domain(desk, &dir, state.as_ref()).await);
    match &state {
        Some(state) => checks.extend(daemon(desk, state).await),
        None => {
            checks.push(open("daemon", "not running".to_owned()));
            checks.extend(port(desk));
        }
    }
    checks.extend(reach(desk));
    checks.extend(local_network(desk));
    checks.extend(restore(&dir, state.is_some()));
    checks.extend(rules(desk, &dir, state.as_ref()).await);
    checks.extend(definitions(&dir));
    checks.extend(takeover(&dir));
    checks.push(disk(&dir));
    Ok(checks)
}

/// Rules that cover nobody: whoever made them believes that somebody is let in or shut out.
async fn rules(desk: &Desk, dir: &Path, state: Option<&State>) -> Option<Check> {
    let found: PermissionsResponse = match state {
        Some(state) => desk.client_at(state.port).ok()?.get(&["v1", "permissions"], &[]).await.ok()?,
        None => match at_rest(dir) {
            Ok(found) => found?,
            Err(check) => return Some(check),
        },
    };
    let count = found.approved.len() + found.blocked.len();
    let flaw = |rule: &Rule, command: &str| {
        let value = sanitize::name(&rule.value);
        rule.warning.as_ref().map(|why| format!("{} covers nobody; take it back: `toq {command} --from '{value}'`", sanitize::text(why)))
    };
    let approved = found.approved.iter().filter_map(|rule| flaw(rule, "revoke"));
    let flaws: Vec<String> = approved.chain(found.blocked.iter().filter_map(|rule| flaw(rule, "unblock"))).collect();
    Some(if flaws.is_empty() { good("rules", format!("{count} rule(s)")) } else { bad("rules", flaws.join("; ")) })
}

/// The rules in the log of a workspace whose daemon does not run, or why nothing would start with it.
fn at_rest(dir: &Path) -> Result<Option<PermissionsResponse>, Check> {
    let sick = |error: &StoreError| {
        let hint = if error.is_damage() { format!("; {}", export::LOG_HINT) } else { String::new() };
        bad("log", sanitize::text(&format!("it cannot be used: {error}{hint}")))
    };
    match export::log_at_rest(dir) {
        Ok(None) => Ok(None),
        Ok(Some(store)) => {
            let found = toq_http::listing::permissions(store.reader()).map_err(|error| sick(&error));
            store.close();
            found.map(Some)
        }
        Err(StoreError::AlreadyOpen(_)) => Err(open("log", "another command has it open".to_owned())),
        Err(error) => Err(sick(&error)),
    }
}

/// Handlers as a start would read them, whether a daemon runs or not: one that runs may have read an earlier file.
fn definitions(dir: &Path) -> Option<Check> {
    match toq_config::handlers::load(dir) {
        Ok(handlers) if handlers.is_empty() => None,
        Ok(handlers) => Some(good("handlers.toml", format!("{} handler(s)", handlers.len()))),
        Err(error) => Some(bad("handlers.toml", sanitize::text(&format!("nothing starts with it: {}", chain(&error))))),
    }
}

/// What came of a takeover from the published daemon. What was left out is the owner's to look at, and no fault.
fn takeover(dir: &Path) -> Option<Check> {
    let report = crate::takeover::kept(dir)?;
    if report.left_out.is_empty() {
        return Some(good("takeover", format!("from the published daemon: {}", report.counts())));
    }
    let more = if report.more_left_out > 0 { format!("; and {} more", report.more_left_out) } else { String::new() };
    let left_out = sanitize::text(&report.left_out.join("; "));
    Some(open("takeover", format!("from the published daemon: {}; left out: {left_out}{more}", report.counts())))
}

/// What was mended before anything is looked at.
fn fixed(desk: &Desk) -> Result<Vec<Check>, Failure> {
    let dir = desk.dir()?;
    let done = mend::mend(&dir, &mend::flaws(&dir)).into_iter().map(|done| match done {
        Ok(what) => good("fixed", what),
        Err(error) => bad("fixed", sanitize::text(&error.to_string())),
    });
    Ok(done.collect())
}

/// What could be mended. Where nothing was ever started, nothing is missing.
fn files(dir: &Path) -> Vec<Check> {
    let flaws = mend::flaws(dir);
    let worst: Vec<_> = flaws.iter().filter(|flaw| flaw.is_serious()).collect();
    let told = |flaw: &mend::Flaw| format!("{}; `toq doctor --fix` mends it", flaw.words());
    match worst.as_slice() {
        [] if flaws.is_empty() || !dir.join("keys").exists() => Vec::new(),
        [] => flaws.iter().map(|flaw| open("files", told(flaw))).collect(),
        worst => worst.iter().map(|flaw| bad("files", told(flaw))).collect(),
    }
}

/// The vault knows best what is wrong with keys: their owner, their mode, their content.
fn keys(dir: &Path) -> Check {
    match identity::public_key(dir) {
        Ok(Some(key)) => good("keys", key),
        Ok(None) if has_lost_key(dir) => bad(
            "keys",
            "the identity key is gone: bring keys/identity.key back from a copy, or `toq import` a backup; \
             `toq up --new-identity` begins anew as another agent"
                .to_owned(),
        ),
        Ok(None) => open("keys", "made by the first `toq up`".to_owned()),
        Err(failure) => bad("keys", failure.message),
    }
}

/// An agent at a domain is found, and verified, by a record that only its owner can publish.
async fn domain(desk: &Desk, dir: &Path, state: Option<&State>) -> Option<Check> {
    let config = desk.loaded(&[]).ok()?.config;
    toq_protocol::dns::query_name(config.address(0).host())?;
    let Ok(Some(key)) = identity::public_key(dir) else {
        return Some(open("dns", "`toq whoami` shows the record to publish once `toq up` has made the key".to_owned()));
    };
    let port = state.map_or(config.port, |state| state.peer_port);
    let wanted = Wanted::of(&config, &key, port)?;
    Some(match wanted.look(&config).await {
        Said::Right => good("dns", wanted.name),
        Said::Wrong(what) => bad("dns", sanitize::text(&what)),
        Said::Unclear(what) => open("dns", sanitize::text(&what)),
    })
}

async fn daemon(desk: &Desk, state: &State) -> Vec<Check> {
    let answer = match desk.client_at(state.port) {
        Ok(client) => {
            let client = client.with_limit(Duration::from_secs(5));
            client.get::<StatusResponse>(&["v1", "status"], &[]).await.map_err(Failure::from)
        }
        Err(failure) => Err(failure),
    };
    let status = match answer {
        Ok(status) => status,
        Err(failure) => {
            let detail = format!("PID {} does not answer on port {}: {failure}", state.pid, state.port);
            return vec![bad("daemon", detail)];
        }
    };
    let address = sanitize::name(&status.address);
    let mut checks = vec![
        good("daemon", format!("PID {}, {address}", state.pid)),
        good("port", format!("{} (in use by daemon)", state.port)),
        good("access", json!(status.access).as_str().unwrap_or_default().to_owned()),
    ];
    checks.push(match status.store {
        toq_api::StoreHealth::Ok => good("store", "takes writes".to_owned()),
        sick => bad("store", ailment(desk, state).await.unwrap_or_else(|| sick.as_str().to_owned())),
    });
    checks.extend(handlers(desk, state).await);
    checks.extend(diagnosed(desk, state).await);
    if status.panics > 0 {
        checks.push(bad("actors", format!("{} have panicked since the start, see `toq logs`", status.panics)));
    }
    checks
}

/// Why the daemon takes no writes, and what to do.
async fn ailment(desk: &Desk, state: &State) -> Option<String> {
    let answer = desk.client_at(state.port).ok()?.get::<DiagnosticsResponse>(&["v1", "diagnostics"], &[]).await.ok()?;
    let store = answer.checks.into_iter().find(|check| check.name == "store" && check.status == CheckStatus::Fail)?;
    store.detail.map(|detail| sanitize::text(&detail))
}

/// Handlers that react to nothing, though they are switched on.
async fn handlers(desk: &Desk, state: &State) -> Vec<Check> {
    let Ok(client) = desk.client_at(state.port) else { return Vec::new() };
    let Ok(answer) = client.get::<HandlersResponse>(&["v1", "handlers"], &[]).await else { return Vec::new() };
    let broken = answer.handlers.into_iter().filter(|handler| handler.state == "broken");
    let told = broken.map(|handler| {
        let (name, why) = (sanitize::name(&handler.name), sanitize::text(handler.reason.as_deref().unwrap_or("see `toq logs`")));
        bad("handlers", format!("{name} is broken: {why}; once that is put right: `toq handler resume {name}`"))
    });
    told.collect()
}

/// What only the daemon knows: whether posting messages to a program works, and what was meant for somebody else, who may be
/// this agent under a name that it does not know.
async fn diagnosed(desk: &Desk, state: &State) -> Vec<Check> {
    let Ok(client) = desk.client_at(state.port) else { return Vec::new() };
    let Ok(answer) = client.get::<DiagnosticsResponse>(&["v1", "diagnostics"], &[]).await else { return Vec::new() };
    let callback = answer.checks.iter().find(|check| check.name == "callback" && check.status == CheckStatus::Fail);
    let callback = callback.map(|check| bad("callback", sanitize::text(check.detail.as_deref().unwrap_or_default())));
    let aliases = desk.loaded(&[]).map(|loaded| loaded.config.aliases).unwrap_or_default();
    let meant = answer.misaddressed.and_then(|misaddressed| advice(&misaddressed, &aliases)).map(|advice| open("address", advice));
    callback.into_iter().chain(meant).collect()
}

/// An address that leads to other machines, and a listener that only this one reaches. A tunnel may make that right.
fn reach(desk: &Desk) -> Option<Check> {
    let config = desk.loaded(&[]).ok()?.config;
    let host = config.address(0).host().to_owned();
    let is_local = host == "localhost"
        || host.ends_with(".localhost")
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_local || !config.bind.is_loopback() {
        return None;
    }
    Some(open(
        "reach",
        format!(
            "the address names {}, but `bind` is {}: other machines reach it only through a proxy or tunnel of yours. \
             If there is none: `toq config set bind 0.0.0.0`, then restart",
            sanitize::name(&host),
            config.bind
        ),
    ))
}

/// Interfaces that are to be used for finding neighbours and are not there.
fn local_network(desk: &Desk) -> Option<Check> {
    let config = desk.loaded(&[]).ok()?.config;
    let absent = toq_net::neighbours::absent(&config.mdns.interfaces);
    if !config.mdns_enabled || absent.is_empty() {
        return None;
    }
    Some(bad(
        "mdns",
        format!(
            "this machine has no network interface {}, which mdns.interfaces names: nobody is announced or found there",
            sanitize::text(&absent.join(", "))
        ),
    ))
}

/// An import that was accepted and is carried out by a start.
fn restore(dir: &Path, is_running: bool) -> Option<Check> {
    if !crate::backup::stage::committed(dir).exists() {
        return None;
    }
    Some(match is_running {
        true => bad("restore", "an import waits: the daemon goes on as the old agent until `toq down` and `toq up`".to_owned()),
        false => open("restore", "an import waits; the next `toq up` carries it out".to_owned()),
    })
}

/// Only advice: a stranger can make up any address, and an alias means that messages to it are taken for one's own. What
/// is no strict address is not repeated at all, because the command is there to be copied.
fn advice(misaddressed: &Misaddressed, aliases: &[Address]) -> Option<String> {
    let last = Address::parse_strict(&misaddressed.last).ok()?;
    let list: Vec<String> = aliases.iter().chain([&last]).map(Address::written).collect();
    Some(sanitize::text(&format!(
        "{} refused because meant for others, the last for {}. If that is this agent: `toq config set aliases {}`, then restart",
        misaddressed.count,
        last.written(),
        list.join(",")
    )))
}

fn port(desk: &Desk) -> Vec<Check> {
    let Ok(loaded) = desk.loaded(&[]) else {
        return Vec::new();
    };
    let config = loaded.config;
    let access = good("access", config.api.access.as_str().to_owned());
    let port = match config.port {
        0 => good("port", "auto".to_owned()),
        port => match TcpListener::bind(SocketAddr::new(config.bind, port)) {
            Ok(_) => good("port", format!("{}:{port} is free", config.bind)),
            Err(error) => bad("port", format!("{}:{port} cannot be used: {error}", config.bind)),
        },
    };
    vec![port, access]
}

fn disk(dir: &Path) -> Check {
    match rustix::fs::statvfs(dir) {
        Err(error) => bad("disk", format!("cannot ask for free space: {error}")),
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let detail = format!("{} MiB free", free / (1024 * 1024));
            if free < SCARCE { bad("disk", detail) } else { good("disk", detail) }
        }
    }
}

fn words(checks: &[Check], issues: usize) -> String {
    let mut text = "toq doctor".to_owned();
    for check in checks {
        text.push_str(&format!("\n  {} {}: {}", check.verdict.mark(), check.name, check.detail));
    }
    let end = match issues {
        0 => "no issues found".to_owned(),
        1 => "1 issue found".to_owned(),
        more => format!("{more} issues found"),
    };
    format!("{text}\n\n{end}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_that_others_can_read_are_an_issue() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(keys(dir.path()).verdict, Verdict::Open);

        identity::make(dir.path()).expect("the directory is ours");
        assert_eq!(keys(dir.path()).verdict, Verdict::Good);

        let path = dir.path().join("keys").join("identity.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("the file is ours");
        assert_eq!(keys(dir.path()).verdict, Verdict::Bad);
    }

    #[test]
    fn an_address_that_a_shell_would_obey_is_not_repeated() {
        let misaddressed = |last: &str| Misaddressed { count: 2, last: last.to_owned() };

        let advice_for = |last| advice(&misaddressed(last), &[Address::parse("toq://h:1/a").expect("an address")]);

        assert!(advice_for("toq://h:2/a").is_some_and(|advice| advice.contains("aliases toq://h:1/a,toq://h:2/a`")));
        for hostile in ["toq://$(reboot)/a", "toq://h`id`/a", "toq://h;id/a", "toq://h x/a", "toq://h'/a"] {
            assert_eq!(advice_for(hostile), None, "{hostile}");
        }
    }

    #[test]
    fn the_report_counts_its_issues() {
        let checks = [good("config", "agent: a".into()), bad("disk", "0 MiB free".into()), open("daemon", "-".into())];

        let text = words(&checks, 1);

        assert_eq!(text, "toq doctor\n  [ok] config: agent: a\n  [!!] disk: 0 MiB free\n  [--] daemon: -\n\n1 issue found");
    }
}
