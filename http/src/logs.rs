//! The daemon's own log, as entries.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
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

/// The log that is being written.
const NAME: &str = "toq.log";

/// Shows the newest entries, or follows the log.
#[utoipa::path(get, path = "/v1/logs", params(LogsQuery), responses((status = 200, body = LogsResponse), (status = "default", body = ErrorBody)))]
pub(crate) async fn logs(facade: web::Data<Facade>, request: HttpRequest, query: Query<LogsQuery>) -> Result<HttpResponse, ApiError> {
    let path = dir(&facade).join(NAME);
    if query.0.follow.unwrap_or(false) {
        let tail = Tail::at_end(path).map_err(|_| unreadable())?;
        return Ok(sse::respond(&request, follow(tail)));
    }
    let entries = web::block(move || Tail::new(path).read()).await.map_err(|_| unreadable())?.map_err(|_| unreadable())?;
    Ok(HttpResponse::Ok().json(LogsResponse { entries }))
}

/// Empties the logs.
#[utoipa::path(delete, path = "/v1/logs", responses((status = 200), (status = "default", body = ErrorBody)))]
pub(crate) async fn clear(facade: web::Data<Facade>) -> Result<HttpResponse, ApiError> {
    let dir = dir(&facade);
    let cleared = web::block(move || clear_files(&dir)).await.map_err(|_| unreadable())?;
    cleared.map(|()| HttpResponse::Ok().finish()).map_err(|_| unreadable())
}

/// Empties the log files in a directory and those below it, and deletes those that were set aside.
///
/// Whoever writes to one goes on writing to it. Links are left alone. A directory that is not there is empty.
///
/// # Errors
/// When a file cannot be changed; others may have been emptied by then.
pub fn clear_files(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        let is_set_aside = entry.file_name().to_string_lossy().contains(".log.");
        if kind.is_dir() {
            clear_files(&entry.path())?;
        } else if kind.is_file() && is_set_aside {
            fs::remove_file(entry.path())?;
        } else if kind.is_file() {
            OpenOptions::new().write(true).truncate(true).custom_flags(NOFOLLOW).open(entry.path())?;
        }
    }
    Ok(())
}

const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

fn dir(facade: &Facade) -> PathBuf {
    facade.dir.join("logs")
}

fn unreadable() -> ApiError {
    ApiError::new(ErrorCode::InternalError, "the log cannot be read or changed")
        .hint("see the permissions of the workspace's logs directory")
}

/// A reader of a file that grows, is emptied, and is replaced when it is full.
struct Tail {
    path: PathBuf,
    inode: u64,
    place: u64,
}

impl Tail {
    const fn new(path: PathBuf) -> Self {
        Self { path, inode: 0, place: 0 }
    }

    fn at_end(path: PathBuf) -> io::Result<Self> {
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Self { path, inode: metadata.ino(), place: metadata.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::new(path)),
            Err(error) => Err(error),
        }
    }

    /// The entries since the last time, no more than the newest [`TAIL`] bytes hold.
    fn read(&mut self) -> io::Result<Vec<LogEntry>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let end = metadata.len();
        if metadata.ino() != self.inode || self.place > end {
            (self.inode, self.place) = (metadata.ino(), 0);
        }
        let start = self.place.max(end.saturating_sub(TAIL));
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(end - start).read_to_end(&mut bytes)?;
        // Only whole lines; the rest is read the next time.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.place = start + whole as u64;
        let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default());
        Ok(text.lines().filter_map(LogEntry::parse).collect())
    }
}

fn follow(tail: Tail) -> impl futures_util::Stream<Item = actix_web_lab::sse::Event> {
    unfold((tail, Vec::new().into_iter()), |(mut tail, mut ready)| async move {
        loop {
            let next: Option<LogEntry> = ready.next();
            if let Some(entry) = next {
                return Some((sse::data(None, &entry), (tail, ready)));
            }
            tokio::time::sleep(POLL).await;
            let (read, back) = web::block(move || (tail.read(), tail)).await.ok()?;
            tail = back;
            ready = read.ok()?.into_iter();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "{\"timestamp\":\"T\",\"level\":\"warn\",\"message\":\"refused\"}\n";

    #[test]
    fn a_tail_gives_each_whole_line_once_and_survives_that_the_file_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(NAME);
        let mut tail = Tail::new(path.clone());
        assert!(tail.read().expect("nothing there").is_empty());

        fs::write(&path, format!("{LINE}{}", &LINE[..9])).expect("ours");
        assert_eq!(tail.read().expect("reads").len(), 1);
        fs::write(&path, format!("{LINE}{LINE}")).expect("ours");
        assert_eq!(tail.read().expect("reads").len(), 1);
        fs::rename(&path, dir.path().join("toq.log.1")).expect("ours");
        fs::write(&path, LINE).expect("ours");

        assert_eq!(tail.read().expect("reads").len(), 1);
    }

    #[test]
    fn clearing_empties_logs_and_follows_no_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let logs = dir.path().join("logs");
        fs::create_dir_all(logs.join("handlers")).expect("ours");
        fs::write(dir.path().join("precious"), "kept").expect("ours");
        std::os::unix::fs::symlink(dir.path().join("precious"), logs.join("link.log")).expect("ours");
        for name in ["toq.log", "toq.log.2026-01-01T00:00:00Z", "handlers/handler-x.log"] {
            fs::write(logs.join(name), "text").expect("ours");
        }

        clear_files(&logs).expect("clears");

        assert_eq!(fs::metadata(logs.join("toq.log")).expect("there").len(), 0);
        assert_eq!(fs::metadata(logs.join("handlers/handler-x.log")).expect("there").len(), 0);
        assert!(!logs.join("toq.log.2026-01-01T00:00:00Z").exists());
        assert_eq!(fs::read_to_string(dir.path().join("precious")).expect("there"), "kept");
    }
}
