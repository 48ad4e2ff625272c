//! Rows that are there because of strangers, of which there are never more than so many.
//!
//! What an attacker would try: come with ever new keys, to fill the disk or to push out what the owner should see.

use redb::{ReadableTable as _, ReadableTableMetadata as _};
use toq_protocol::key::PeerKey;

use super::Tables;
use crate::batch::Alarm;
use crate::error::StoreError;
use crate::record::{AlarmRow, Record as _, TurnedAwayRow};

/// How many wait for a word that they may come in: as many as may ask.
pub const MAX_TURNED_AWAY: u64 = 1_000;

/// How many alarms are kept about keys that are known, and how many about others: more than somebody reads.
pub const MAX_ALARMS: usize = 32;

impl Tables<'_> {
    pub(super) fn turn_away(&mut self, key: &PeerKey, row: &TurnedAwayRow) -> Result<(), StoreError> {
        let table = self.turned_away.open()?;
        table.insert(key.as_bytes(), row.to_bytes().as_slice())?;
        if table.len()? <= MAX_TURNED_AWAY {
            return Ok(());
        }
        let mut oldest: Option<(i64, [u8; 32])> = None;
        for entry in table.iter()? {
            let (key, bytes) = entry?;
            // What cannot be read goes first.
            let found = (TurnedAwayRow::from_bytes(bytes.value()).map_or(i64::MIN, |row| row.at), *key.value());
            oldest = Some(oldest.map_or(found, |oldest| oldest.min(found)));
        }
        if let Some((_, key)) = oldest {
            table.remove(&key)?;
        }
        Ok(())
    }

    pub(super) fn alarm(&mut self, alarm: &Alarm) -> Result<(), StoreError> {
        let table = self.alarms.open()?;
        let (key, at) = (alarm.key.as_bytes(), alarm.at.as_nanos());
        let earlier = table.get((key, alarm.reason.as_str()))?.and_then(|bytes| AlarmRow::from_bytes(bytes.value()).ok());
        let row = AlarmRow {
            address: alarm.address.clone(),
            first: earlier.as_ref().map_or(at, |row| row.first),
            last: at,
            count: earlier.as_ref().map_or(0, |row| row.count).saturating_add(1),
            is_known: alarm.is_known,
        };
        table.insert((key, alarm.reason.as_str()), row.to_bytes().as_slice())?;
        if earlier.is_some_and(|earlier| earlier.is_known == row.is_known) {
            return Ok(());
        }
        let (mut count, mut oldest): (usize, Option<(i64, [u8; 32], String)>) = (0, None);
        for entry in table.iter()? {
            let (place, bytes) = entry?;
            let Ok(other) = AlarmRow::from_bytes(bytes.value()) else { continue };
            if other.is_known != row.is_known {
                continue;
            }
            count += 1;
            let (key, reason) = place.value();
            if oldest.as_ref().is_none_or(|(last, ..)| other.last < *last) {
                oldest = Some((other.last, *key, reason.to_owned()));
            }
        }
        if let Some((_, key, reason)) = oldest.filter(|_| count > MAX_ALARMS) {
            table.remove((&key, reason.as_str()))?;
        }
        Ok(())
    }
}
