//! A log that is gone with the process: what tests run against beside the file.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use toq_store::StoreError;
use toq_store::relay::{Append, Appended, Cut, Ends, Mark, Row, Stretch, Trimmed};

use super::Log;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryLog {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    channels: BTreeMap<String, Channel>,
    published: HashMap<(String, u32), u64>,
}

#[derive(Debug, Default)]
struct Channel {
    begun_by: String,
    rows: BTreeMap<u64, Row>,
    tags: HashMap<[u8; 16], u64>,
    /// Who pays for which row.
    payers: BTreeMap<u64, String>,
    last: u64,
}

impl Channel {
    fn ends(&self) -> Ends {
        let first = self.rows.first_key_value().map_or(self.last + 1, |(seq, _)| *seq);
        Ends { first, last: self.last, bytes: self.rows.values().map(|row| row.frame.len() as u64).sum() }
    }

    /// What is kept, in bytes: altogether and of one account.
    fn kept(&self, account: &str) -> (u64, u64) {
        let is_own = |seq: &u64| self.payers.get(seq).is_some_and(|payer| payer == account);
        let own = self.rows.iter().filter(|(seq, _)| is_own(seq)).map(|(_, row)| row.frame.len() as u64).sum();
        (self.ends().bytes, own)
    }
}

impl Kept {
    fn append(&mut self, append: Append) -> Appended {
        if let Some(channel) = self.channels.get(&*append.channel) {
            if append.is_tagged
                && let Some(seq) = channel.tags.get(&append.tag)
            {
                return Appended::Known(*seq);
            }
            let unseen = (Bound::Excluded(append.seen), Bound::Unbounded);
            let is_rival = |row: &&Row| row.mark == Mark::Commit && row.epoch == append.epoch;
            if append.mark == Mark::Commit
                && append.seen < u64::MAX
                && let Some(row) = channel.rows.range(unseen).map(|(_, row)| row).find(is_rival)
            {
                return Appended::EpochTaken(row.seq);
            }
        }
        let begun = self.channels.values().filter(|channel| *channel.begun_by == *append.account).count() as u64;
        let published = self.published.entry((append.account.to_string(), append.month)).or_default();
        if *published >= append.messages_per_month {
            return Appended::NoMessages;
        }
        let (kept, own) = self.channels.get(&*append.channel).map_or((0, 0), |channel| channel.kept(&append.account));
        let size = append.frame.len() as u64;
        let free = append.bytes_per_channel.saturating_sub(kept).checked_sub(size);
        if free.is_none_or(|free| !append.account.is_empty() && own + size > free) {
            return Appended::ChannelFull;
        }
        if !self.channels.contains_key(&*append.channel) && begun >= append.channels {
            return Appended::NoChannels;
        }
        *published += 1;
        let fresh = || Channel { begun_by: append.account.to_string(), ..Channel::default() };
        let channel = self.channels.entry(append.channel.to_string()).or_insert_with(fresh);
        channel.last += 1;
        let seq = channel.last;
        if append.is_tagged {
            channel.tags.insert(append.tag, seq);
        }
        channel.payers.insert(seq, append.account.to_string());
        let mut frame = append.frame;
        if let Some(place) = frame.last_chunk_mut::<8>() {
            *place = seq.to_be_bytes();
        }
        channel.rows.insert(seq, Row { seq, at: append.at, mark: append.mark, epoch: append.epoch, tag: append.tag, frame });
        Appended::At(seq)
    }
}

impl MemoryLog {
    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn append(&self, batch: Vec<Append>, _now: Duration) -> Result<Vec<Appended>, StoreError> {
        Ok(self.with(|kept| batch.into_iter().map(|append| kept.append(append)).collect()))
    }

    async fn read(&self, channel: &str, after: u64, through: u64, most: usize, most_bytes: usize) -> Result<Stretch, StoreError> {
        Ok(self.with(|kept| {
            let Some(channel) = kept.channels.get(channel) else { return Stretch { rows: Vec::new(), ends: Channel::default().ends() } };
            let mut bytes = 0;
            let fits = |row: &&Row| {
                let is_first = bytes == 0;
                bytes += row.frame.len();
                is_first || bytes <= most_bytes
            };
            let wanted = channel.rows.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, row)| row);
            let rows = wanted.take_while(|row| row.seq <= through).take(most).take_while(fits).cloned().collect();
            Stretch { rows, ends: channel.ends() }
        }))
    }

    async fn commits(&self, channel: &str, most: usize) -> Result<Vec<u64>, StoreError> {
        Ok(self.with(|kept| {
            let rows = kept.channels.get(channel).into_iter().flat_map(|channel| channel.rows.values().rev());
            let mut found: Vec<u64> = rows.filter(|row| row.mark == Mark::Commit).map(|row| row.seq).take(most).collect();
            found.reverse();
            found
        }))
    }

    async fn ends(&self, channel: &str) -> Result<Ends, StoreError> {
        Ok(self.with(|kept| kept.channels.get(channel).map_or_else(|| Channel::default().ends(), Channel::ends)))
    }

    async fn trim(&self, from: Option<String>, cut: Cut) -> Result<Trimmed, StoreError> {
        Ok(self.with(|kept| {
            let mut trimmed = Trimmed { rows: 0, next: None };
            for (looks, (name, channel)) in kept.channels.range_mut(from.unwrap_or_default()..).enumerate() {
                let is_old = |channel: &Channel| channel.rows.first_key_value().is_some_and(|(_, row)| row.at < cut.before);
                while trimmed.rows < cut.rows && is_old(channel) {
                    let Some((seq, _)) = channel.rows.pop_first() else { break };
                    channel.tags.retain(|_, at| *at != seq);
                    channel.payers.remove(&seq);
                    trimmed.rows += 1;
                }
                if looks >= cut.rows || (trimmed.rows >= cut.rows && is_old(channel)) {
                    trimmed.next = Some(name.clone());
                    break;
                }
            }
            trimmed
        }))
    }
}
