//! Backups and keys: routes, and what they need from whoever holds keys and files.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use toq_actors::workspace::RotateKeys;
use toq_api::{ErrorBody, ErrorCode, ExportRequest, ExportResponse, ImportPlan, ImportRequest, RotateResponse, Secret};

use crate::audit;
use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;

/// The largest request of an import, in bytes: a backup with many messages, in JSON. Larger ones are imported by
/// the command line while the daemon is stopped.
pub const MAX_IMPORT: usize = 64 << 20;

/// What to do about a backup that is too large for a running daemon.
pub const STOP_FIRST: &str = "stop the daemon with `toq down`, then `toq import` the backup and start with `toq up`";

/// Why a request is too large.
#[must_use]
pub fn too_large() -> String {
    format!("a running daemon takes backups of at most {} MiB, because it holds one in memory", MAX_IMPORT >> 20)
}

/// Why a backup was not made or not taken.
#[derive(Debug)]
pub enum CustodyError {
    /// The passphrase is wrong or the backup is damaged.
    Unopened(String),
    /// The request cannot be carried out as it is.
    Refused {
        /// Why not.
        message: String,
        /// What to do.
        hint: Option<&'static str>,
    },
    /// The backup is somebody else's than the caller said.
    Conflict(String),
    /// An import waits for the next start, and what is asked for would be undone by it.
    Waits {
        /// What would be undone.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// It failed here.
    Failed(String),
}

/// Whoever holds keys and files. Calls block, some for as long as a key derivation takes.
pub trait Custody: Send + Sync {
    /// Makes a backup.
    ///
    /// # Errors
    /// [`CustodyError`]
    fn export(&self, request: ExportRequest) -> Result<String, CustodyError>;

    /// Checks a backup and, unless the request asks only what would change, takes it for the next start.
    ///
    /// # Errors
    /// [`CustodyError`]; nothing has changed then.
    fn import(&self, request: ImportRequest) -> Result<ImportPlan, CustodyError>;

    /// Says whether the identity key may be replaced now. Blocks no longer than a look at the disk.
    ///
    /// # Errors
    /// [`CustodyError::Waits`] where the next start puts another key in its place.
    fn may_rotate(&self) -> Result<(), CustodyError>;
}

impl From<CustodyError> for ApiError {
    fn from(error: CustodyError) -> Self {
        match error {
            CustodyError::Unopened(message) => Self::new(ErrorCode::InvalidPassphrase, message),
            CustodyError::Refused { message, hint: Some(hint) } => Self::new(ErrorCode::InvalidRequest, message).hint(hint),
            CustodyError::Refused { message, hint: None } => Self::new(ErrorCode::InvalidRequest, message),
            CustodyError::Conflict(message) => Self::new(ErrorCode::Conflict, message).hint("ask with dry_run whose backup it is"),
            CustodyError::Waits { message, hint } => Self::new(ErrorCode::Conflict, message).hint(hint),
            CustodyError::Failed(message) => {
                // Published clients know this code for files and keys that fail.
                Self::new(ErrorCode::InvalidRequest, message).with_status(StatusCode::INTERNAL_SERVER_ERROR).hint("see `toq doctor`")
            }
        }
    }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, CustodyError> + Send + 'static) -> Result<T, ApiError> {
    match web::block(work).await {
        Ok(done) => done.map_err(ApiError::from),
        Err(_) => Err(ApiError::new(ErrorCode::InternalError, "the work on the backup was cut short").hint("see `toq logs`")),
    }
}

/// Makes a backup of this agent, closed by a passphrase.
#[utoipa::path(post, path = "/v1/backup/export", request_body = ExportRequest, responses((status = 200, body = ExportResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn export(facade: web::Data<Facade>, body: Body<ExportRequest>) -> Result<HttpResponse, ApiError> {
    let custody = facade.custody.clone();
    let data = aside(move || custody.export(body.0)).await?;
    let key = facade.home().local().identity.public();
    audit::record(&facade, "agent.exported", key.to_string(), None).await?;
    Ok(HttpResponse::Ok().json(ExportResponse { data: Secret(data) }))
}

/// Takes a backup for the next start; the answer is empty. With `dry_run`, tells what it would change instead.
#[utoipa::path(post, path = "/v1/backup/import", request_body = ImportRequest, responses((status = 200, body = ImportPlan, description = "empty unless dry_run is true"), (status = "default", body = ErrorBody)))]
pub(crate) async fn import(
    facade: web::Data<Facade>,
    body: Result<Body<ImportRequest, MAX_IMPORT>, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let body = body.map_err(|error| match error.body().error.code {
        ErrorCode::MessageTooLarge => ApiError::new(ErrorCode::MessageTooLarge, too_large()).hint(STOP_FIRST),
        _ => error,
    })?;
    let is_dry_run = body.0.dry_run;
    let custody = facade.custody.clone();
    let plan = aside(move || custody.import(body.0)).await?;
    if is_dry_run {
        return Ok(HttpResponse::Ok().json(plan));
    }
    audit::record(&facade, "import.accepted", plan.new_public_key, Some("it takes effect with the next start".to_owned())).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Replaces the identity key, for sessions in both directions at once. Peers that know this agent learn of it by a
/// proof when they meet it next.
#[utoipa::path(post, path = "/v1/keys/rotate", responses((status = 200, body = RotateResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn rotate(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    facade.custody.may_rotate()?;
    let proof = facade.ask(RotateKeys).await??;
    Ok(HttpResponse::Ok().json(RotateResponse {
        old_public_key: proof.old.to_string(),
        new_public_key: proof.new.to_string(),
        rotation_proof: proof.published().to_string(),
        expires_at: Some(proof.expires_at.to_string()),
    }))
}
