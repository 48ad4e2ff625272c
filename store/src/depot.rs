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

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use minicbor::{Decode, Encode};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use toq_protocol::file::{ContentId, Manifest, is_program};

use crate::room::Room;

/// How much is copied or hashed at once.
const PIECE: usize = 256 * 1024;

/// What is on its way for longer is forgotten: no message lives longer.
const LONGEST: i64 = 31 * 24 * 3600;

/// How many files of one peer may be half here. Beyond that its oldest goes, which it would have to send again.
const MOST_PARTS: usize = 256;

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

    /// Sees whether there is room for a file of a peer, and tells how much of it is there. Nothing is on disk for a file before its
    /// first byte.
    ///
    /// # Errors
    /// [`DepotError::Full`] where the rest would not fit.
    pub fn begin(&self, peer: &str, manifest: &Manifest) -> Result<u64, DepotError> {
        let name = part(peer, &manifest.id);
        let mut have = match open(&self.incoming, &name, OFlags::RDONLY) {
            Ok(file) => file.metadata()?.len(),
            Err(Errno::NOENT) => 0,
            Err(error) => return Err(error.into()),
        };
        if have > manifest.size {
            self.discard(peer, &manifest.id);
            have = 0;
        }
        if !self.room.fits(manifest.size - have) {
            return Err(DepotError::Full);
        }
        Ok(have)
    }

    /// Adds bytes to what a peer has sent.
    ///
    /// # Errors
    /// [`DepotError::Misplaced`] where they do not continue it or go beyond its size, [`DepotError::Program`] where the file turns
    /// out to be one.
    pub fn append(&self, peer: &str, manifest: &Manifest, offset: u64, bytes: &[u8]) -> Result<(), DepotError> {
        let name = part(peer, &manifest.id);
        let there = match open(&self.incoming, &name, OFlags::WRONLY) {
            Ok(file) => Some(file),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        let have = there.as_ref().map_or(Ok(0), |file| file.metadata().map(|metadata| metadata.len()))?;
        if offset != have || bytes.len() as u64 > manifest.size.saturating_sub(have) {
            return Err(DepotError::Misplaced);
        }
        if have == 0 && is_program(bytes) {
            self.discard(peer, &manifest.id);
            return Err(DepotError::Program);
        }
        if !self.room.fits(bytes.len() as u64) {
            return Err(DepotError::Full);
        }
        let file = match there {
            Some(file) => file,
            None => {
                self.bound_parts(peer)?;
                open(&self.incoming, &name, OFlags::WRONLY | OFlags::CREATE)?
            }
        };
        file.write_all_at(bytes, offset)?;
        self.room.add_files(bytes.len() as u64);
        Ok(())
    }

    /// Makes a place for one more part of a peer.
    fn bound_parts(&self, peer: &str) -> Result<(), DepotError> {
        let own = parts(peer);
        let mut parts = Vec::new();
        for name in names(&self.incoming)?.into_iter().filter(|name| name.starts_with(&own)) {
            // One that has just been settled is gone.
            if let Ok(stat) = rustix::fs::statat(&self.incoming, &name, AtFlags::SYMLINK_NOFOLLOW) {
                parts.push(((stat.st_mtime, stat.st_mtime_nsec), name));
            }
        }
        parts.sort_unstable();
        let excess = (parts.len() + 1).saturating_sub(MOST_PARTS);
        for (_, name) in parts.into_iter().take(excess) {
            tracing::warn!(part = name, "a peer has begun too many files; its oldest is given up");
            rustix::fs::unlinkat(&self.incoming, &name, AtFlags::empty())?;
        }
        if excess > 0 {
            self.recount();
        }
        Ok(())
    }

    /// Checks a file that has come whole and gives it its name. What the peer sent stays until [`Depot::settle`], so that
    /// a crash in between costs nothing.
    ///
    /// # Errors
    /// [`DepotError::Corrupt`] and [`DepotError::Program`]; the bytes are gone then.
    pub fn finish(&self, peer: &str, manifest: &Manifest, from: &str, at: i64) -> Result<(), DepotError> {
        let name = part(peer, &manifest.id);
        if manifest.size == 0 {
            drop(open(&self.incoming, &name, OFlags::WRONLY | OFlags::CREATE)?);
        }
        let mut file = open(&self.incoming, &name, OFlags::RDONLY)?;
        let (mut hash, mut size, mut beginning) = (Sha256::new(), 0, Vec::new());
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            let bytes = piece.get(..read).unwrap_or_default();
            if size == 0 {
                beginning = bytes.iter().copied().take(16).collect();
            }
            hash.update(bytes);
            size += read as u64;
        }
        let is_true = size == manifest.size && <[u8; 32]>::from(hash.finalize()) == manifest.id.0;
        if !is_true || is_program(&beginning) {
            self.discard(peer, &manifest.id);
            return Err(if is_true { DepotError::Program } else { DepotError::Corrupt });
        }
        file.sync_all()?;
        let _both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        self.note(&manifest.id, &Note { name: manifest.name.clone(), from: from.to_owned(), at })?;
        match rustix::fs::linkat(&self.incoming, &name, &self.whole, manifest.id.to_string(), AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(rustix::fs::fsync(&self.whole)?)
    }

    /// What the peer sent is kept under its hash and noted in the log.
    pub fn settle(&self, peer: &str, id: &ContentId) {
        self.discard(peer, id);
    }

    fn discard(&self, peer: &str, id: &ContentId) {
        if let Err(error) = rustix::fs::unlinkat(&self.incoming, part(peer, id), AtFlags::empty())
            && error != Errno::NOENT
        {
            tracing::warn!(%error, %id, "a part of a file cannot be removed");
        }
        self.recount();
    }

    /// Copies one of the owner's files, to be sent as it is now.
    ///
    /// # Errors
    /// Where it cannot be read or is no file, or does not fit.
    pub fn adopt(&self, path: &Path, transfer: &str) -> Result<(ContentId, u64), DepotError> {
        // Without NONBLOCK a named pipe would keep this thread.
        let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty());
        let mut source = File::from(opened.map_err(|error| DepotError::Unread(error.into()))?);
        let metadata = source.metadata().map_err(DepotError::Unread)?;
        if !metadata.is_file() {
            return Err(DepotError::Unread(io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file")));
        }
        if !self.room.fits(metadata.len()) {
            return Err(DepotError::Full);
        }
        let temporary = format!("new-{transfer}");
        let copied = self.copy(&mut source, &temporary);
        let (id, size) = match copied {
            Ok(copied) => copied,
            Err(error) => {
                let _gone = rustix::fs::unlinkat(&self.outgoing, &temporary, AtFlags::empty());
                self.recount();
                return Err(error);
            }
        };
        rustix::fs::renameat(&self.outgoing, &temporary, &self.outgoing, leaving(&id, transfer))?;
        rustix::fs::fsync(&self.outgoing)?;
        Ok((id, size))
    }

    fn copy(&self, source: &mut File, name: &str) -> Result<(ContentId, u64), DepotError> {
        let mut copy = open(&self.outgoing, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        let (mut hash, mut size) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE];
        loop {
            let read = source.read(&mut piece).map_err(DepotError::Unread)?;
            if read == 0 {
                break;
            }
            if !self.room.fits(read as u64) {
                return Err(DepotError::Full);
            }
            let bytes = piece.get(..read).unwrap_or_default();
            hash.update(bytes);
            copy.write_all(bytes)?;
            self.room.add_files(read as u64);
            size += read as u64;
        }
        copy.sync_all()?;
        Ok((ContentId(hash.finalize().into()), size))
    }

    /// Reads from a copy that is being sent, at most `most` bytes.
    ///
    /// # Errors
    /// Where it is not there any more.
    pub fn read_outgoing(&self, manifest: &Manifest, offset: u64, most: usize) -> Result<Vec<u8>, DepotError> {
        let file = open(&self.outgoing, &leaving(&manifest.id, &manifest.transfer), OFlags::RDONLY)?;
        let left = usize::try_from(manifest.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(most)];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// A file was sent, or never will be.
    pub fn drop_outgoing(&self, manifest: &Manifest) {
        let _gone = rustix::fs::unlinkat(&self.outgoing, leaving(&manifest.id, &manifest.transfer), AtFlags::empty());
        self.recount();
    }

    /// Whether anything is on its way out.
    pub(crate) fn has_outgoing(&self) -> Result<bool, DepotError> {
        Ok(!names(&self.outgoing)?.is_empty())
    }

    /// Drops what is on its way out and is none of these: a copy whose message a crash kept from being accepted.
    pub(crate) fn keep_outgoing(&self, sent: &[Manifest]) -> Result<(), DepotError> {
        let sent: HashSet<String> = sent.iter().map(|manifest| leaving(&manifest.id, &manifest.transfer)).collect();
        for name in names(&self.outgoing)?.into_iter().filter(|name| !sent.contains(name)) {
            tracing::warn!(copy = name, "a copy of a file that no message names is removed");
            rustix::fs::unlinkat(&self.outgoing, &name, AtFlags::empty())?;
        }
        self.recount();
        Ok(())
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

fn part(peer: &str, id: &ContentId) -> String {
    format!("{}{id}", parts(peer))
}

/// How the names of all parts of a peer begin.
fn parts(peer: &str) -> String {
    // A key's text has characters that a name may not have.
    let digest: [u8; 32] = Sha256::digest(peer.as_bytes()).into();
    format!("{}-", ContentId(digest))
}

fn leaving(id: &ContentId, transfer: &str) -> String {
    format!("{id}-{transfer}")
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
