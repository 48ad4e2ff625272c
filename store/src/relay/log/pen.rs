//! A batch of publications, written in one transaction: each gets a place, the place that it has already, or a refusal.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use redb::{ReadableTable as _, Table, WriteTransaction};

use super::{Append, Appended, Ends, Use, find};
use crate::error::StoreError;
use crate::relay::rows::{self, Head, Mark};
use crate::relay::tables::{BEGUN, BEGUN_COUNTS, CHANNELS, COMMITS, ChannelRow, EPOCHS, META, PAYERS, ROWS, SHARES, TAGS, USE};

/// The tables while one batch is written. What many appends of a batch change alike is written once, at the end.
pub(super) struct Pen<'t> {
    transaction: &'t WriteTransaction,
    channels: Table<'t, &'static str, ChannelRow>,
    rows: Table<'t, (u64, u64), &'static [u8]>,
    tags: Table<'t, (u64, &'static [u8; 16]), u64>,
    commits: Table<'t, (u64, u64), u64>,
    epochs: Table<'t, (u64, u64, u64), ()>,
    used: Table<'t, (&'static str, u32), (u64, u64)>,
    shares: Table<'t, (u64, u64), u64>,
    heads: HashMap<Arc<str>, (u64, Ends)>,
    spent: HashMap<(Arc<str>, u32), Use>,
    payers: HashMap<Arc<str>, u64>,
    kept: HashMap<(u64, u64), u64>,
}

