//! Checks every entry of a backup and says what it would change. Nothing is written here.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use toq_api::{ImportPlan, PermissionsResponse, Rule, RuleKind, SettingChange};
use toq_config::{ConfigError, Fault, Place, WorkspaceConfig};
use toq_net::tls;
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::policy::{Ruling, Subject};
use toq_store::batch::Change;
use toq_store::record::{MessageRow, Record as _, StateRow};
use toq_store::{Reader, Seq};
use toq_vault::backup::{BackupError, Bundle, Form, LogRecord, Passphrase, Strength, open};
use toq_vault::{Certificate, read_seed};

use super::export::{MESSAGES, PAGE};
use super::since::Standing;
use super::{BackupFailure, trust};

/// A backup whose every entry can be used, and what it changes.
pub struct Checked {
    /// The backup, its handlers switched off.
    pub bundle: Bundle,
    /// What it changes here.
    pub plan: ImportPlan,
    /// What it was held against.
    pub before: Standing,
}

/// Opens a backup and holds it against the workspace in `dir`, whose log is read by `reader`, if it has one.
pub fn check(
    dir: &Path,
    reader: Option<&Reader>,
    file: &[u8],
    passphrase: &Passphrase,
    strength: Strength,
) -> Result<Checked, BackupFailure> {
    // First of all: what is changed from here on is newer than the plan.
    let before = Standing::read(dir, reader)?;
    let opened = open(file, passphrase, strength)?;
    let mut bundle = opened.bundle;
    let entry = |entry, why: &str| BackupFailure::Backup(BackupError::Entry { entry, why: why.to_owned() });

    let certificate = Certificate::from_pem(bundle.tls_cert.as_bytes(), bundle.tls_key.as_bytes());
    let certificate = certificate.ok_or_else(|| entry("tls_cert", "certificate or key is not PEM"))?;
    tls::acceptor(&certificate).map_err(|_| entry("tls_key", "it does not fit the certificate"))?;
    let config = toq_config::read_text(dir, &bundle.config).map_err(in_the_backup)?;
    let mut handlers = Vec::new();
    if let Some(text) = bundle.handlers.take() {
        let (text, names) = toq_config::disarm(&text).map_err(|error| entry("handlers", &error.to_string()))?;
        handlers = names;
        bundle.handlers = Some(text.into());
    }
    for record in &bundle.log {
        message(record)?;
    }
    if let Some(rotations) = &bundle.rotations {
        toq_vault::adopt_rotations(&dir.join("keys"), rotations).map_err(|error| entry("rotations", &error.to_string()))?;
    }
    let joined = trust::join(reader, &bundle.peers, &bundle.trust)?;

    let old_key = read_seed(&dir.join("keys").join("identity.key"))?.map(|seed| Identity::from_seed(&seed).public());
    let old_config = WorkspaceConfig::load(dir, std::iter::empty(), &[]).ok();
    let has_messages = match reader {
        Some(reader) => !reader.messages_after(Seq(0), 1)?.is_empty(),
        None => false,
    };
    let (added, removed) = match &bundle.rules {
        Some(rules) => rule_changes(&reader.map(Reader::rules).transpose()?.unwrap_or_default(), rules),
        None => <_>::default(),
    };
    let mut warnings = Vec::new();
    if matches!(opened.form, Form::Hashed | Form::Plain) {
        warnings.push(format!("the backup is {}", opened.form));
    }
    let new_key = bundle.identity().public();
    if old_key.is_some_and(|old| old != new_key) && has_left(dir, reader, &new_key)? {
        warnings.push(format!(
            "this agent had the key {new_key} of the backup before and replaced it: peers have moved on to the one of now and will refuse it"
        ));
    }
    let count = bundle.log.len() as u64;
    let plan = ImportPlan {
        form: form_name(opened.form).to_owned(),
        warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
        old_public_key: old_key.map(|key| key.to_string()),
        new_public_key: bundle.identity().public().to_string(),
        config: setting_changes(old_config.map(|loaded| loaded.to_json()), config.to_json()),
        rules_added: added,
        rules_removed: removed,
        handlers,
        peers: bundle.peers.len() as u64,
        pins: joined.changes.iter().filter(|change| matches!(change, Change::Pin(..))).count() as u64,
        successions: joined.changes.iter().filter(|change| matches!(change, Change::AddRotation(..))).count() as u64,
        kept: joined.kept,
        messages: if has_messages { 0 } else { count },
        messages_left_out: if has_messages { count } else { 0 },
    };
    Ok(Checked { bundle, plan, before })
}

