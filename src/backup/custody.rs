//! What the daemon's API does with backups, for [`toq_http`], which knows neither keys nor files.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use toq_api::{ExportRequest, ImportPlan, ImportRequest};
use toq_http::custody::{Custody, CustodyError};
use toq_store::Reader;
use toq_vault::backup::{BackupError, Passphrase, Strength};

use super::export::{FEWER, Messages, export};
use super::plan::{Checked, WEAK_HINT, check};
use super::stage::{NO_ROTATION, WAITS_HINT, stage, waits};
use super::{BackupFailure, plan};

/// The backups of one running workspace.
pub struct Workshop {
    dir: PathBuf,
    reader: Reader,
    /// One key derivation at a time: each takes its memory.
    turn: Mutex<()>,
}

impl Workshop {
    /// Makes backups of the workspace in `dir`.
    pub const fn new(dir: PathBuf, reader: Reader) -> Self {
        Self { dir, reader, turn: Mutex::new(()) }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Custody for Workshop {
    fn export(&self, request: ExportRequest) -> Result<String, CustodyError> {
        let _turn = self.turn();
        let passphrase = Passphrase::new(request.passphrase.0).map_err(refused)?;
        let messages = if request.messages { Messages::Included } else { Messages::LeftOut };
        export(&self.dir, Some(&self.reader), messages, &passphrase).map_err(|failure| told(failure, messages == Messages::Included))
    }

    fn import(&self, request: ImportRequest) -> Result<ImportPlan, CustodyError> {
        let _turn = self.turn();
        let passphrase = Passphrase::new(request.passphrase.0).map_err(refused)?;
        let strength = if request.allow_weak { Strength::Any } else { Strength::Strong };
        let file = zeroize::Zeroizing::new(request.data.0);
        let checked = check(&self.dir, Some(&self.reader), file.as_bytes(), &passphrase, strength).map_err(refused)?;
        let Checked { bundle, plan, before } = checked;
        plan::confirm(&plan, request.confirm.as_deref()).map_err(refused)?;
        if !request.dry_run {
            stage(&self.dir, &bundle, before).map_err(refused)?;
            tracing::warn!(old = plan.old_public_key.as_deref().unwrap_or("none"), new = %plan.new_public_key, form = %plan.form, "a backup was imported; it takes effect with the next start");
        }
        Ok(plan)
    }

    fn may_rotate(&self) -> Result<(), CustodyError> {
        match waits(&self.dir) {
            true => Err(CustodyError::Waits { message: NO_ROTATION.to_owned(), hint: WAITS_HINT }),
            false => Ok(()),
        }
    }
}

fn refused(failure: impl Into<BackupFailure>) -> CustodyError {
    told(failure.into(), false)
}

fn told(failure: BackupFailure, is_export: bool) -> CustodyError {
    let message = failure.to_string();
    match failure {
        BackupFailure::Backup(BackupError::Unopened) => CustodyError::Unopened(message),
        BackupFailure::Backup(BackupError::Weak(_)) => CustodyError::Refused { message, hint: Some(WEAK_HINT) },
        BackupFailure::Backup(BackupError::TooLarge { .. }) if is_export => CustodyError::Refused { message, hint: Some(FEWER) },
        BackupFailure::Backup(BackupError::Random) => CustodyError::Failed(message),
        BackupFailure::Backup(_) | BackupFailure::Config(_) => CustodyError::Refused { message, hint: None },
        BackupFailure::Other { .. } => CustodyError::Conflict(message),
        BackupFailure::CarryOver { .. }
        | BackupFailure::File { .. }
        | BackupFailure::KeyReplaced { .. }
        | BackupFailure::Store(_)
        | BackupFailure::Stuck { .. }
        | BackupFailure::Vault(_) => CustodyError::Failed(message),
    }
}
