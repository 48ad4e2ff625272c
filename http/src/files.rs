//! Files: sending one of the owner's, listing what came, and handing it out as bytes that no browser looks into.

use std::io::Read as _;
use std::path::Path;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use toq_actors::workspace::{Origin, Patience, Send};
use toq_api::{ErrorBody, ErrorCode, FileRemoved, FileView, FilesResponse, SendFileRequest, SendQuery, SendResponse, Wait};
use toq_protocol::envelope::Kind;
use toq_protocol::file::{ContentId, MANIFEST_TYPE, Manifest, safe_name};
use toq_protocol::time::Timestamp;
use toq_store::{Depot, DepotError, Kept};

use crate::body::Body;
use crate::error::ApiError;
use crate::facade::Facade;
use crate::messages::{self, address};
use crate::query::Query;

/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;

/// The longest name that is told to a receiver, in bytes.
const MAX_NAME: usize = 255;

/// Sends a file of this machine to an agent that accepts files. It is sent as it is now; later changes do not matter.
#[utoipa::path(post, path = "/v1/files", params(SendQuery), request_body = SendFileRequest,
    responses((status = 200, description = "The peer has it", body = SendResponse), (status = 202, description = "Accepted and being delivered", body = SendResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn send(
    facade: web::Data<Facade>,
    query: Query<SendQuery>,
    body: Body<SendFileRequest>,
) -> Result<HttpResponse, ApiError> {
    let to = address(&body.0.to)?;
    let path = Path::new(&body.0.path);
    if !path.is_absolute() || body.0.path.contains('\0') {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "path must be absolute").hint("the daemon has another current directory"));
    }
    let of_path = || path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = body.0.name.clone().or_else(of_path).filter(|name| !name.is_empty() && name.len() <= MAX_NAME);
    let name = name.ok_or_else(|| ApiError::new(ErrorCode::InvalidRequest, format!("a name has 1 to {MAX_NAME} bytes")))?;
    let depot = depot(&facade)?;
    let transfer = facade.home().new_id().to_string().replace('-', "");
    let (worker, source, mark) = (depot.clone(), path.to_owned(), transfer.clone());
    let adopted = web::block(move || worker.adopt(&source, &mark)).await.map_err(|_| unreadable(path, "the copy was given up"))?;
    let (id, size) = adopted.map_err(|error| match error {
        DepotError::Full => {
            let size = std::fs::metadata(path).map_or(0, |file| file.len());
            ApiError::from(facade.home().store.room().shortage(size).unwrap_or(toq_store::StoreError::Full))
        }
        DepotError::Unread(error) => unreadable(path, &error.to_string()),
        error => unusable(&error.to_string()),
    })?;
    let manifest = Manifest { name, size, id, transfer };
    let wait = query.0.wait.unwrap_or_default();
    let command = Send {
        to: vec![to],
        kind: Kind::MessageSend,
        body: Some(manifest.to_body()),
        thread_id: body.0.thread_id.filter(|id| !id.is_empty()),
        reply_to: None,
        content_type: Some(MANIFEST_TYPE.to_owned()),
        idempotency: None,
        patience: if wait == Wait::Acceptance { Patience::Accepted } else { Patience::Settled },
        origin: Origin::Owner,
    };
    match facade.ask(command).await? {
        Ok(accepted) => messages::accepted(&facade, accepted, &query.0).await,
        Err(error) => {
            let _dropped = web::block(move || depot.drop_outgoing(&manifest)).await;
            Err(error.into())
        }
    }
}

/// Lists the files that came.
#[utoipa::path(get, path = "/v1/files", responses((status = 200, body = FilesResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn list(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let depot = depot(&facade)?;
    let kept = web::block(move || depot.list()).await.map_err(|_| unusable("reading was given up"))?;
    let kept = kept.map_err(|error| unusable(&error.to_string()))?;
    Ok(HttpResponse::Ok().json(FilesResponse { files: kept.into_iter().map(view).collect() }))
}

/// Hands out a file that came, as bytes.
#[utoipa::path(get, path = "/v1/files/{sha256}", params(("sha256" = String, Path, description = "The file's hash")),
    responses((status = 200, description = "Its bytes", content_type = "application/octet-stream"), (status = "default", body = ErrorBody)))]
pub(crate) async fn bytes(facade: web::Data<Facade>, request: HttpRequest, sha256: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id = ContentId::parse(&sha256).ok_or_else(no_file)?;
    let depot = depot(&facade)?;
    let opened = web::block(move || Some((depot.kept(&id)?, depot.open_whole(&id).ok()?))).await;
    let (kept, file) = opened.map_err(|_| unusable("reading was given up"))?.ok_or_else(no_file)?;
    let mut response = HttpResponse::Ok();
    response
        .content_type("application/octet-stream")
        .insert_header((CONTENT_DISPOSITION, disposition(&kept.name)))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .no_chunking(kept.size);
    if request.method() == actix_web::http::Method::HEAD {
        return Ok(response.finish());
    }
    let pieces = stream::try_unfold((file, kept.size), |(mut file, left)| async move {
        let read = web::block(move || {
            let mut piece = Vec::new();
            (&mut file).take(left.min(PIECE as u64)).read_to_end(&mut piece).map(|_| (file, piece))
        });
        let (file, piece) = read.await.map_err(|error| std::io::Error::other(error.to_string()))??;
        let left = left - piece.len() as u64;
        Ok::<_, std::io::Error>(if piece.is_empty() { None } else { Some((Bytes::from(piece), (file, left))) })
    });
    Ok(response.streaming(Box::pin(pieces)))
}

/// Deletes a file that came. The message that brought it stays.
#[utoipa::path(delete, path = "/v1/files/{sha256}", params(("sha256" = String, Path, description = "The file's hash")),
    responses((status = 200, body = FileRemoved), (status = "default", body = ErrorBody)))]
pub(crate) async fn remove(facade: web::Data<Facade>, sha256: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id = ContentId::parse(&sha256).ok_or_else(no_file)?;
    let depot = depot(&facade)?;
    let removed = web::block(move || depot.remove(&id)).await.map_err(|_| unusable("deleting was given up"))?;
    if !removed.map_err(|error| unusable(&error.to_string()))? {
        return Err(no_file());
    }
    tracing::info!(sha256 = %id, "a file that a peer sent was deleted");
    Ok(HttpResponse::Ok().json(FileRemoved { sha256: id.to_string() }))
}

fn no_file() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "no file has this hash").hint("GET /v1/files lists what is there")
}

/// A header that makes a browser save and never show, under a name that leads nowhere.
fn disposition(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || " .-_()".contains(letter) { letter } else { '_' };
    format!("attachment; filename=\"{}\"", safe_name(name).chars().map(plain).collect::<String>())
}

fn view(kept: Kept) -> FileView {
    let received_at = Timestamp::from_nanos(kept.at).to_string();
    FileView { sha256: kept.id.to_string(), size: kept.size, name: kept.name, from: kept.from, received_at }
}

fn depot(facade: &Facade) -> Result<std::sync::Arc<Depot>, ApiError> {
    facade.home().store.depot().cloned().ok_or_else(|| ApiError::new(ErrorCode::NotFound, "this workspace keeps no files"))
}

fn unusable(why: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, format!("the file cannot be used: {why}"))
}

fn unreadable(path: &Path, why: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, format!("{} cannot be read: {why}", path.display()))
}
