//! `peers.json`: whom a published daemon has met.
//!
//! It notes what each claimed and proves nothing, so nobody is pinned. An entry that cannot be read is left out, and a
//! file that cannot be read is too: peers make themselves known again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use toq_protocol::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::time::Timestamp;
use toq_store::record::PeerRow;

use super::{Report, TakeoverFailure, line_of};

/// The name of the file in a workspace directory.
pub const FILE: &str = "peers.json";

/// The largest file that is read, in bytes: about 300,000 peers.
const MAX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Peers<'t> {
    #[serde(borrow)]
    peers: BTreeMap<String, &'t RawValue>,
}

#[derive(Deserialize)]
struct Peer {
    address: String,
    first_seen: String,
    last_seen: String,
}

/// Reads the peers of a workspace directory.
pub fn read(dir: &Path, report: &mut Report) -> Result<Vec<(PeerKey, PeerRow)>, TakeoverFailure> {
    let path = dir.join(FILE);
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(MAX + 1).read_to_end(&mut bytes).map_err(TakeoverFailure::file(&path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TakeoverFailure::file(&path)(error)),
    };
    if bytes.len() as u64 > MAX {
        report.leave_out(format!("{}: larger than {MAX} bytes; none of it is used", path.display()));
        return Ok(Vec::new());
    }
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
            report.leave_out(format!("{}:{line}: not UTF-8; none of it is used", path.display()));
            return Ok(Vec::new());
        }
    };
    let peers = match serde_json::from_str::<Peers<'_>>(text) {
        Ok(file) => file.peers,
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            report.leave_out(format!("{}:{line}:{column}: not a list of peers; none of it is used", path.display()));
            return Ok(Vec::new());
        }
    };
    let mut found = Vec::new();
    for (key, value) in peers {
        match peer(&key, value.get()) {
            Ok(peer) => found.push(peer),
            Err(why) => {
                let line = line_of(text, value.get().as_ptr().addr() - text.as_ptr().addr());
                report.leave_out(format!("{}:{line}: {why}", path.display()));
            }
        }
    }
    Ok(found)
}

fn peer(key: &str, value: &str) -> Result<(PeerKey, PeerRow), &'static str> {
    let key = PeerKey::parse(key).map_err(|_| "the peer's name is no key, which looks like ed25519:…")?;
    let peer: Peer = serde_json::from_str(value).map_err(|_| "a peer needs `address`, `first_seen` and `last_seen`")?;
    let address = Address::parse(&peer.address).map_err(|_| "the peer's `address` is no toq address")?;
    let time = |text: &str| Timestamp::parse(text).ok_or("`first_seen` or `last_seen` is no time");
    let row = PeerRow::new(address.written(), time(&peer.first_seen)?);
    Ok((key, PeerRow { last_seen: time(&peer.last_seen)?.as_nanos(), ..row }))
}
