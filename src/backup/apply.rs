//! Carries out what was committed to.
//!
//! Runs before the configuration is read or a key is opened, with the log locked, so that no daemon of the
//! workspace runs. Every step can be done twice: the old files are kept first, each new file replaces its old one by a
//! rename, the log's part is one transaction that changes nothing the second time, and only then the
//! commitment is taken away.
//!
//! Where a step fails, the old files are put back, and that is a decision too: one rename makes the commitment an
//! undoing, which is carried out at once or, where it is cut short or fails as well, by the next start. From that rename on
//! nothing of the new state is written any more.

use std::fs;
use std::path::Path;

use toq_kit::fault;
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::time::Timestamp;
use toq_store::audit::AuditRow;
use toq_store::batch::Change;
use toq_store::{Batch, Options, Seq, Store, StoreError};
use toq_vault::backup::KnownPeer;
use toq_vault::{make_private_dir, read_seed, write_private};

use super::stage::{StagedLog, StagedPeer, StagedRule, committed, flush, remove, undoing};
use super::{BackupFailure, LOG, PLACES, plan, trust};
use crate::takeover;

/// The log's file in a workspace.
pub const STATE: &str = "state.redb";

/// The mark in a commitment that the old files have been kept.
const KEPT: &str = "kept";

/// What became of a backup that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// There was none.
    Nothing,
    /// It was carried out.
    Done,
    /// A daemon runs; its end has to come first.
    Waits,
}

/// Carries out the backup that waits in the workspace in `dir`, if one does.
pub fn pending(dir: &Path, now: Timestamp) -> Result<Applied, BackupFailure> {
    let (committed, undoing) = (committed(dir), undoing(dir));
    if !committed.is_dir() && !undoing.is_dir() {
        return Ok(Applied::Nothing);
    }
    let path = dir.join(STATE);
    let store = match Store::open(&path, Options::default()) {
        Ok(store) => store,
        Err(StoreError::AlreadyOpen(_)) => return Ok(Applied::Waits),
        Err(error) => return Err(error.into()),
    };
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(BackupFailure::file("protect", &path))?;
    let carried_out = undo(dir, &undoing).and_then(|()| carry_out(dir, &committed, &store, now));
    store.close();
    carried_out
}

fn carry_out(dir: &Path, committed: &Path, store: &Store, now: Timestamp) -> Result<Applied, BackupFailure> {
    if !committed.is_dir() {
        return Ok(Applied::Nothing);
    }
    if let Err(first) = replace(dir, committed, store, now) {
        give_up(dir, committed).map_err(|second| BackupFailure::Stuck {
            first: first.to_string(),
            second: second.to_string(),
            kept: dir.join("replaced"),
        })?;
        return Err(first);
    }
    fault::crash_point("restore-before-end");
    let done = dir.join("restore.done");
    remove(&done)?;
    fs::rename(committed, &done).map_err(BackupFailure::file("finish", committed))?;
    flush(dir)?;
    fault::crash_point("restore-after-end");
    remove(&done)?;
    Ok(Applied::Done)
}

fn replace(dir: &Path, committed: &Path, store: &Store, now: Timestamp) -> Result<(), BackupFailure> {
    let log = staged_log(committed)?;
    if let Some(before) = log.before.as_ref().filter(|_| !committed.join(KEPT).exists()) {
        before.carry_files(dir, committed)?;
    }
    keep(dir)?;
    fault::crash_point("restore-kept");
    place(dir)?;
    record(dir, store, &log, now)
}

/// Decides that the old files come back, and puts them back.
fn give_up(dir: &Path, committed: &Path) -> Result<(), BackupFailure> {
    let undoing = undoing(dir);
    remove(&undoing)?;
    fs::rename(committed, &undoing).map_err(BackupFailure::file("give up", committed))?;
    flush(dir)?;
    fault::crash_point("restore-given-up");
    undo(dir, &undoing)
}