/// What is wrong with a backup's configuration is in the backup, and not in the file of the same name here.
fn in_the_backup(error: ConfigError) -> BackupFailure {
    BackupFailure::Config(match error {
        ConfigError::Fault(Fault { place: Place::File { line, column, .. }, key, message, nearest }) => {
            let place = Place::File { path: Path::new(toq_config::FILE).to_owned(), line, column };
            ConfigError::Fault(Fault { place, key, message, nearest })
        }
        other => other,
    })
}

/// What an owner should do about a backup that protects too little.
pub const WEAK_HINT: &str = "if you trust the file, import it with --allow-weak (in the API: allow_weak) and make a new backup afterwards";

/// Whether the agent had this key once and replaced it: its proofs or its record of decisions say so.
fn has_left(dir: &Path, reader: Option<&Reader>, key: &PeerKey) -> Result<bool, BackupFailure> {
    if toq_vault::has_replaced(&dir.join("keys"), key)? {
        return Ok(true);
    }
    let Some(reader) = reader else { return Ok(false) };
    let mut place = 0;
    loop {
        let page = reader.audit(place, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(false) };
        place = last.place;
        if page.iter().any(|(_, row)| row.replaced_key().as_ref() == Some(key)) {
            return Ok(true);
        }
    }
}

const fn form_name(form: Form) -> &'static str {
    match form {
        Form::Ours => "ours",
        Form::Published => "published",
        Form::Hashed => "hashed",
        _ => "plain",
    }
}

/// Reads a record of the log; an unknown kind is refused, since leaving something out is for the owner to decide.
pub fn message(record: &LogRecord) -> Result<(MessageRow, StateRow), BackupFailure> {
    let wrong =
        || BackupFailure::Backup(BackupError::Entry { entry: "log", why: "a row is not of a kind that this release knows".to_owned() });
    let [row, state] = record.parts.as_slice() else { return Err(wrong()) };
    if record.table != MESSAGES {
        return Err(wrong());
    }
    let row = MessageRow::from_bytes(row).map_err(|_| wrong())?;
    // A row that cannot be read again would stop every reader of the log.
    row.message().map_err(|_| wrong())?;
    Ok((row, StateRow::from_bytes(state).map_err(|_| wrong())?))
}

type Rules = Vec<(Subject, Ruling)>;

/// The rules that come and those that go.
fn rule_changes(old: &Rules, new: &Rules) -> (PermissionsResponse, PermissionsResponse) {
    let without = |these: &Rules, those: &Rules| {
        let mut shown = PermissionsResponse::default();
        for (subject, ruling) in these.iter().filter(|rule| !those.contains(rule)) {
            let kind = match subject {
                Subject::Key(_) => RuleKind::Key,
                Subject::Address(_) => RuleKind::Address,
            };
            let rule = Rule::new(kind, subject.to_string());
            match ruling {
                Ruling::Approve => shown.approved.push(rule),
                Ruling::Block => shown.blocked.push(rule),
            }
        }
        shown
    };
    (without(new, old), without(old, new))
}

fn setting_changes(old: Option<Value>, new: Value) -> Vec<SettingChange> {
    let (old, new) = (flat(old.unwrap_or_default()), flat(new));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |key: &String| SettingChange { key: key.clone(), from: old.get(key).cloned(), to: new.get(key).cloned() };
    keys.into_iter().map(change).filter(|change| change.from != change.to).collect()
}

fn flat(values: Value) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (key, value) in values.as_object().cloned().unwrap_or_default() {
        match value {
            Value::Object(table) => flat.extend(table.into_iter().map(|(leaf, value)| (format!("{key}.{leaf}"), value))),
            value => drop(flat.insert(key, value)),
        }
    }
    flat
}

/// Refuses a plan that makes the agent somebody else than the caller said.
pub fn confirm(plan: &ImportPlan, wanted: Option<&str>) -> Result<(), BackupFailure> {
    match wanted {
        Some(wanted) if wanted != plan.new_public_key => {
            Err(BackupFailure::Other { found: plan.new_public_key.clone(), wanted: wanted.to_owned() })
        }
        _ => Ok(()),
    }
}
