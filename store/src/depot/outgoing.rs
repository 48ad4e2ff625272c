//! Copies of files on their way out, which stay as they were when they were sent.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use sha2::{Digest as _, Sha256};
use toq_protocol::file::{ContentId, Manifest};

use super::{Depot, DepotError, PIECE, names, open};

impl Depot {
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
}

fn leaving(id: &ContentId, transfer: &str) -> String {
    format!("{id}-{transfer}")
}
