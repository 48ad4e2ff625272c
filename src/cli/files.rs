//! Lists the files that came, saves one, and deletes one.
//!
//! What a peer calls its file is shown and made harmless; nothing is written over, no link is followed, nothing is opened.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};
use serde_json::json;
use toq_api::{Client, FileRemoved, FileView, FilesResponse};
use toq_protocol::file::safe_name;

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// How long a whole file may take from the daemon to the disk.
const LIMIT: Duration = Duration::from_secs(3600);

/// Lists the files that came
#[derive(Debug, clap::Args)]
pub struct Files {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Saves a file that came
    Save(Save),
    /// Deletes a file that came; the message that brought it stays
    Rm {
        /// The file's hash, or as much of its beginning as no other has
        sha256: String,
    },
}

#[derive(Debug, clap::Args)]
struct Save {
    /// The file's hash, or as much of its beginning as no other has
    sha256: String,
    /// The directory or the new file to save it as; the current directory under the sender's name, made harmless
    path: Option<PathBuf>,
}

impl Files {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let client = desk.client()?;
        let answer: FilesResponse = client.get(&["v1", "files"], &[]).await?;
        match self.action {
            None => desk.output.answer(|| json!(answer), || table(&answer.files)),
            Some(Action::Rm { sha256 }) => {
                let file = find(&answer.files, &sha256)?;
                let gone: FileRemoved = client.delete::<(), _>(&["v1", "files", &file.sha256], None).await?;
                desk.output.answer(|| json!(gone), || format!("Deleted {}", sanitize::name(&gone.sha256)))
            }
            Some(Action::Save(save)) => save.run(desk, &client.with_limit(LIMIT), &answer.files).await,
        }
    }
}

impl Save {
    async fn run(self, desk: &Desk, client: &Client, files: &[FileView]) -> Result<(), Failure> {
        let file = find(files, &self.sha256)?;
        let (dir, name) = place(&desk.world.cwd, self.path.as_deref(), &file.name);
        let shown = sanitize::name(&dir.join(&name).to_string_lossy());
        let failed = |error: std::io::Error| Failure::error(format!("cannot save {shown}: {error}"));
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&dir, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        // A new file in this directory and nowhere else: a link that somebody put there is an error.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&dir, &name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
            rustix::io::Errno::EXIST => {
                Failure::error(format!("{shown} is there already")).hint("name another file: toq files save SHA256 PATH")
            }
            error => failed(error.into()),
        })?;
        let mut saved = File::from(made);
        let copied = client.download(&["v1", "files", &file.sha256], |piece| saved.write_all(piece)).await;
        let result = copied.map_err(Failure::from).and_then(|size| {
            saved.sync_all().map_err(failed)?;
            if size == file.size { Ok(()) } else { Err(Failure::error("the file was cut short").hint("try again")) }
        });
        if let Err(failure) = result {
            let _gone = rustix::fs::unlinkat(&dir, &name, AtFlags::empty());
            return Err(failure);
        }
        desk.output.answer(|| json!({"sha256": file.sha256, "path": shown}), || format!("Saved {shown} ({} bytes)", file.size))
    }
}

/// The one file whose hash begins so.
fn find<'a>(files: &'a [FileView], sha256: &str) -> Result<&'a FileView, Failure> {
    let mut found = files.iter().filter(|file| !sha256.is_empty() && file.sha256.starts_with(sha256));
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file),
        (None, _) => Err(Failure::error("no file has this hash").hint("`toq files` lists what is there")),
        (Some(_), Some(_)) => Err(Failure::error("several files begin with this hash").hint("write more of it")),
    }
}

/// The directory and the name to save under. What the owner wrote is taken as it is; what the peer wrote never is.
fn place(cwd: &Path, wanted: Option<&Path>, told: &str) -> (PathBuf, PathBuf) {
    let Some(wanted) = wanted else { return (cwd.to_owned(), safe_name(told).into()) };
    let wanted = cwd.join(wanted);
    match (wanted.is_dir(), wanted.parent(), wanted.file_name()) {
        (false, Some(dir), Some(name)) => (dir.to_owned(), name.into()),
        _ => (wanted, safe_name(told).into()),
    }
}

fn table(files: &[FileView]) -> String {
    if files.is_empty() {
        return "No files".to_owned();
    }
    let mut text = format!("{:<64} {:>12} {:<30} {:<30} NAME", "SHA256", "BYTES", "RECEIVED", "FROM");
    for file in files {
        let (received, from, name) =
            (sanitize::name(&file.received_at), sanitize::name(&file.from), sanitize::name(&safe_name(&file.name)));
        text.push_str(&format!("\n{:<64} {:>12} {received:<30} {from:<30} {name}", sanitize::name(&file.sha256), file.size));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_wrote_stays_in_the_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let cwd = dir.path();

        for told in ["../../.ssh/authorized_keys", "/etc/authorized_keys", "C:\\x\\authorized_keys", "..\\authorized_keys"] {
            assert_eq!(place(cwd, None, told), (cwd.to_owned(), "authorized_keys".into()), "{told}");
            assert_eq!(place(cwd, Some(cwd), told), (cwd.to_owned(), "authorized_keys".into()), "{told}");
        }
        assert_eq!(place(cwd, Some(Path::new("mine.txt")), "../x"), (cwd.to_owned(), "mine.txt".into()));
    }
}
