//! Takes out what makes an agent.

use std::io;
use std::path::Path;

use toq_protocol::time::Timestamp;
use toq_store::record::{PeerRow, Record as _};
use toq_store::{Reader, Seq};
use toq_vault::backup::{BackupError, Bundle, KnownPeer, LogRecord, MAX_FILE, Passphrase, Trust, seal};
use toq_vault::{ROTATIONS, VaultError, read_seed};
use zeroize::Zeroizing;

use super::{BackupFailure, trust};

/// The kind of a log record that holds a message and what became of it.
pub const MESSAGES: &str = "messages";

/// How many rows are read at once.
pub const PAGE: usize = 512;

/// What to do about a backup that would be too large.
pub const FEWER: &str = "leave out `--messages` (in the API: messages), and copy the stopped workspace if they matter";

/// Whether messages go with the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// They do.
    Included,
    /// They stay.
    LeftOut,
}

/// Seals the workspace in `dir`, whose log is read by `reader`, if it has one.
pub fn export(dir: &Path, reader: Option<&Reader>, messages: Messages, passphrase: &Passphrase) -> Result<String, BackupFailure> {
    Ok(seal(&gather(dir, reader, messages)?, passphrase)?)
}

fn gather(dir: &Path, reader: Option<&Reader>, messages: Messages) -> Result<Bundle, BackupFailure> {
    let keys = dir.join("keys");
    let missing = |name: &str| {
        let path = keys.join(name);
        BackupFailure::Vault(VaultError::Malformed { path, expected: "there" })
    };
    let mut bundle = Bundle {
        seed: read_seed(&keys.join("identity.key"))?.ok_or_else(|| missing("identity.key"))?,
        tls_cert: text(&keys.join("tls_cert.pem"))?,
        tls_key: Zeroizing::new(text(&keys.join("tls_key.pem"))?),
        config: Zeroizing::new(text(&dir.join(toq_config::FILE))?),
        handlers: optional_text(&dir.join("handlers.toml"))?.map(Zeroizing::new),
        rules: Some(Vec::new()),
        peers: Vec::new(),
        trust: Trust::default(),
        rotations: optional_text(&keys.join(ROTATIONS))?,
        log: Vec::new(),
    };
    if let Some(reader) = reader {
        bundle.rules = Some(reader.rules()?);
        bundle.peers = reader.peers()?.into_iter().map(peer).collect();
        bundle.trust = trust::known(reader)?;
        if messages == Messages::Included {
            bundle.log = records(reader)?;
        }
    }
    Ok(bundle)
}

fn peer((key, row): (toq_protocol::PeerKey, PeerRow)) -> KnownPeer {
    let (first_seen, last_seen) = (Timestamp::from_nanos(row.first_seen), Timestamp::from_nanos(row.last_seen));
    KnownPeer { key, address: row.address, first_seen, last_seen }
}

fn records(reader: &Reader) -> Result<Vec<LogRecord>, BackupFailure> {
    let (mut records, mut place, mut size) = (Vec::new(), Seq(0), 0);
    loop {
        let page = reader.messages_after(place, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(records) };
        place = *last;
        for (seq, row) in page {
            let Some(entry) = reader.entry(seq)? else { continue };
            let parts = vec![row.to_bytes(), entry.state.to_bytes()];
            size += parts.iter().map(|part| part.len().div_ceil(3) * 4).sum::<usize>() + 64;
            if size > MAX_FILE {
                return Err(BackupError::TooLarge { size }.into());
            }
            records.push(LogRecord { table: MESSAGES.to_owned(), parts });
        }
    }
}

fn text(path: &Path) -> Result<String, BackupFailure> {
    std::fs::read_to_string(path).map_err(BackupFailure::file("read", path))
}

/// The text of a file, if there is one.
pub fn optional_text(path: &Path) -> Result<Option<String>, BackupFailure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupFailure::file("read", path)(error)),
    }
}
