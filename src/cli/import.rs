//! Puts a backup in the place of the agent.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toq_api::{ImportPlan, ImportRequest, Rule, Secret};
use toq_http::custody;
use toq_kit::Clock;
use toq_protocol::time::Timestamp;
use toq_store::Store;
use toq_vault::backup::{BackupError, MAX_FILE, Passphrase, Strength, is_open};

use super::desk::Desk;
use super::export::{PATIENCE, log, told};
use super::failure::Failure;
use super::passphrase::{Purpose, Source};
use super::{sanitize, state};
use crate::backup::apply::pending;
use crate::backup::plan::{WEAK_HINT, check};
use crate::backup::{BackupFailure, stage};

/// What a request has around the file, at most, in bytes: above all the passphrase.
const AROUND: usize = 64 << 10;

/// Stands where a daemon wants a passphrase and the backup is not encrypted.
const NOT_NEEDED: &str = "not needed";

/// Replaces this agent by the one in a file that `toq export` wrote
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The file
    path: PathBuf,
    /// Asks nothing
    #[arg(long)]
    yes: bool,
    /// Shows what would change and changes nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Takes a backup that is not encrypted, or that an old release closed with a bare hash
    #[arg(long)]
    allow_weak: bool,
    #[command(flatten)]
    passphrase: Source,
}

impl Import {
    /// Carrying an import out waits for the log with a runtime of its own, so this must not be inside another.
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        let dir = desk.located()?.dir;
        let file = self.file(desk)?;
        let running = state::live(&dir)?;
        if running.is_some() && is_too_large(&file) {
            let size = format!("{}, and this one has {} MiB", custody::too_large(), file.len().div_ceil(1 << 20));
            return Err(Failure::error(size).hint(custody::STOP_FIRST));
        }
        let passphrase = match self.allow_weak && is_open(&file) {
            true => Passphrase::new(NOT_NEEDED.to_owned()).map_err(|error| Failure::error(error.to_string()))?,
            false => self.passphrase.read(desk, Purpose::Open)?,
        };
        match running {
            Some(state) => desk.wait(self.through_the_daemon(desk, state.port, file, &passphrase)),
            None => self.in_its_place(desk, &dir, &file, &passphrase),
        }
    }

    fn file(&self, desk: &Desk) -> Result<Vec<u8>, Failure> {
        let path = desk.world.cwd.join(&self.path);
        let failed = |error: std::io::Error| Failure::error(format!("cannot read {}: {error}", self.path.display()));
        let mut file = Vec::new();
        File::open(&path).map_err(failed)?.take(MAX_FILE as u64 + 1).read_to_end(&mut file).map_err(failed)?;
        Ok(file)
    }

    fn in_its_place(&self, desk: &Desk, dir: &Path, file: &[u8], passphrase: &Passphrase) -> Result<(), Failure> {
        let strength = if self.allow_weak { Strength::Any } else { Strength::Strong };
        let now = Timestamp::from_nanos(Clock::system().wall_nanos());
        // What an earlier import left to be done is done first, or it would be compared with the wrong state.
        pending(dir, now).map_err(told)?;
        let store = log(dir)?;
        let checked = check(dir, store.as_ref().map(Store::reader), file, passphrase, strength);
        if let Some(store) = store {
            store.close();
        }
        let checked = checked.map_err(|failure| match failure {
            BackupFailure::Backup(BackupError::Weak(_)) => told(failure).hint(WEAK_HINT),
            other => told(other),
        })?;
        if !self.is_wanted(desk, &checked.plan)? {
            return Ok(());
        }
        stage::stage(dir, &checked.bundle, checked.before).map_err(told)?;
        pending(dir, now).map_err(told)?;
        self.done(desk, &checked.plan, "Run `toq up` to start with the restored identity")
    }

    async fn through_the_daemon(&self, desk: &Desk, port: u16, file: Vec<u8>, passphrase: &Passphrase) -> Result<(), Failure> {
        let text = String::from_utf8(file).map_err(|_| Failure::error("Invalid backup data: it is not text"))?;
        let client = desk.client_at(port)?.with_limit(PATIENCE);
        let mut request = ImportRequest {
            passphrase: Secret(passphrase.reveal().to_owned()),
            data: Secret(text),
            dry_run: true,
            allow_weak: self.allow_weak,
            confirm: None,
        };
        let route = ["v1", "backup", "import"];
        let plan: ImportPlan = client.post(&route, &[], &request).await?;
        if !self.is_wanted(desk, &plan)? {
            return Ok(());
        }
        request.dry_run = false;
        request.confirm = Some(plan.new_public_key.clone());
        client.post::<_, ()>(&route, &[], &request).await?;
        self.done(desk, &plan, "Run `toq down` and `toq up`; until then the daemon goes on as it was")
    }

    fn is_wanted(&self, desk: &Desk, plan: &ImportPlan) -> Result<bool, Failure> {
        if let Some(warning) = &plan.warning {
            desk.output.note(&format!("WARNING: {}", sanitize::text(warning)));
        }
        if self.dry_run {
            desk.output.answer(|| json!({"dry_run": true, "plan": plan}), || shown(plan))?;
            return Ok(false);
        }
        if self.yes {
            return Ok(true);
        }
        if !desk.world.interactive || self.passphrase.takes_stdin() {
            return Err(
                Failure::error("an import replaces this agent, and there is nobody to ask").hint("Look with --dry-run, then say --yes")
            );
        }
        desk.output.note(&shown(plan));
        let answer = desk.output.ask("Replace this agent? [y/N]")?;
        if matches!(answer.as_str(), "y" | "Y" | "yes") { Ok(true) } else { Err(Failure::told("Nothing was changed")) }
    }

    fn done(&self, desk: &Desk, plan: &ImportPlan, next: &str) -> Result<(), Failure> {
        let path = sanitize::name(&self.path.display().to_string());
        let switched_off = match plan.handlers.len() {
            0 => String::new(),
            1 => "\n1 handler is switched off; look at handlers.toml before you switch it on".to_owned(),
            count => format!("\n{count} handlers are switched off; look at handlers.toml before you switch them on"),
        };
        desk.output.answer(|| json!({"imported": self.path, "plan": plan}), || format!("Imported from {path}{switched_off}\n{next}"))
    }
}

