//! Writes a checked backup into a directory of its own and commits to it by one rename.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toq_kit::fault;
use toq_vault::backup::{Bundle, LogRecord, Trust};
use toq_vault::{adopt_rotations, make_private_dir, seed_text, write_private};

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
}

/// A rule: `approve` or `block`, `key` or `address`, and whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedRule(pub String, pub String, pub String);

/// A peer: its key, its address, when it was first and last here, in nanoseconds of Unix time.
#[derive(Serialize, Deserialize)]
pub struct StagedPeer(pub String, pub String, pub i64, pub i64);

/// Where a backup waits to be carried out.
pub fn committed(dir: &Path) -> PathBuf {
    dir.join("restore")
}

/// Where a backup that could not be carried out waits to be undone.
pub fn undoing(dir: &Path) -> PathBuf {
    dir.join("restore.undo")
}

/// Stages a backup in the workspace in `dir`, which is made where it is missing. When this returns, the next start
/// carries it out; before, nothing has changed.
pub fn stage(dir: &Path, bundle: &Bundle) -> Result<(), BackupFailure> {
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
    write(LOG, &serde_json::to_vec(&log(bundle)).expect("texts and numbers always serialise"))?;

    let committed = committed(dir);
    remove(&committed)?;
    fault::crash_point("restore-before-commit");
    fs::rename(&fresh, &committed).map_err(BackupFailure::file("commit to", &committed))?;
    flush(dir)?;
    fault::crash_point("restore-after-commit");
    Ok(())
}

fn log(bundle: &Bundle) -> StagedLog {
    use toq_protocol::policy::{Ruling, Subject};

    let rule = |(subject, ruling): &(Subject, Ruling)| {
        let kind = match subject {
            Subject::Key(_) => "key",
            Subject::Address(_) => "address",
        };
        let ruling = match ruling {
            Ruling::Approve => "approve",
            Ruling::Block => "block",
        };
        StagedRule(ruling.to_owned(), kind.to_owned(), subject.to_string())
    };
    let peer = |peer: &toq_vault::backup::KnownPeer| {
        StagedPeer(peer.key.to_string(), peer.address.clone(), peer.first_seen.as_nanos(), peer.last_seen.as_nanos())
    };
    StagedLog {
        rules: bundle.rules.as_ref().map(|rules| rules.iter().map(rule).collect()),
        peers: bundle.peers.iter().map(peer).collect(),
        trust: bundle.trust.clone(),
        log: bundle.log.clone(),
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
