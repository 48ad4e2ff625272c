//! What an entry of the log means to the group.

use toq_channels::group::{Chain, Change as Changed, Head, Received, Verdict, Why};
use toq_channels::padding;
use toq_store::member::{Change, HappeningRow, InRow, OutKind, Standing};

use super::{Core, Item, Step, weight};
use crate::chance::{Now, sha256};

impl Core {
    /// The next entry of the log.
    pub(super) fn enter(&mut self, seq: u64, item: Item, step: &mut Step, now: Now) {
        let (frame, ours) = match item {
            Item::Frame(frame) => {
                let ours = self.by_frame.get(&sha256(&frame)).copied();
                (frame, ours)
            }
            Item::Ours(n) => match self.outgoing.get(&n) {
                Some(outgoing) => (outgoing.row.frame.clone(), Some(n)),
                None => return,
            },
        };
        match ours.and_then(|n| Some((n, self.outgoing.get(&n)?.row.kind))) {
            Some((n, OutKind::Commit)) => self.read_back(n, &frame, step, now),
            Some((n, OutKind::Proposal)) => self.proposed(n, step, now),
            Some((n, _)) => self.done(n, seq, step, now),
            None => self.hear(seq, &frame, step, now),
        }
        self.row.cursor = seq;
        if let Some(chain) = &mut self.chain
            && let Err(error) = chain.push(seq, &frame)
        {
            tracing::warn!(channel = %self.name, %error, "the log does not go on where it ended");
        }
        self.stand(step);
    }

    /// Our own commit, where the log has it.
    pub(super) fn read_back(&mut self, n: u64, frame: &[u8], step: &mut Step, now: Now) {
        let is_staged = self.staged.as_ref().is_some_and(|staged| staged.n == n && staged.epoch == self.epoch());
        let Some(group) = self.group.as_mut().filter(|_| is_staged) else {
            self.release(n, step);
            return;
        };
        let (received, rows) = group.receive(frame);
        step.changes.extend(crate::home::changes(rows));
        match received {
            Received::Committed(change) => {
                self.tell(&change, step, now);
                self.keep_welcome(&change, step);
                self.applied(step, now);
            }
            other => {
                tracing::warn!(channel = %self.name, ?other, "a commit of ours was not taken where the log has it");
                self.lost(step, now);
            }
        }
    }

    /// Somebody else's frame.
    fn hear(&mut self, seq: u64, frame: &[u8], step: &mut Step, now: Now) {
        let Some(group) = &mut self.group else { return };
        let (received, rows) = group.receive(padding::strip(frame));
        step.changes.extend(crate::home::changes(rows));
        match received {
            Received::Message { sender, epoch, payload, head } => {
                self.compare(seq, head, step, now);
                self.heard_of(&sender, step);
                let n = self.row.next_in;
                self.row.next_in += 1;
                self.row.octets_in = self.row.octets_in.saturating_add(weight(&payload, &sender.identity));
                let row = InRow {
                    seq: if self.is_extended { seq } else { 0 },
                    epoch,
                    sender: sender.identity,
                    proven: sender.proven.map(|key| *key.as_bytes()),
                    leaf: sender.index,
                    octets: self.row.octets_in,
                    payload,
                };
                step.changes.push(Change::Arrive(self.id, n, row.clone()));
                step.arrived.push((n, row));
                self.look_for_room(step, now);
            }
            Received::Committed(change) => {
                // It fits to what was read, so none before it was missed.
                self.row.has_skipped = false;
                self.tell(&change, step, now);
                self.keep_welcome(&change, step);
                self.settle_at = None;
                // Whatever we had staged was of the epoch that has just ended.
                self.lost(step, now);
                if self.row.standing == Standing::Left {
                    // It was made by somebody who had not read that we want to leave.
                    self.go_again();
                }
            }
            Received::Proposed { .. } => self.settle_in_turn(now),
            Received::Removed { by, epoch } => {
                let left = self.row.standing == Standing::Left;
                self.row.standing = if left { Standing::Left } else { Standing::Removed };
                let row = HappeningRow {
                    kind: if left { "left" } else { "removed" }.to_owned(),
                    subject: Vec::new(),
                    by: by.filter(|_| !left).map(|member| member.identity).unwrap_or_default(),
                    epoch,
                    detail: "this member is no longer in the channel".to_owned(),
                    at: now.nanos,
                };
                self.happen_to(step, row);
                self.group = None;
                self.give_up(step);
            }
            Received::Refused(why) => {
                let detail = format!("place {seq} of the log: {why}");
                self.happen(step, now, "commit_refused", detail);
            }
            Received::Ignored(Why::Ahead) if self.row.has_skipped && self.row.standing == Standing::Member => {
                let detail = format!("place {seq} of the log is of a later epoch, which began in what the relay withholds");
                self.fall_behind(detail, step, now);
            }
            Received::Ignored(why) => {
                tracing::debug!(channel = %self.name, seq, ?why, "an entry of the log is of no use");
            }
            Received::Stale => self.restored(step, now),
        }
    }

    /// Members that came, went or have new keys.
    fn tell(&mut self, change: &Changed, step: &mut Step, now: Now) {
        let by = change.by.as_ref().map(|member| member.identity.clone()).unwrap_or_default();
        let mut tell_why = |core: &mut Self, kind: &str, subject: &[u8], detail: String| {
            let row = HappeningRow {
                kind: kind.to_owned(),
                subject: subject.to_vec(),
                by: by.clone(),
                epoch: change.epoch,
                detail,
                at: now.nanos,
            };
            core.happen_to(step, row);
        };
        for member in &change.added {
            // Somebody else has let it in, and the group goes on with it: only its pin says that the name means nobody else.
            if let Err(error) = crate::pins::check_members(&self.pins, std::slice::from_ref(member)) {
                tell_why(self, "pin_broken", &member.identity, error.detail().to_owned());
            }
        }
        let mut tell = |core: &mut Self, kind: &str, subject: &[u8]| tell_why(core, kind, subject, String::new());
        for member in &change.added {
            tell(self, "member_added", &member.identity);
        }
        for member in &change.removed {
            tell(self, "member_removed", &member.identity);
        }
        if change.rotated && change.added.is_empty() && change.removed.is_empty() {
            tell(self, "key_rotated", &by);
        }
        if change.owners {
            tell(self, "owners_changed", &[]);
        }
    }

    /// Whether sender and we have read the same (threat H7).
    fn compare(&mut self, seq: u64, head: Option<Head>, step: &mut Step, now: Now) {
        let Some(head) = head.filter(|_| self.is_extended) else { return };
        let Some(chain) = &self.chain else {
            // Whoever came late, or has lost a stretch, takes the first head that fits for its beginning.
            if head.seq.checked_add(1) == Some(seq) {
                self.chain = Some(Chain::begin_at(head));
            }
            return;
        };
        let has_diverged = head.seq >= seq || chain.check(&head) == Verdict::Diverged;
        if has_diverged && !self.has_diverged {
            let detail = format!("at place {} of the log a member has read something else than this one", head.seq);
            self.happen(step, now, "relay_misbehaving", detail);
        }
        self.has_diverged = has_diverged;
    }

    /// Our state is an old copy: it is never encrypted with again (threat H6). A fresh leaf ends that: being added again.
    pub(super) fn restored(&mut self, step: &mut Step, now: Now) {
        if self.row.standing != Standing::Member {
            return;
        }
        self.row.standing = Standing::Restored;
        let text = "the relay's log has messages of this member that its directory does not know: it was restored from a copy";
        self.happen(step, now, "restored_copy", text.to_owned());
        self.stand(step);
        self.give_up(step);
    }
}
