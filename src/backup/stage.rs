//! Writes a checked backup into a directory of its own and commits to it by one rename.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toq_kit::fault;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Pattern, Ruling, Subject};
use toq_vault::backup::{Bundle, LogRecord, Trust};
use toq_vault::{adopt_rotations, make_private_dir, seed_text, write_private};

use super::since::Standing;
use super::{BackupFailure, LOG};

/// The log's part of a backup as it is staged.
#[derive(Serialize, Deserialize)]
pub struct StagedLog {
    /// The rules that replace those of now; none where the backup has no place for rules.
    pub rules: Option<Vec<StagedRule>>,
    /// The peers that come.
    pub peers: Vec<StagedPeer>,
    /// What comes about their keys.
    #[serde(default)]
    pub trust: Trust,
    /// The rows that come.
    pub log: Vec<LogRecord>,
    /// What the import was held against when it was accepted; a release that did not remember it carries nothing over.
    #[serde(default)]
    pub before: Option<Standing>,
}

/// A rule: `approve` or `block`, `key` or `address`, and whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedRule(pub String, pub String, pub String);

impl StagedRule {
    /// Writes a rule.
    pub fn of(subject: &Subject, ruling: Ruling) -> Self {
        let kind = match subject {
            Subject::Key(_) => "key",
            Subject::Address(_) => "address",
        };
        let ruling = match ruling {
            Ruling::Approve => "approve",
            Ruling::Block => "block",
        };
        Self(ruling.to_owned(), kind.to_owned(), subject.to_string())
    }

    /// Reads it; `None` where it is of another release.
    pub fn read(&self) -> Option<(Subject, Ruling)> {
        let ruling = match self.0.as_str() {
            "approve" => Ruling::Approve,
            "block" => Ruling::Block,
            _ => return None,
        };
        let subject = match self.1.as_str() {
            "key" => Subject::Key(PeerKey::parse(&self.2).ok()?),
            "address" => Subject::Address(Pattern::new(&self.2)),
            _ => return None,
        };
        Some((subject, ruling))
    }
}

/// A peer: its key, its address, when it was first and last here, in nanoseconds of Unix time.
#[derive(Serialize, Deserialize)]
pub struct StagedPeer(pub String, pub String, pub i64, pub i64);

/// Where a backup waits to be carried out.
pub fn committed(dir: &Path) -> PathBuf {
    dir.join("restore")
}

/// Whether an import waits for the next start, or for the end of what one began.
pub fn waits(dir: &Path) -> bool {
    committed(dir).exists() || undoing(dir).exists()
}

/// Why the key is not replaced while an import waits.
pub const NO_ROTATION: &str = "an import waits for the next start, which would take the new key away again when peers have moved on to it";

/// What to do about an import that waits.
pub const WAITS_HINT: &str =
    "carry the import out first, with `toq down` and `toq up`; or give it up: delete `restore/` in the workspace directory";

/// Where a backup that could not be carried out waits to be undone.
pub fn undoing(dir: &Path) -> PathBuf {
    dir.join("restore.undo")
}

/// Stages a backup in the workspace in `dir`, which is made where it is missing. When this returns, the next start
/// carries it out; before, nothing has changed. `before` is how things stood when the backup was held against them.
pub fn stage(dir: &Path, bundle: &Bundle, before: Standing) -> Result<(), BackupFailure> {
    if !dir.exists() {
        fs::DirBuilder::new().recursive(true).create(dir).map_err(BackupFailure::file("make", dir))?;
        fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(BackupFailure::file("protect", dir))?;
    }
    let fresh = dir.join("restore.new");
    remove(&fresh)?;
    make_private_dir(&fresh)?;
    let write = |name: &str, content: &[u8]| {
        fault::crash_point("restore-staging");
        write_private(&fresh.join(name), content)
    };
    write("identity.key", seed_text(&bundle.seed).as_bytes())?;
    write("tls_cert.pem", bundle.tls_cert.as_bytes())?;
    write("tls_key.pem", bundle.tls_key.as_bytes())?;
    if let Some(rotations) = &bundle.rotations {
        write("rotations.json", adopt_rotations(&dir.join("keys"), rotations)?.as_bytes())?;
    }
    write("config.toml", bundle.config.as_bytes())?;
    if let Some(handlers) = &bundle.handlers {
        write("handlers.toml", handlers.as_bytes())?;
    }
    write(LOG, &serde_json::to_vec(&log(bundle, before)).expect("texts and numbers always serialise"))?;

    let committed = committed(dir);
    remove(&committed)?;
    fault::crash_point("restore-before-commit");
    fs::rename(&fresh, &committed).map_err(BackupFailure::file("commit to", &committed))?;
    flush(dir)?;
    fault::crash_point("restore-after-commit");
    Ok(())
}

fn log(bundle: &Bundle, before: Standing) -> StagedLog {
    let peer = |peer: &toq_vault::backup::KnownPeer| {
        StagedPeer(peer.key.to_string(), peer.address.clone(), peer.first_seen.as_nanos(), peer.last_seen.as_nanos())
    };
    StagedLog {
        rules: bundle.rules.as_ref().map(|rules| rules.iter().map(|(subject, ruling)| StagedRule::of(subject, *ruling)).collect()),
        peers: bundle.peers.iter().map(peer).collect(),
        trust: bundle.trust.clone(),
        log: bundle.log.clone(),
        before: Some(before),
    }
}

/// Removes a directory of ours with everything in it, or whatever else has its name. Links are not followed.
pub fn remove(path: &Path) -> Result<(), BackupFailure> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupFailure::file("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub fn flush(dir: &Path) -> Result<(), BackupFailure> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(BackupFailure::file("flush", dir))
}