/// Whether a request with this file would be larger than a daemon takes. In JSON some characters are longer than in the file.
fn is_too_large(file: &[u8]) -> bool {
    let escaped = file.iter().filter(|byte| matches!(byte, b'"' | b'\\' | ..b' ')).count();
    file.len() + escaped > custody::MAX_IMPORT - AROUND
}

/// What changes, for a person.
fn shown(plan: &ImportPlan) -> String {
    let mut lines = Vec::new();
    match &plan.old_public_key {
        Some(old) if *old == plan.new_public_key => lines.push(format!("identity:  stays {old}")),
        Some(old) => lines.extend([format!("identity:  {old}"), format!("becomes    {}", plan.new_public_key)]),
        None => lines.push(format!("identity:  {}", plan.new_public_key)),
    }
    for change in &plan.config {
        let value = |value: &Option<Value>| value.as_ref().map_or("(nothing)".to_owned(), |value| sanitize::text(&value.to_string()));
        lines.push(format!("setting:   {}: {} → {}", sanitize::name(&change.key), value(&change.from), value(&change.to)));
    }
    let mut rules = |sign: &str, word: &str, rules: &[Rule]| {
        lines.extend(rules.iter().map(|rule| format!("rule:      {sign} {word} {}", sanitize::name(&rule.value))));
    };
    rules("+", "approve", &plan.rules_added.approved);
    rules("+", "block", &plan.rules_added.blocked);
    rules("-", "approve", &plan.rules_removed.approved);
    rules("-", "block", &plan.rules_removed.blocked);
    lines.extend(plan.handlers.iter().map(|name| format!("handler:   {} (switched off)", sanitize::name(name))));
    lines.push(format!("peers:     {}", plan.peers));
    lines.push(format!("pins:      {}", plan.pins));
    lines.push(format!("rotations: {}", plan.successions));
    for kept in &plan.kept {
        let [kind, subject, here, backup] = [&kept.kind, &kept.subject, &kept.here, &kept.backup].map(|text| sanitize::name(text));
        lines.push(format!("kept:      {kind} of {subject} stays {here}, the backup says {backup}"));
    }
    lines.push(match plan.messages_left_out {
        0 => format!("messages:  {}", plan.messages),
        count => format!("messages:  none of {count}, since this workspace has messages of its own"),
    });
    lines.join("\n")
}
