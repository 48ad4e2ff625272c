//! Reading what is known of peers, and what the owner decided about them.

use redb::ReadableTable as _;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Pattern, Ruling, Subject};
use toq_protocol::time::Timestamp;

use super::Reader;
use crate::error::StoreError;
use crate::record::{AlarmRow, ApprovalRow, PeerRow, PinRow, Record as _, RotationRow, TurnedAwayRow};
use crate::tables;

impl Reader {
    /// A peer.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or the row is damaged.
    pub fn peer(&self, key: &PeerKey) -> Result<Option<PeerRow>, StoreError> {
        let snapshot = self.snapshot()?;
        let peers = snapshot.open(tables::PEERS)?;
        peers.get(key.as_bytes())?.map(|bytes| PeerRow::from_bytes(bytes.value())).transpose()
    }

    /// Every peer that has proven itself here.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn peers(&self) -> Result<Vec<(PeerKey, PeerRow)>, StoreError> {
        self.by_key(tables::PEERS)
    }

    /// The key that belongs to an address, if one was met there.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or the row is damaged.
    pub fn pin(&self, address: &Address) -> Result<Option<PinRow>, StoreError> {
        let snapshot = self.snapshot()?;
        let pins = snapshot.open(tables::PINS)?;
        pins.get(address.pin_key().as_str())?.map(|bytes| PinRow::from_bytes(bytes.value())).transpose()
    }

    /// Every key that belongs to an address.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn pins(&self) -> Result<Vec<PinRow>, StoreError> {
        let snapshot = self.snapshot()?;
        let pins = snapshot.open(tables::PINS)?;
        pins.iter()?.map(|entry| PinRow::from_bytes(entry?.1.value())).collect()
    }

    /// One question.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or the row is damaged.
    pub fn approval(&self, key: &PeerKey) -> Result<Option<ApprovalRow>, StoreError> {
        let snapshot = self.snapshot()?;
        let approvals = snapshot.open(tables::APPROVALS)?;
        approvals.get(key.as_bytes())?.map(|bytes| ApprovalRow::from_bytes(bytes.value())).transpose()
    }

    /// Who waits for the owner's decision.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn approvals(&self) -> Result<Vec<(PeerKey, ApprovalRow)>, StoreError> {
        self.by_key(tables::APPROVALS)
    }

    /// Who waits for a word that it may come in.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn turned_away(&self) -> Result<Vec<(PeerKey, TurnedAwayRow)>, StoreError> {
        self.by_key(tables::TURNED_AWAY)
    }

    /// Whether this key waits for a word that it may come in.
    ///
    /// # Errors
    /// [`StoreError`] where the disk is damaged.
    pub fn is_turned_away(&self, key: &PeerKey) -> Result<bool, StoreError> {
        Ok(self.snapshot()?.open(tables::TURNED_AWAY)?.get(key.as_bytes())?.is_some())
    }

    /// Sessions that were refused because somebody may be in between, the latest first: whose key, why, and what is known of it.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn alarms(&self) -> Result<Vec<(PeerKey, String, AlarmRow)>, StoreError> {
        let snapshot = self.snapshot()?;
        let alarms = snapshot.open(tables::ALARMS)?;
        let mut found = Vec::new();
        for entry in alarms.iter()? {
            let (place, bytes) = entry?;
            let (key, reason) = place.value();
            found.push((PeerKey::from_bytes(*key), reason.to_owned(), AlarmRow::from_bytes(bytes.value())?));
        }
        found.sort_by_key(|(_, _, row)| std::cmp::Reverse(row.last));
        Ok(found)
    }

    /// Every peer's key that another one has followed.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a row is damaged.
    pub fn rotations(&self) -> Result<Vec<(PeerKey, RotationRow)>, StoreError> {
        self.by_key(tables::ROTATIONS)
    }

    /// Every rule.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a rule is damaged.
    pub fn rules(&self) -> Result<Vec<(Subject, Ruling)>, StoreError> {
        Ok(self.confirmed_rules()?.into_iter().map(|(subject, ruling, _)| (subject, ruling)).collect())
    }

    /// Every rule, and when it was last confirmed.
    ///
    /// # Errors
    /// [`StoreError`] where the disk or a rule is damaged.
    pub fn confirmed_rules(&self) -> Result<Vec<(Subject, Ruling, Timestamp)>, StoreError> {
        let damaged = || StoreError::Record { table: "rules" };
        let snapshot = self.snapshot()?;
        let rules = snapshot.open(tables::RULES)?;
        let mut found = Vec::new();
        for entry in rules.iter()? {
            let (key, at) = entry?;
            let (ruling, kind, value) = key.value();
            let ruling = match ruling {
                "approve" => Ruling::Approve,
                "block" => Ruling::Block,
                _ => return Err(damaged()),
            };
            let subject = match kind {
                "key" => Subject::Key(PeerKey::parse(value).map_err(|_| damaged())?),
                "address" => Subject::Address(Pattern::new(value)),
                _ => return Err(damaged()),
            };
            found.push((subject, ruling, Timestamp::from_nanos(at.value())));
        }
        Ok(found)
    }
}