impl<'t> Pen<'t> {
    pub(super) fn new(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            transaction,
            channels: transaction.open_table(CHANNELS)?,
            rows: transaction.open_table(ROWS)?,
            tags: transaction.open_table(TAGS)?,
            commits: transaction.open_table(COMMITS)?,
            epochs: transaction.open_table(EPOCHS)?,
            used: transaction.open_table(USE)?,
            shares: transaction.open_table(SHARES)?,
            heads: HashMap::new(),
            spent: HashMap::new(),
            payers: HashMap::new(),
            kept: HashMap::new(),
        })
    }

    pub(super) fn write(mut self, batch: &[Append]) -> Result<Vec<Appended>, StoreError> {
        let answers = batch.iter().map(|append| self.append(append)).collect::<Result<_, _>>()?;
        for (name, (id, ends)) in &self.heads {
            self.channels.insert(&**name, (*id, ends.first, ends.last, ends.bytes))?;
        }
        for ((account, month), used) in &self.spent {
            self.used.insert((&**account, *month), (used.messages, used.bytes))?;
        }
        for (whose, bytes) in &self.kept {
            self.shares.insert(whose, bytes)?;
        }
        Ok(answers)
    }

    fn append(&mut self, append: &Append) -> Result<Appended, StoreError> {
        let head = self.head(&append.channel)?;
        if let Some((id, ends)) = head {
            if append.is_tagged
                && let Some(known) = self.tags.get((id, &append.tag))?
            {
                return Ok(Appended::Known(known.value()));
            }
            if append.mark == Mark::Commit
                && let Some(taken) = self.taken(id, ends, append)?
            {
                return Ok(Appended::EpochTaken(taken));
            }
        }
        let spent = self.spent(append)?;
        if spent.messages >= append.messages_per_month {
            return Ok(Appended::NoMessages);
        }
        let size = append.frame.len() as u64;
        let payer = self.payer(&append.account)?;
        let kept = head.map_or(0, |(_, ends)| ends.bytes);
        let own = match head {
            Some((id, _)) if payer > 0 => self.own(id, payer)?,
            _ => 0,
        };
        // An account has no more of a channel than is left of it, so whoever comes next finds room, however many came before.
        let free = append.bytes_per_channel.saturating_sub(kept).checked_sub(size);
        if free.is_none_or(|free| payer > 0 && own + size > free) {
            return Ok(Appended::ChannelFull);
        }
        let (id, mut ends) = match head {
            Some(head) => head,
            None => match self.begin(append)? {
                Some(id) => (id, Ends { first: 1, last: 0, bytes: 0 }),
                None => return Ok(Appended::NoChannels),
            },
        };
        let seq = ends.last + 1;
        let head = Head { at: append.at, mark: append.mark, epoch: append.epoch, tag: append.tag, payer };
        self.rows.insert((id, seq), rows::write(seq, &head, &append.frame).as_slice())?;
        if payer > 0 {
            self.kept.insert((id, payer), own + size);
        }
        if append.is_tagged {
            self.tags.insert((id, &append.tag), seq)?;
        }
        if append.mark == Mark::Commit {
            self.commits.insert((id, seq), append.epoch)?;
            self.epochs.insert((id, append.epoch, seq), ())?;
        }
        ends.last = seq;
        ends.bytes += size;
        self.heads.insert(append.channel.clone(), (id, ends));
        let used = Use { messages: spent.messages + 1, bytes: spent.bytes + size };
        self.spent.insert((append.account.clone(), append.month), used);
        Ok(Appended::At(seq))
    }

    fn head(&self, channel: &Arc<str>) -> Result<Option<(u64, Ends)>, StoreError> {
        match self.heads.get(channel) {
            Some(head) => Ok(Some(*head)),
            None => find(&self.channels, channel),
        }
    }

    /// The place of a commit of the same epoch that the sender has not seen.
    fn taken(&self, id: u64, ends: Ends, append: &Append) -> Result<Option<u64>, StoreError> {
        let from = append.seen.saturating_add(1);
        if from > ends.last {
            return Ok(None);
        }
        // One look, whatever the sender says that it has seen: everybody waits for it.
        let first = self.epochs.range((id, append.epoch, from)..=(id, append.epoch, ends.last))?.next().transpose()?;
        Ok(first.map(|(key, _)| key.value().2))
    }

    fn spent(&mut self, append: &Append) -> Result<Use, StoreError> {
        match self.spent.entry((append.account.clone(), append.month)) {
            Entry::Occupied(spent) => Ok(*spent.get()),
            Entry::Vacant(unread) => {
                let row = self.used.get((&*append.account, append.month))?.map(|row| row.value());
                let used = row.map_or_else(Use::default, |(messages, bytes)| Use { messages, bytes });
                Ok(*unread.insert(used))
            }
        }
    }

    /// The number of an account; 0 for nobody. Given even where what is appended is refused: that is once for each account.
    fn payer(&mut self, account: &Arc<str>) -> Result<u64, StoreError> {
        if account.is_empty() {
            return Ok(0);
        }
        if let Some(number) = self.payers.get(account) {
            return Ok(*number);
        }
        let mut payers = self.transaction.open_table(PAYERS)?;
        let known = payers.get(&**account)?.map(|row| row.value());
        let number = match known {
            Some(number) => number,
            None => {
                let mut meta = self.transaction.open_table(META)?;
                let number = meta.get("payers")?.map_or(0, |row| row.value()) + 1;
                meta.insert("payers", number)?;
                payers.insert(&**account, number)?;
                number
            }
        };
        self.payers.insert(account.clone(), number);
        Ok(number)
    }

    /// What a channel keeps of an account, in bytes.
    fn own(&self, id: u64, payer: u64) -> Result<u64, StoreError> {
        match self.kept.get(&(id, payer)) {
            Some(bytes) => Ok(*bytes),
            None => Ok(self.shares.get((id, payer))?.map_or(0, |row| row.value())),
        }
    }

    /// Gives a channel a number; `None` where its account may begin no more.
    fn begin(&mut self, append: &Append) -> Result<Option<u64>, StoreError> {
        let mut begun = self.transaction.open_table(BEGUN)?;
        let mut counts = self.transaction.open_table(BEGUN_COUNTS)?;
        let known = counts.get(&*append.account)?.map(|row| row.value());
        // Where there is no limit there may be very many, and everybody waits while they are counted.
        let count = match known {
            None if append.channels < u64::MAX => Some(begun.range((&*append.account, 0)..=(&*append.account, u64::MAX))?.count() as u64),
            known => known,
        };
        let may = count.is_none_or(|count| count < append.channels);
        if let Some(count) = count {
            counts.insert(&*append.account, count + u64::from(may))?;
        }
        if !may {
            return Ok(None);
        }
        let mut meta = self.transaction.open_table(META)?;
        let id = meta.get("channels")?.map_or(0, |row| row.value()) + 1;
        meta.insert("channels", id)?;
        begun.insert((&*append.account, id), ())?;
        Ok(Some(id))
    }
}
