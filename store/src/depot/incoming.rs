//! Files on their way in, a piece at a time.

use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::sync::PoisonError;

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use toq_protocol::file::{ContentId, Manifest, is_program};

use super::{Depot, DepotError, Note, PIECE, names, open};

/// How many files of one peer may be half here. Beyond that its oldest goes, which it would have to send again.
const MOST_PARTS: usize = 256;

impl Depot {
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
