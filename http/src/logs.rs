//! The daemon's own log, as entries.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::unfold;
use toq_api::{ErrorBody, ErrorCode, LogEntry, LogsQuery, LogsResponse};

use crate::error::ApiError;
use crate::facade::Facade;
use crate::query::Query;
use crate::sse;

/// How much of the end of the log is shown, in bytes.
const TAIL: u64 = 256 * 1024;

/// How often a followed log is looked at.
const POLL: Duration = Duration::from_millis(500);

/// Shows the newest entries, or follows the log.
#[utoipa::path(get, path = "/v1/logs", params(LogsQuery), responses((status = 200, body = LogsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn logs(facade: web::Data<Facade>, request: HttpRequest, query: Query<LogsQuery>) -> Result<HttpResponse, ApiError> {
    let path = path(&facade);
    if query.0.follow.unwrap_or(false) {
        let end = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        return Ok(sse::respond(&request, follow(path, end)));
    }
    let entries = web::block(move || tail(&path, None)).await.map_err(|_| unreadable())?.map_err(|_| unreadable())?.0;
    Ok(HttpResponse::Ok().json(LogsResponse { entries }))
}

/// Empties the log.
#[utoipa::path(delete, path = "/v1/logs", responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn clear(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    match std::fs::OpenOptions::new().write(true).truncate(true).open(path(&facade)) {
        Ok(_) => Ok(HttpResponse::Ok().finish()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HttpResponse::Ok().finish()),
        Err(_) => Err(unreadable()),
    }
}

fn path(facade: &Facade) -> PathBuf {
    facade.dir.join("logs").join("toq.log")
}

fn unreadable() -> ApiError {
    ApiError::new(ErrorCode::InternalError, "the log cannot be read")
}

/// The entries after a place in the file, or those of its last part; and where the file ends.
fn tail(path: &PathBuf, after: Option<u64>) -> io::Result<(Vec<LogEntry>, u64)> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let end = file.metadata()?.len();
    let start = match after {
        // The file was emptied or replaced.
        Some(after) if after > end => 0,
        Some(after) => after.max(end.saturating_sub(TAIL)),
        None => end.saturating_sub(TAIL),
    };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    // Only whole lines; the rest is read the next time.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default());
    Ok((text.lines().filter_map(entry).collect(), start + whole as u64))
}

/// An entry from a line `<time> <LEVEL> <message>`; lines of another form belong to something that was
/// printed and are shown as they are.
fn entry(line: &str) -> Option<LogEntry> {
    let line = line.trim_end();
    if line.is_empty() {
        return None;
    }
    let (timestamp, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (level, message) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
    let is_level = matches!(level, "ERROR" | "WARN" | "INFO" | "DEBUG" | "TRACE");
    if toq_protocol::time::Timestamp::parse(timestamp).is_none() || !is_level {
        return Some(LogEntry { timestamp: String::new(), level: "info".to_owned(), message: line.to_owned() });
    }
    Some(LogEntry { timestamp: timestamp.to_owned(), level: level.to_ascii_lowercase(), message: message.trim_start().to_owned() })
}

fn follow(path: PathBuf, end: u64) -> impl futures_util::Stream<Item = actix_web_lab::sse::Event> {
    unfold((path, end, Vec::new().into_iter()), |(path, mut end, mut ready)| async move {
        loop {
            let next: Option<LogEntry> = ready.next();
            if let Some(entry) = next {
                return Some((sse::data(None, &entry), (path, end, ready)));
            }
            tokio::time::sleep(POLL).await;
            let file = path.clone();
            let (entries, new_end) = web::block(move || tail(&file, Some(end))).await.ok()?.ok()?;
            end = new_end;
            ready = entries.into_iter();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_an_entry_and_other_lines_stay_whole() {
        let parsed = entry("2026-11-21T01:19:01.328474Z  WARN connection failed: peer=x").expect("an entry");
        assert_eq!((parsed.level.as_str(), parsed.message.as_str()), ("warn", "connection failed: peer=x"));

        let printed = entry("toq up on toq://localhost/alice").expect("an entry");
        assert_eq!(printed.message, "toq up on toq://localhost/alice");
    }
}
