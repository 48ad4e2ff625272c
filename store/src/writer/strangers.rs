//! Rows that are there because of strangers, of which there are never more than so many.
//!
//! What an attacker would try: come with ever new keys, to fill the disk or to push out what the owner should see.

use std::collections::{HashMap, VecDeque};

use redb::{ReadableTable as _, ReadableTableMetadata as _};
use toq_protocol::key::PeerKey;
use toq_protocol::message::MAX_SKEW;
use toq_protocol::time::Timestamp;

use super::Tables;
use crate::batch::{Alarm, Sort};
use crate::error::StoreError;
use crate::record::{AlarmRow, EventRow, Record as _, TurnedAwayRow};

/// How many wait for a word that they may come in: as many as may ask.
pub const MAX_TURNED_AWAY: u64 = 1_000;

/// How many alarms are kept about keys that are known, and how many about others: more than somebody reads.
pub const MAX_ALARMS: usize = 32;

/// How many events are kept of each sort that strangers cause: some pages of a list.
pub const MAX_STRANGERS_EVENTS: usize = 128;

/// How many challenges are kept of agents that are not let in: a few for each that may wait.
pub const MAX_KNOCKS: u64 = 1_024;

/// How many of them are forgotten at a time.
const KNOCKS_AT_ONCE: usize = 256;

/// The place of a knock: when, and the digest of its challenge.
type Knock = (i64, [u8; 32]);

impl Tables<'_> {
    pub(super) fn challenge(&mut self, digest: &[u8; 32], at: Timestamp) -> Result<(), StoreError> {
        self.challenges.open()?.insert(digest, at.as_nanos())?;
        self.challenge_ages.open()?.insert((at.as_nanos(), digest), ())?;
        Ok(())
    }

    /// Remembers a challenge that let nobody in.
    pub(super) fn knock(&mut self, digest: &[u8; 32], key: &PeerKey, at: Timestamp) -> Result<(), StoreError> {
        self.challenge(digest, at)?;
        self.knocks.open()?.insert((at.as_nanos(), digest), key.as_bytes())?;
        if self.knocks.open()?.len()? > MAX_KNOCKS {
            for (at, digest) in self.forgettable_knocks(at)? {
                self.knocks.open()?.remove((at, &digest))?;
                self.challenge_ages.open()?.remove((at, &digest))?;
                self.challenges.open()?.remove(&digest)?;
            }
        }
        Ok(())
    }

    /// Which knocks may be forgotten, the oldest first: those whose envelope is stale by now, since the session refuses a repetition of
    /// them; and those of keys of which nothing is left, neither a question nor an answer. A repetition of one of these is
    /// the first handshake that has any effect, as if it had been delayed on its way. Only where there are none, those go that know
    /// most of one key, which has made all of them itself.
    fn forgettable_knocks(&mut self, now: Timestamp) -> Result<Vec<Knock>, StoreError> {
        // Written up to so much later than it came, and timely for so long after that.
        let stale = now.minus(MAX_SKEW * 2).as_nanos();
        let rows: Vec<(Knock, [u8; 32])> = self
            .knocks
            .open()?
            .iter()?
            .map(|entry| entry.map(|(place, key)| ((place.value().0, *place.value().1), *key.value())))
            .collect::<Result<_, _>>()?;
        let (mut known, mut found): (HashMap<[u8; 32], bool>, Vec<Knock>) = (HashMap::new(), Vec::new());
        let mut others: HashMap<[u8; 32], VecDeque<Knock>> = HashMap::new();
        for (place, key) in rows {
            if found.len() == KNOCKS_AT_ONCE {
                return Ok(found);
            }
            let is_known = match known.get(&key) {
                Some(is_known) => *is_known,
                None => *known.entry(key).or_insert(self.is_known(&key)?),
            };
            if place.0 < stale || !is_known {
                found.push(place);
            } else {
                others.entry(key).or_default().push_back(place);
            }
        }
        if found.is_empty() {
            for _ in 0..KNOCKS_AT_ONCE {
                found.extend(others.values_mut().max_by_key(|places| places.len()).and_then(VecDeque::pop_front));
            }
        }
        Ok(found)
    }

    /// Whether anything is known of a key: that it asks, that it was told no, or that it was let in.
    fn is_known(&mut self, key: &[u8; 32]) -> Result<bool, StoreError> {
        Ok(self.approvals.open()?.get(key)?.is_some()
            || self.turned_away.open()?.get(key)?.is_some()
            || self.peers.open()?.get(key)?.is_some())
    }

    /// Appends an event and deletes the oldest of its sort where there are too many.
    pub(super) fn strangers_event(&mut self, sort: Sort, event: &EventRow) -> Result<(), StoreError> {
        let (sort, seq) = (sort as u8, self.next_seq);
        self.event(event)?;
        let places = self.strangers_events.open()?;
        places.insert((sort, seq), ())?;
        let beyond = places.range((sort, 0)..=(sort, u64::MAX))?.rev().nth(MAX_STRANGERS_EVENTS).transpose()?;
        if let Some(oldest) = beyond.map(|(place, _)| place.value().1) {
            places.remove((sort, oldest))?;
            self.events.open()?.remove(oldest)?;
        }
        Ok(())
    }

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
