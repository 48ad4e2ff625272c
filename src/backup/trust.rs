//! Joins what a backup knows of other agents' keys with what the workspace knows.
//!
//! What is known here wins: it is newer or it is the same. Otherwise an old backup, or one that somebody else has
//! prepared, would quietly replace a key that was met since. What stays for that reason is told by name.

use std::collections::BTreeMap;

use toq_api::KeptHere;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::Proof;
use toq_protocol::rotation::{Succession, Successions};
use toq_protocol::time::Timestamp;
use toq_store::batch::Change;
use toq_store::record::{self, PeerRow, PinRow, RotationRow};
use toq_store::{Reader, StoreError};
use toq_vault::backup::{KnownPeer, Pin, Proven, Trust};

/// What an import does to what is known of keys.
#[derive(Debug, Default)]
pub struct Joined {
    /// What is written.
    pub changes: Vec<Change>,
    /// What stays as it is here, although the backup says otherwise.
    pub kept: Vec<KeptHere>,
}

/// Takes out what a log knows of other agents' keys.
pub fn known(reader: &Reader) -> Result<Trust, StoreError> {
    let pin = |row: PinRow| {
        let address = Address::parse(&row.address).ok()?;
        let (key, proof) = (row.peer(), record::Proof::read(row.proof));
        Some(Pin { address, key, proof, since: Timestamp::from_nanos(row.since) })
    };
    let proven = |(key, row): (PeerKey, PeerRow)| {
        let proven = Proven { key, proof: record::Proof::read(row.proof), binds: row.binds == Some(true) };
        (proven.binds || proven.proof != Proof::Claimed).then_some(proven)
    };
    Ok(Trust {
        pins: reader.pins()?.into_iter().filter_map(pin).collect(),
        proven: reader.peers()?.into_iter().filter_map(proven).collect(),
        successions: reader.rotations()?.into_iter().map(|(old, row)| (old, succession(&row))).collect(),
    })
}

/// Says what of `peers` and `trust` is written into the log that `reader` reads, or into a new one.
pub fn join(reader: Option<&Reader>, peers: &[KnownPeer], trust: &Trust) -> Result<Joined, StoreError> {
    let mut joined = Joined::default();
    join_peers(reader, peers, &trust.proven, &mut joined)?;
    join_pins(reader, &trust.pins, &mut joined)?;
    join_successions(reader, &trust.successions, &mut joined)?;
    Ok(joined)
}

fn join_peers(reader: Option<&Reader>, peers: &[KnownPeer], proven: &[Proven], joined: &mut Joined) -> Result<(), StoreError> {
    let proven: BTreeMap<&[u8; 32], &Proven> = proven.iter().map(|proven| (proven.key.as_bytes(), proven)).collect();
    for peer in peers {
        let proven = proven.get(peer.key.as_bytes());
        let (first_seen, last_seen) = (peer.first_seen.as_nanos(), peer.last_seen.as_nanos());
        let coming = PeerRow {
            address: peer.address.clone(),
            first_seen,
            last_seen,
            proof: proven.and_then(|proven| record::Proof::of(proven.proof)),
            binds: proven.filter(|proven| proven.binds).map(|_| true),
        };
        let here = match reader {
            Some(reader) => reader.peer(&peer.key)?,
            None => None,
        };
        let row = match here {
            None => coming,
            Some(here) => {
                if here.address != coming.address {
                    joined.keep("peer", &peer.key.to_string(), &here.address, &coming.address);
                }
                PeerRow {
                    first_seen: here.first_seen.min(first_seen),
                    last_seen: here.last_seen.max(last_seen),
                    // Whoever has bound a session once must do so ever after, whichever of the two remembers it.
                    binds: here.binds.or(coming.binds),
                    ..here
                }
            }
        };
        joined.changes.push(Change::Peer(peer.key, row));
    }
    Ok(())
}

fn join_pins(reader: Option<&Reader>, pins: &[Pin], joined: &mut Joined) -> Result<(), StoreError> {
    for pin in pins {
        let here = match reader {
            Some(reader) => reader.pin(&pin.address)?,
            None => None,
        };
        match here {
            Some(here) if here.peer() != pin.key => {
                joined.keep("pin", &pin.address.wire(), &here.peer().to_string(), &pin.key.to_string());
            }
            Some(_) => {}
            None => {
                let row = PinRow {
                    address: pin.address.written(),
                    key: *pin.key.as_bytes(),
                    proof: record::Proof::of(pin.proof),
                    since: pin.since.as_nanos(),
                };
                joined.changes.push(Change::Pin(pin.address.clone(), row));
            }
        }
    }
    Ok(())
}

fn join_successions(reader: Option<&Reader>, coming: &[(PeerKey, Succession)], joined: &mut Joined) -> Result<(), StoreError> {
    let rows = reader.map(Reader::rotations).transpose()?.unwrap_or_default();
    let mut by_old: BTreeMap<[u8; 32], PeerKey> = BTreeMap::new();
    let mut known = Successions::default();
    for (old, row) in rows {
        by_old.insert(*old.as_bytes(), PeerKey::from_bytes(row.new));
        known.add(old, succession(&row));
    }
    for (old, succession) in coming {
        let here = by_old.get(old.as_bytes());
        if here == Some(&succession.new) {
            continue;
        }
        // A key has one successor and one predecessor, and none of them comes back.
        if here.is_some() || known.predecessor(&succession.new).is_some() || known.leads(&succession.new, old) {
            let here = here.map_or_else(|| "another succession".to_owned(), ToString::to_string);
            joined.keep("succession", &old.to_string(), &here, &succession.new.to_string());
            continue;
        }
        by_old.insert(*old.as_bytes(), succession.new);
        known.add(*old, *succession);
        let row =
            RotationRow { new: *succession.new.as_bytes(), counter: succession.counter, retires_at: succession.retires_at.as_nanos() };
        joined.changes.push(Change::AddRotation(*old, row));
    }
    Ok(())
}

const fn succession(row: &RotationRow) -> Succession {
    Succession { new: PeerKey::from_bytes(row.new), counter: row.counter, retires_at: Timestamp::from_nanos(row.retires_at) }
}

impl Joined {
    fn keep(&mut self, kind: &str, subject: &str, here: &str, backup: &str) {
        let [kind, subject, here, backup] = [kind, subject, here, backup].map(str::to_owned);
        self.kept.push(KeptHere { kind, subject, here, backup });
    }
}
