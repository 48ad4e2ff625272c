//! What consumers were offered, and what is set aside because it was offered too often.

use redb::ReadableTable as _;
use toq_protocol::time::Timestamp;

use super::Tables;
use crate::Seq;
use crate::error::StoreError;
use crate::record::{ConsumerRow, EventRow, MessageRow, Record as _, SetAsideRow};

impl Tables<'_> {
    pub(super) fn take_back(&mut self, name: &str, messages: &[Seq]) -> Result<(), StoreError> {
        for seq in messages {
            let offered = self.offers.open()?.get((name, seq.0))?.map_or(0, |count| count.value());
            match offered {
                0 | 1 => drop(self.offers.open()?.remove((name, seq.0))?),
                more => drop(self.offers.open()?.insert((name, seq.0), more - 1)?),
            }
        }
        Ok(())
    }

    pub(super) fn set_aside(&mut self, name: &str, seq: Seq, reason: &str, at: Timestamp) -> Result<(), StoreError> {
        let attempts = self.offers.open()?.get((name, seq.0))?.map_or(0, |count| count.value());
        let row = SetAsideRow { reason: reason.to_owned(), attempts, at: at.as_nanos() };
        self.set_aside.open()?.insert((name, seq.0), row.to_bytes().as_slice())?;
        // A row that cannot be read is set aside for just that; it must not take the whole transaction with it.
        let row = self.messages.get(seq.0)?.and_then(|bytes| MessageRow::from_bytes(bytes.value()).ok());
        self.event(&EventRow {
            kind: "handler.set_aside".to_owned(),
            subject: row.as_ref().map(|row| row.id().to_string()).unwrap_or_default(),
            address: row.and_then(|row| row.message().ok()).map(|message| message.from.wire()),
            reason: Some(reason.to_owned()),
            timestamp: at.as_nanos(),
        })?;
        self.confirm(name, &[seq])
    }

    pub(super) fn forget_offers(&mut self, name: &str, up_to: u64) -> Result<(), StoreError> {
        let offered: Vec<u64> = self
            .offers
            .open()?
            .range((name, 0)..=(name, up_to))?
            .map(|entry| entry.map(|(key, _)| key.value().1))
            .collect::<Result<_, _>>()?;
        for seq in offered {
            self.offers.open()?.remove((name, seq))?;
        }
        Ok(())
    }

    pub(super) fn consumer(&mut self, name: &str) -> Result<Option<ConsumerRow>, StoreError> {
        self.consumers.open()?.get(name)?.map(|row| ConsumerRow::from_bytes(row.value())).transpose()
    }
}
