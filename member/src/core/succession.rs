//! One core after the other in the same seat: read anew from the disk, or of another group.

use toq_store::member::{Change, ChannelRow, OutKind, OutRow};

use super::Core;
use crate::chance::sha256;

impl Core {
    /// The group ends here and the one of `row` takes its place. Messages that were not read and what was not sent outlive it; frames
    /// do not, what they said is kept as drafts. Whoever calls this writes the changes after everything that was decided before, and
    /// puts the next core here, whether that succeeds or not.
    pub(crate) fn give_way(&mut self, mut row: ChannelRow, changes: &mut Vec<Change>) {
        row.next_in = self.row.next_in;
        row.next_happening = self.row.next_happening;
        row.octets_in = self.row.octets_in;
        if row.cursor == 0 && row.chain.is_some() {
            // It was made here, for who joins is told a place or has no chain yet. What is in the log so far was said in the group before this one.
            row.cursor = self.row.cursor;
            row.chain = self.row.chain;
            row.heads.clone_from(&self.row.heads);
        }
        row.answers_joins |= self.row.answers_joins;
        for (n, outgoing) in &self.outgoing {
            changes.push(if outgoing.row.kind == OutKind::Message {
                let mut row = OutRow { kind: OutKind::Draft, frame: Vec::new(), ..outgoing.row.clone() };
                // The relay may have this frame already, and then does not take another of the same tag.
                row.earlier.extend_from_slice(&sha256(&outgoing.row.frame));
                Change::Queue(self.id, *n, row)
            } else {
                Change::Unqueue(self.id, *n)
            });
        }
        changes.extend(self.welcomes.keys().map(|epoch| Change::Unwelcome(self.id, *epoch)));
        changes.push(Change::Channel(self.id, row));
        self.gives_way = true;
    }

    /// Takes over those who wait, from the core that was here before: for places of messages that are still to be sent and, in the
    /// same group, for changes that were not staged yet.
    pub(crate) fn inherit(&mut self, before: &mut Self, is_same_group: bool) {
        self.ticks = before.ticks + 1;
        let is_here = |n: &u64| self.drafts.has(*n) || self.outgoing.contains_key(n);
        self.waiters = std::mem::take(&mut before.waiters).into_iter().filter(|(n, _)| is_here(n)).collect();
        if is_same_group {
            self.wishes = std::mem::take(&mut before.wishes);
            self.handed_over = std::mem::take(&mut before.handed_over);
        }
    }
}
