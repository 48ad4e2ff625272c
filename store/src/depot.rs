//! Files on disk: those that came whole, those that are on their way in, and copies of those on their way out.
//!
//! Everything is named by hashes and keys, never by what a peer wrote, and opened inside a directory handle without following
//! links. A file appears under its hash when its size and hash are true. Calls block.
//!
//! ```text
//! files/<sha256>                    whole
//! files/notes/<sha256>              who sent it under which name
//! files/incoming/<peer>-<sha256>    what a peer has sent of it so far; nobody else's bytes are added to it
//! files/outgoing/<sha256>-<transfer>  what is being sent, until that is settled
//! ```

mod incoming;
mod outgoing;

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use minicbor::{Decode, Encode};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use toq_protocol::file::ContentId;

use crate::room::Room;

/// How much is copied or hashed at once.
const PIECE: usize = 256 * 1024;

/// What is on its way for longer is forgotten: no message lives longer.
const LONGEST: i64 = 31 * 24 * 3600;

/// Why something was not done with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepotError {
    /// The bytes are not those that were announced.
    #[error("the file has another hash than was announced")]
    Corrupt,
    /// There is no room for it.
    #[error("there is no room for the file")]
    Full,
    /// The disk failed, or what is there is not an ordinary file.
    #[error("the file cannot be stored: {0}")]
    Io(#[from] io::Error),
    /// The bytes do not continue what is there.
    #[error("the bytes do not continue what is there")]
    Misplaced,
    /// It is a program.
    #[error("the file is a program")]
    Program,
    /// A file of the owner's cannot be read, or is no ordinary file.
    #[error("the file cannot be read: {0}")]
    Unread(io::Error),
}

impl From<Errno> for DepotError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A file that is whole.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its hash.
    pub id: ContentId,
    /// Its size in bytes.
    pub size: u64,
    /// The name that its sender gave it; not one to save it under.
    pub name: String,
    /// The address that sent it, as it claims.
    pub from: String,
    /// When it came, in nanoseconds since 1970.
    pub at: i64,
}

#[derive(Debug, Decode, Encode)]
struct Note {
    #[n(0)]
    name: String,
    #[n(1)]
    from: String,
    #[n(2)]
    at: i64,
}

/// The files of a workspace.
#[derive(Debug)]
pub struct Depot {
    whole: OwnedFd,
    notes: OwnedFd,
    incoming: OwnedFd,
    outgoing: OwnedFd,
    room: Arc<Room>,
    /// Held where a file and its note change together.
    both: Mutex<()>,
}

impl Depot {
    /// Opens the depot in `dir`, which is made if it is not there; `now` is the time in seconds since 1970.
    ///
    /// # Errors
    /// Where a directory cannot be made or is a link.
    pub fn open(dir: &Path, room: Arc<Room>, now: i64) -> Result<Self, DepotError> {
        let mode = Mode::RWXU;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let made = |result: Result<(), Errno>| if result == Err(Errno::EXIST) { Ok(()) } else { result };
        made(rustix::fs::mkdir(dir, mode))?;
        let whole = rustix::fs::open(dir, flags, Mode::empty())?;
        let inner = |name: &str| -> Result<OwnedFd, DepotError> {
            made(rustix::fs::mkdirat(&whole, name, mode))?;
            Ok(rustix::fs::openat(&whole, name, flags, Mode::empty())?)
        };
        let (notes, incoming, outgoing) = (inner("notes")?, inner("incoming")?, inner("outgoing")?);
        let depot = Self { whole, notes, incoming, outgoing, room, both: Mutex::new(()) };
        depot.forget_old(now)?;
        depot.recount();
        Ok(depot)
    }

    /// Every file that came whole, the newest first.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>, DepotError> {
        let mut kept: Vec<Kept> = names(&self.whole)?.iter().filter_map(|name| self.kept(&ContentId::parse(name)?)).collect();
        kept.sort_by_key(|kept| (std::cmp::Reverse(kept.at), kept.id));
        Ok(kept)
    }

    /// What is known of a file; `None` where there is none.
    #[must_use]
    pub fn kept(&self, id: &ContentId) -> Option<Kept> {
        let size = self.open_whole(id).ok()?.metadata().ok()?.len();
        let mut bytes = Vec::new();
        let noted =
            open(&self.notes, &id.to_string(), OFlags::RDONLY).ok().and_then(|file| file.take(64 * 1024).read_to_end(&mut bytes).ok());
        let note = noted.and_then(|_| minicbor::decode::<Note>(&bytes).ok());
        let note = note.unwrap_or(Note { name: String::new(), from: String::new(), at: 0 });
        Some(Kept { id: *id, size, name: note.name, from: note.from, at: note.at })
    }

    /// Opens a file that came whole.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open_whole(&self, id: &ContentId) -> Result<File, DepotError> {
        Ok(open(&self.whole, &id.to_string(), OFlags::RDONLY)?)
    }

    /// Deletes a file that came whole, with what is known of it; false where there is none. It is gone with its name in the
    /// directory; a note that a crash leaves behind is removed when the depot is opened.
    ///
    /// # Errors
    /// Where it cannot be deleted; it is there then.
    pub fn remove(&self, id: &ContentId) -> Result<bool, DepotError> {
        let _both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        let name = id.to_string();
        match rustix::fs::unlinkat(&self.whole, &name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        rustix::fs::fsync(&self.whole)?;
        self.forget_note(&name)?;
        self.recount();
        Ok(true)
    }

    fn forget_note(&self, name: &str) -> Result<(), Errno> {
        match rustix::fs::unlinkat(&self.notes, name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn note(&self, id: &ContentId, note: &Note) -> Result<(), DepotError> {
        let bytes = minicbor::to_vec(note).map_err(|error| io::Error::other(error.to_string()))?;
        let (temporary, name) = (format!("new-{id}"), id.to_string());
        let mut file = open(&self.notes, &temporary, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(rustix::fs::renameat(&self.notes, &temporary, &self.notes, &name)?)
    }

    fn forget_old(&self, now: i64) -> Result<(), DepotError> {
        for name in names(&self.notes)? {
            // A file that has come whole and is not linked yet is linked when its message comes again, with a new note.
            if rustix::fs::statat(&self.whole, &name, AtFlags::SYMLINK_NOFOLLOW).err() == Some(Errno::NOENT) {
                self.forget_note(&name)?;
            }
        }
        for dir in [&self.incoming, &self.outgoing] {
            for name in names(dir)? {
                let stat = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
                if name.starts_with("new-") || now.saturating_sub(stat.st_mtime) > LONGEST {
                    rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
                }
            }
        }
        Ok(())
    }

    /// Counts what all files take up.
    fn recount(&self) {
        let sizes = [&self.whole, &self.incoming, &self.outgoing].into_iter().flat_map(|dir| {
            let names = names(dir).unwrap_or_default();
            names.into_iter().filter_map(move |name| {
                let stat = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                // One that has just been linked is counted once.
                is_file.then(|| u64::try_from(stat.st_size).unwrap_or(0) / if stat.st_nlink > 1 { 2 } else { 1 })
            })
        });
        self.room.set_files(sizes.sum());
    }
}

fn open(dir: &OwnedFd, name: &str, flags: OFlags) -> Result<File, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?))
}

fn names(dir: &OwnedFd) -> Result<Vec<String>, Errno> {
    let text = |name: &CStr| name.to_str().ok().filter(|name| !name.starts_with('.')).map(str::to_owned);
    let entries = Dir::read_from(dir)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.iter().filter_map(|entry| text(entry.file_name())).collect())
}
