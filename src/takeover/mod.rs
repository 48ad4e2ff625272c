//! A workspace that the published daemon has made becomes ours at the first start, once.
//!
//! Identity, certificate, settings and handlers are used where they are. What ours keeps in its log is copied into it:
//! rules and those who wait for a decision, peers with the addresses that they claimed, received messages. The originals
//! stay where they are and are never looked at again.
//!
//! - `permissions.toml` is read by [`toq_config::permissions`]; a rule that cannot be understood keeps us from
//!   starting, because a block may be behind it, and nothing has been done then.
//! - [`peers`] and [`history`] leave out what cannot be read, and say which line it is.
//!
//! Rules, requests and peers are one batch, and each stretch of the history is one; every batch also notes how far it
//! comes. A crash therefore repeats nothing and leaves nothing out.

mod account;
mod history;
mod peers;

use std::path::{Path, PathBuf};

use account::Account;
use serde::{Deserialize, Serialize};
use toq_config::permissions::{self, Permissions};
use toq_config::{ConfigError, Loaded};
use toq_kit::fault;
use toq_protocol::time::Timestamp;
use toq_store::audit::AuditRow;
use toq_store::batch::Change;
use toq_store::record::ApprovalRow;
use toq_store::{Batch, Options, Outcome, Seq, Store, StoreError};
use toq_vault::{VaultError, close_dir};

use crate::backup::apply::STATE;
use crate::daemon;

/// Everything has been taken over, or there was nothing to take over at the first start.
pub const DONE: u64 = u64::MAX;

/// The rules are in; from here on the note is one more than the bytes of history that are.
const BEGUN: u64 = 1;

/// How many complaints are kept; the others are counted.
const COMPLAINTS: usize = 10;

/// Why a workspace was not taken over. Nothing is lost: the next start goes on.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverFailure {
    /// The rules cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The log cannot be read or written.
    #[error("the log cannot be used: {0}")]
    Store(#[from] StoreError),
    /// The directory of the keys cannot be closed to others.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl TakeoverFailure {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// What was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Rules.
    pub rules: usize,
    /// Requests of those who wait for a decision.
    pub requests: usize,
    /// Peers.
    pub peers: usize,
    /// Messages.
    pub messages: usize,
    /// What could not be read, with file and line.
    pub left_out: Vec<String>,
    /// How much more could not be read.
    pub more_left_out: usize,
}

impl Report {
    fn leave_out(&mut self, complaint: String) {
        if self.left_out.len() < COMPLAINTS { self.left_out.push(complaint) } else { self.more_left_out += 1 }
    }
}

pub use account::kept;

/// Takes over what waits to be taken over in a workspace; `None` where nothing does, or where a daemon runs.
///
/// # Errors
/// [`TakeoverFailure`] where a start would lose something.
pub fn pending(loaded: &Loaded, now: Timestamp) -> Result<Option<Report>, TakeoverFailure> {
    let (dir, path) = (&loaded.dir, loaded.dir.join(STATE));
    if !path.exists() {
        // The published daemon leaves it open to everybody; the keys in it are closed, or will be refused.
        close_dir(&dir.join("keys"))?;
    }
    if ![permissions::FILE, peers::FILE, history::FILE].iter().any(|name| dir.join(name).exists()) {
        return Ok(None);
    }
    // Read before anything is written: a fault in it must leave everything as it was.
    let permissions = permissions::load(dir)?.unwrap_or_default();
    let store = match Store::open(&path, Options::default()) {
        Ok(store) => store,
        Err(StoreError::AlreadyOpen(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let taken = daemon::protect(&path).map_err(TakeoverFailure::file(&path)).and_then(|()| take_over(&store, loaded, permissions, now));
    store.close();
    taken
}

fn take_over(store: &Store, loaded: &Loaded, permissions: Permissions, now: Timestamp) -> Result<Option<Report>, TakeoverFailure> {
    let mut account = Account::new(now);
    let mut place = match store.reader().taken_over()? {
        Some(DONE) => return Ok(None),
        Some(place) => {
            account.resume(store.reader())?;
            place
        }
        None if is_used(store)? => {
            commit(store, vec![Change::TakenOver(DONE)])?;
            return Ok(None);
        }
        None => {
            begin(store, loaded, permissions, &mut account, now)?;
            BEGUN
        }
    };
    fault::crash_point("takeover-begun");
    if let Some(mut history) = history::History::open(loaded, place - BEGUN)? {
        loop {
            let stretch = history.next(&mut account.report)?;
            let is_last = stretch.is_empty();
            place = BEGUN + history.place();
            let changes = stretch.into_iter().chain(account.complaints()).chain([Change::TakenOver(place)]).collect();
            account.report.messages += commit(store, changes)?;
            if is_last {
                break;
            }
            fault::crash_point("takeover-stretch");
        }
    }
    account.keep(&loaded.dir)?;
    fault::crash_point("takeover-before-end");
    commit(store, vec![account.event(), Change::TakenOver(DONE)])?;
    Ok(Some(account.report))
}

/// Whether this log has been somebody's before: it is then not the first start.
fn is_used(store: &Store) -> Result<bool, StoreError> {
    let reader = store.reader();
    let is_empty = reader.last() == Seq(0) && reader.rules()?.is_empty() && reader.peers()?.is_empty() && reader.approvals()?.is_empty();
    Ok(!is_empty)
}

fn begin(store: &Store, loaded: &Loaded, permissions: Permissions, account: &mut Account, now: Timestamp) -> Result<(), TakeoverFailure> {
    let report = &mut account.report;
    let Permissions { rules, mut pending, left_out } = permissions;
    left_out.iter().for_each(|fault| report.leave_out(fault.to_string()));
    // Those who asked last are the likeliest to be still there.
    pending.sort_by_key(|pending| std::cmp::Reverse(pending.requested_at.as_nanos()));
    pending.truncate(loaded.config.max_pending_approvals);
    let peers = peers::read(&loaded.dir, report)?;
    (report.rules, report.requests, report.peers) = (rules.len(), pending.len(), peers.len());

    let rules = rules.into_iter().map(|(subject, ruling)| Change::AddRule(subject, ruling, now));
    let requests = pending.into_iter().map(|pending| {
        let row = ApprovalRow {
            address: pending.address.written(),
            requested_at: pending.requested_at.as_nanos(),
            requests: 1,
            proof: None,
            source: None,
            previous: None,
            first_asked: None,
            hears_decisions: None,
        };
        Change::AddApproval(pending.key, row)
    });
    let peers = peers.into_iter().map(|(key, row)| Change::Peer(key, row));
    fault::crash_point("takeover-before-begin");
    let told = account.complaints();
    let report = &account.report;
    let audit =
        AuditRow::new(now, "takeover", "rules.taken_over", &report.rules).detailed(format!("and {} open questions", report.requests));
    commit(store, rules.chain(requests).chain(peers).chain(told).chain([Change::Audit(audit), Change::TakenOver(BEGUN)]).collect())?;
    Ok(())
}

/// Commits and returns how many messages that added.
fn commit(store: &Store, changes: Vec<Change>) -> Result<usize, TakeoverFailure> {
    // The journal answers from its own thread, so this one has nothing to do but wait.
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(TakeoverFailure::file(Path::new("a runtime")))?;
    match runtime.block_on(store.journal().commit(Batch::new(changes)))? {
        Outcome::Committed(added) => Ok(added.len()),
        Outcome::Duplicate { .. } => Ok(0),
    }
}

/// Says in which line of a text a part of it begins, counted from one.
fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}
