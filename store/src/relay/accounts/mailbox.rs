//! Requests are listed and answered; answers are fetched.

use redb::{ReadableTable as _, WriteTransaction};
use toq_protocol::time::Timestamp;

use super::counts::{self, Counted};
use super::invites::of;
use super::joins::{KIND, weight};
use super::tables::{ADMITTED, ANSWERS, CHANNELS, ENDS, JOINS, PACKAGES, PENDING, WELCOMES};
use super::{ChannelRow, Id, Join, JoinRow, Tenant};
use crate::error::StoreError;
use crate::record::Record as _;

/// What the owner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Come in: a Welcome.
    Welcome(Vec<u8>),
    /// Stay out, and why.
    Refused(String),
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is stored, or the same answer was.
    Stored,
    /// There is no such request to this account, or it has ended.
    Unknown,
    /// Another answer was given before; that one stays.
    Otherwise,
    /// As much waits to be fetched as may.
    Full,
}

/// Until when an answer is kept, and how much.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// When it ends.
    pub until: Timestamp,
    /// How many bytes of answers of this account there may be with this one.
    pub most: u64,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has answered it.
    Pending,
    /// The owner has.
    Answered(Answer),
}

impl Tenant {
    /// The unanswered requests to a channel of this account, oldest first and without the first `skip`: at most `most`, and no more key
    /// packages than `bytes` (but one in any case).
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn pending(&self, channel: &str, skip: usize, most: usize, bytes: usize, now: Timestamp) -> Result<Vec<Join>, StoreError> {
        self.desk.read(|reading| {
            let (names, joins, packages) = (reading.open_table(PENDING)?, reading.open_table(JOINS)?, reading.open_table(PACKAGES)?);
            let (mut found, mut size, mut passed) = (Vec::new(), 0, 0);
            for row in names.range(of(channel))? {
                let at = row?.0;
                let (_, _, id) = at.value();
                let (Some(row), Some(package)) = (joins.get(id)?, packages.get(id)?) else { continue };
                let row = JoinRow::from_bytes(row.value())?;
                if row.owner != self.account.0 || row.expires_at <= now.as_nanos() {
                    continue;
                }
                passed += 1;
                if passed <= skip {
                    continue;
                }
                size += package.value().len();
                if found.len() >= most || (size > bytes && !found.is_empty()) {
                    break;
                }
                found.push(Join { id: *id, row, package: package.value().to_vec() });
            }
            Ok(found)
        })
    }

    /// Answers a request to a channel that is this account's now, whoever made the invite.
    ///
    /// A Welcome lets the joiner's account take part in the channel.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn answer(&self, id: Id, answer: Answer, now: Timestamp, keeping: Keeping) -> Result<Answered, StoreError> {
        let account = self.account;
        let size = match &answer {
            Answer::Welcome(welcome) => welcome.len(),
            Answer::Refused(_) => 0,
        };
        let mut lent = self.room.hold(size)?;
        let work = move |tx: &WriteTransaction| {
            let mut joins = tx.open_table(JOINS)?;
            let found = joins.get(&id)?.map(|row| JoinRow::from_bytes(row.value())).transpose()?;
            let found = found.filter(|row| row.owner == account.0 && row.expires_at > now.as_nanos());
            let Some(mut row) = found else { return Ok((Answered::Unknown, None)) };
            let owner = tx.open_table(CHANNELS)?.get(row.channel.as_str())?.map(|row| ChannelRow::from_bytes(row.value())).transpose()?;
            if owner.is_none_or(|channel| channel.account != account.0) {
                return Ok((Answered::Unknown, None));
            }
            let mut welcomes = tx.open_table(WELCOMES)?;
            if row.answered_at.is_some() {
                let is_same = match &answer {
                    Answer::Welcome(welcome) => welcomes.get(&id)?.is_some_and(|row| row.value() == welcome),
                    Answer::Refused(_) => row.refused.is_some(),
                };
                return Ok((if is_same { Answered::Stored } else { Answered::Otherwise }, None));
            }
            let mut answers = tx.open_table(ANSWERS)?;
            let kept = answers.get(&account.0)?.map_or(0, |row| row.value()).saturating_add(weight(size));
            if kept > keeping.most {
                return Ok((Answered::Full, None));
            }
            answers.insert(&account.0, kept)?;
            let was_pending = tx.open_table(PENDING)?.remove((row.channel.as_str(), row.created_at, &id))?.is_some();
            if was_pending {
                counts::less(tx, Counted::Pending, row.channel.as_bytes())?;
            }
            // Nobody needs it any more, and it is the joiner's.
            let package = tx.open_table(PACKAGES)?.remove(&id)?.map_or(0, |package| package.value().len());
            let mut ends = tx.open_table(ENDS)?;
            ends.remove((row.expires_at, KIND, &id))?;
            row.answered_at = Some(now.as_nanos());
            row.expires_at = keeping.until.as_nanos();
            match answer {
                Answer::Welcome(welcome) => {
                    welcomes.insert(&id, welcome.as_slice())?;
                    if row.joiner != row.owner {
                        tx.open_table(ADMITTED)?.insert((row.channel.as_str(), &row.joiner), now.as_nanos())?;
                    }
                }
                Answer::Refused(reason) => row.refused = Some(reason),
            }
            ends.insert((row.expires_at, KIND, &id), ())?;
            joins.insert(&id, row.to_bytes().as_slice())?;
            Ok((Answered::Stored, Some(package)))
        };
        // Where there is nothing in place of the key package, nothing was written.
        let room = self.room.clone();
        let kept = move |(_, package): &(Answered, Option<usize>)| {
            if let Some(package) = package {
                lent.written(size);
                room.give(*package);
            }
        };
        Ok(self.desk.run_then(work, kept).await?.0)
    }

    /// Where a request of this account stands; `None` where it has none of this id, or it has ended.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn standing(&self, id: Id, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.desk.read(|reading| {
            let row = reading.open_table(JOINS)?.get(&id)?.map(|row| JoinRow::from_bytes(row.value())).transpose()?;
            let Some(row) = row.filter(|row| row.joiner == self.account.0 && row.expires_at > now.as_nanos()) else { return Ok(None) };
            if row.answered_at.is_none() {
                return Ok(Some(Standing::Pending));
            }
            if let Some(reason) = row.refused {
                return Ok(Some(Standing::Answered(Answer::Refused(reason))));
            }
            let welcome = reading.open_table(WELCOMES)?.get(&id)?.map(|row| row.value().to_vec());
            Ok(Some(Standing::Answered(Answer::Welcome(welcome.ok_or(StoreError::Record { table: "welcomes" })?))))
        })
    }

    /// Whose channel a request of this account's mailbox is about; `None` where there is none. For waking who waits.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn request(&self, id: Id) -> Result<Option<JoinRow>, StoreError> {
        self.desk.read(|reading| {
            let row = reading.open_table(JOINS)?.get(&id)?.map(|row| JoinRow::from_bytes(row.value())).transpose()?;
            Ok(row.filter(|row| row.owner == self.account.0 || row.joiner == self.account.0))
        })
    }
}