fn staged_log(committed: &Path) -> Result<StagedLog, BackupFailure> {
    let path = committed.join(LOG);
    let bytes = fs::read(&path).map_err(BackupFailure::file("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|error| BackupFailure::file("read", &path)(error.into()))
}

/// Keeps the files that are about to be replaced, once for each commitment.
fn keep(dir: &Path) -> Result<(), BackupFailure> {
    let mark = committed(dir).join(KEPT);
    if mark.exists() {
        return Ok(());
    }
    let (fresh, kept) = (dir.join("replaced.new"), dir.join("replaced"));
    remove(&fresh)?;
    make_private_dir(&fresh)?;
    for (name, place) in PLACES {
        let old = dir.join(place);
        match fs::read(&old) {
            Ok(content) => write_private(&fresh.join(name), &content)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(BackupFailure::file("read", &old)(error)),
        }
        fault::crash_point("restore-keeping");
    }
    remove(&kept)?;
    fs::rename(&fresh, &kept).map_err(BackupFailure::file("keep the old files in", &kept))?;
    flush(dir)?;
    Ok(write_private(&mark, b"")?)
}

/// Moves each new file over the old one.
fn place(dir: &Path) -> Result<(), BackupFailure> {
    let (staged, keys) = (committed(dir), dir.join("keys"));
    make_private_dir(&keys)?;
    for (name, place) in PLACES {
        let (new, old) = (staged.join(name), dir.join(place));
        match fs::rename(&new, &old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(BackupFailure::file("replace", &old)(error)),
            // It is not part of this backup, or was moved before a crash.
            Ok(()) | Err(_) => {}
        }
        fault::crash_point("restore-placing");
    }
    flush(&keys)?;
    flush(dir)
}

/// Puts the old files back where that was decided.
fn undo(dir: &Path, undoing: &Path) -> Result<(), BackupFailure> {
    if !undoing.is_dir() {
        return Ok(());
    }
    // Without the mark nothing had been replaced yet, and what was kept is of an earlier import.
    if undoing.join(KEPT).exists() {
        put_back(dir)?;
    }
    fault::crash_point("restore-undone");
    remove(undoing)?;
    flush(dir)
}

fn put_back(dir: &Path) -> Result<(), BackupFailure> {
    let kept = dir.join("replaced");
    // A file that is missing in it was not there before; a directory that is missing says nothing of the sort.
    fs::read_dir(&kept).map_err(BackupFailure::file("read", &kept))?;
    for (name, place) in PLACES {
        fault::crash_point("restore-undoing");
        let (old, place) = (kept.join(name), dir.join(place));
        match fs::read(&old) {
            Ok(content) => write_private(&place, &content)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => remove(&place)?,
            Err(error) => return Err(BackupFailure::file("read", &old)(error)),
        }
    }
    flush(&dir.join("keys"))?;
    flush(dir)
}

/// Writes the log's part as one transaction.
fn record(dir: &Path, store: &Store, staged: &StagedLog, now: Timestamp) -> Result<(), BackupFailure> {
    let reader = store.reader();
    let peers: Vec<KnownPeer> = staged.peers.iter().filter_map(peer).collect();
    let since = staged.before.as_ref().map(|before| before.rules_since(reader)).transpose()?.unwrap_or_default();
    let mut changes = Vec::new();
    if let Some(rules) = &staged.rules {
        changes.extend(reader.rules()?.into_iter().map(|(subject, ruling)| Change::RemoveRule(subject, ruling)));
        changes.extend(since.over(rules.iter().filter_map(StagedRule::read).collect(), reader, &peers, &staged.trust.pins, now)?);
        // The rules of this backup are all there are: those of a published daemon that was here before do not come back.
        changes.push(Change::TakenOver(takeover::DONE));
    }
    changes.extend(trust::join(Some(reader), &peers, &staged.trust)?.changes);
    // Old messages behind new ones would be news to everybody who follows the log.
    if reader.messages_after(Seq(0), 1)?.is_empty() {
        for record in &staged.log {
            let (message, state) = plan::message(record)?;
            changes.push(Change::Restore { message: Box::new(message), state });
        }
    }
    // The new key is in its place by now. A start that was cut short here records it again.
    let key = dir.join("keys").join("identity.key");
    let key = read_seed(&key)?.map(|seed| Identity::from_seed(&seed).public().to_string()).unwrap_or_default();
    let row = AuditRow::new(now, "import", "agent.imported", &key);
    changes.push(Change::Audit(match since.is_empty() {
        true => row,
        false => row.detailed("rules that were decided on while it waited are kept"),
    }));
    fault::crash_point("restore-before-log");
    commit(store, Batch::new(changes))?;
    fault::crash_point("restore-after-log");
    Ok(())
}

/// Waits for a commit on a thread that has nothing else to do.
fn commit(store: &Store, batch: Batch) -> Result<(), BackupFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(BackupFailure::file("start", Path::new("a runtime")))?;
    runtime.block_on(store.journal().commit(batch))?;
    Ok(())
}

fn peer(StagedPeer(key, address, first_seen, last_seen): &StagedPeer) -> Option<KnownPeer> {
    let at = |nanos: &i64| Timestamp::from_nanos(*nanos);
    Some(KnownPeer { key: PeerKey::parse(key).ok()?, address: address.clone(), first_seen: at(first_seen), last_seen: at(last_seen) })
}
