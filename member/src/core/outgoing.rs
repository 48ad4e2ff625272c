//! What is on its way to the relay.

use std::time::Instant;

use toq_dataplane::extension::{Carriage, Tag};
use toq_store::member::{Change, OutKind, OutRow};

use super::{Core, Step, Tie, commit, limits};
use crate::chance::{Now, sha256};
use crate::line::Publication;

/// A frame on its way to the relay.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) row: OutRow,
    pub(super) is_committed: bool,
    pub(super) is_published: bool,
    /// Not before this moment: the relay asked to wait.
    pub(super) not_before: Option<Instant>,
}

impl Core {
    /// A row of the outbox, in their order: it was on its way when the process ended. Of a draft only its size is kept.
    pub(crate) fn recall(&mut self, n: u64, row: OutRow) {
        self.next_out = n.saturating_add(1);
        match row.kind {
            OutKind::Draft => self.drafts.push(n, limits::size(&row)),
            OutKind::Commit => {
                self.staged = Some(commit::Staged::kept(n, &row));
                self.hold(n, row, true);
            }
            OutKind::Message | OutKind::Proposal => self.hold(n, row, true),
        }
    }

    /// Remembers a frame by all that the relay could show of it.
    pub(super) fn hold(&mut self, n: u64, row: OutRow, is_committed: bool) {
        self.by_tag.insert(row.tag, n);
        self.by_frame.insert(sha256(&row.frame), n);
        for earlier in row.earlier.as_chunks::<32>().0 {
            self.by_frame.insert(*earlier, n);
        }
        self.outgoing_octets = self.outgoing_octets.saturating_add(limits::size(&row));
        let before = self.outgoing.insert(n, Outgoing { row, is_committed, is_published: false, not_before: None });
        self.outgoing_octets = self.outgoing_octets.saturating_sub(before.map_or(0, |before| limits::size(&before.row)));
    }

    /// Forgets a frame.
    pub(super) fn release(&mut self, n: u64, step: &mut Step) -> Option<OutRow> {
        let outgoing = self.outgoing.remove(&n)?;
        self.outgoing_octets = self.outgoing_octets.saturating_sub(limits::size(&outgoing.row));
        self.by_tag.remove(&outgoing.row.tag);
        self.by_frame.retain(|_, at| *at != n);
        step.changes.push(Change::Unqueue(self.id, n));
        Some(outgoing.row)
    }

    /// How much has not reached the relay: drafts and frames.
    pub(crate) fn unsent(&self) -> usize {
        self.drafts.len() + self.outgoing.len()
    }

    /// The same in bytes.
    pub(super) fn unsent_octets(&self) -> usize {
        self.drafts.octets().saturating_add(self.outgoing_octets)
    }

    /// Frames that may leave now, in the order in which they were made.
    pub(crate) fn publishable(&mut self, now: Now) -> Vec<Publication> {
        if self.tie != Tie::Live {
            return Vec::new();
        }
        let mut ready = Vec::new();
        for (n, outgoing) in &mut self.outgoing {
            if !outgoing.is_committed {
                break;
            }
            if outgoing.is_published {
                continue;
            }
            if outgoing.not_before.is_some_and(|moment| moment > now.instant) {
                // What was said later does not overtake it.
                break;
            }
            outgoing.is_published = true;
            outgoing.not_before = None;
            let carriage = match outgoing.row.kind {
                OutKind::Commit => Carriage::Commit,
                OutKind::Proposal => Carriage::Proposal,
                OutKind::Message | OutKind::Draft => Carriage::Message,
            };
            let seen = (outgoing.row.kind == OutKind::Commit).then_some(self.row.cursor);
            ready.push(Publication { n: *n, carriage, frame: outgoing.row.frame.clone(), tag: Tag(outgoing.row.tag), seen });
        }
        ready
    }
}
