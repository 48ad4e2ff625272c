//! How much of a channel there may be, in bytes: numbers alone bound neither memory nor disk, for one message is empty and the next has
//! 256 KiB.
//!
//! What a program does not read would grow without end. So a channel whose inbox is full is given up for a while: the relay is told to
//! send nothing of it, and is asked from the cursor on when half of it was read. Other channels do not notice.

use toq_store::member::{InRow, OutRow};

use super::{Core, Step};
use crate::chance::Now;

/// What a message counts beside its bytes.
const ROW: u64 = 128;

/// The limits of one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// What may wait to be read, in bytes as [`weight`] counts them; see [`crate::Settings::max_unread`].
    pub unread: u64,
    /// What may wait for the relay, in bytes of messages and frames.
    pub unsent: usize,
    /// What may be on its way to the relay, in bytes of messages and frames; more is kept as drafts.
    pub window: usize,
    /// What may wait for an entry that is missing before it, in bytes of frames.
    pub ahead: usize,
    /// The Welcomes that may still be wanted, in bytes, but always the last. One has 4 MiB in a channel of thousands.
    pub welcomes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unread: u64::MAX, unsent: 256 << 20, window: 16 << 20, ahead: 16 << 20, welcomes: 32 << 20 }
    }
}

/// What a message counts while it waits to be read: what was said and who said it, and something for the row.
pub(crate) fn weight(payload: &[u8], sender: &[u8]) -> u64 {
    let octets = payload.len().saturating_add(sender.len());
    u64::try_from(octets).unwrap_or(u64::MAX).saturating_add(ROW)
}

/// The bytes of a message that came, as they are held in memory.
pub(crate) fn octets(row: &InRow) -> usize {
    row.payload.len().saturating_add(row.sender.len())
}

/// What a row of the outbox counts.
pub(super) fn size(row: &OutRow) -> usize {
    row.frame.len().saturating_add(row.payload.len())
}

impl Core {
    /// So much was handed out, as the rows count it.
    pub(crate) fn has_read(&mut self, octets: u64) {
        self.octets_read = self.octets_read.max(octets);
        if self.is_full && self.unread() <= self.limits.unread / 2 {
            self.is_full = false;
            self.resubscribe = true;
        }
    }

    /// Whether more waits to be read than there is room for. Towards a relay that cannot be asked again for what was not taken this
    /// holds up the whole connection.
    pub(crate) fn is_overfull(&self) -> bool {
        self.unread() >= self.limits.unread
    }

    /// Takes no more where there is no room for it. Nothing is said without the log being read, so what is said then waits.
    pub(super) fn look_for_room(&mut self, step: &mut Step, now: Now) {
        if self.is_full || !self.is_extended || !self.is_overfull() {
            return;
        }
        self.is_full = true;
        let detail =
            format!("{} bytes of messages wait to be read; until half of them were, nothing more is taken from the relay", self.unread());
        self.happen(step, now, "inbox_full", detail);
    }

    fn unread(&self) -> u64 {
        self.row.octets_in.saturating_sub(self.octets_read)
    }
}
