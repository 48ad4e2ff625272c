//! Saying something.

use tokio::sync::oneshot;
use toq_channels::group::GroupError;
use toq_channels::padding;
use toq_store::member::{Change, OutKind, OutRow, Standing};

use super::limits::size;
use super::{Core, FRESH, Step, Tie, WINDOW, Waiter};
use crate::chance::{Now, fill, random, sha256};
use crate::error::{Error, Kind};

/// The longest message, in bytes; published members have the same limit.
const MAX_MESSAGE: usize = 262_144;

/// How many messages of a channel may wait for the relay.
const MAX_UNSENT: usize = 100_000;

/// A message before it is encrypted.
fn draft(payload: Vec<u8>) -> OutRow {
    OutRow { kind: OutKind::Draft, tag: random(), frame: Vec::new(), epoch: 0, payload, earlier: Vec::new() }
}

impl Core {
    /// Takes a message: its ciphertext if it can leave now, a draft otherwise. The answer of `waiter` is its place in the log.
    pub(crate) fn say(
        &mut self,
        payload: &[u8],
        waiter: Option<oneshot::Sender<Result<u64, Error>>>,
        now: Now,
    ) -> Result<(u64, Step), Error> {
        self.may_act()?;
        if self.unsent() >= MAX_UNSENT {
            let text = format!("{MAX_UNSENT} messages of {} wait for the relay already; wait until it is back", self.name);
            return Err(Error::new(Kind::Quota, text));
        }
        if self.unsent_octets().saturating_add(payload.len()) > self.limits.unsent {
            let most = self.limits.unsent >> 20;
            let text = format!("{most} MiB of {} wait for the relay already; wait until it is back", self.name);
            return Err(Error::new(Kind::Quota, text));
        }
        if payload.len() > MAX_MESSAGE {
            let text = format!("message too large: {} bytes exceeds {MAX_MESSAGE} byte limit", payload.len());
            return Err(Error::new(Kind::TooLarge, text));
        }
        let mut step = Step::default();
        let n = self.next_out;
        let row = draft(payload.to_vec());
        let row = if self.may_encrypt() { self.encrypt(row, &mut step, now)? } else { row };
        self.next_out += 1;
        self.put(n, row, &mut step);
        if let Some(waiter) = waiter {
            self.waiters.insert(n, waiter);
        }
        Ok((n, step))
    }

    /// Says something again that was taken before, so that no limit keeps it out. Where nothing can be said any more, that is told.
    pub(super) fn say_again(&mut self, payload: Vec<u8>, waiter: Option<Waiter>, step: &mut Step, now: Now) {
        if let Err(error) = self.may_act() {
            self.happen(step, now, "message_refused", error.to_string());
            self.stand(step);
            return step.answer(waiter, Err(error));
        }
        let n = self.next_out;
        self.next_out += 1;
        self.put(n, draft(payload), step);
        if let Some(waiter) = waiter {
            self.waiters.insert(n, waiter);
        }
    }

    /// The drafts that may be encrypted now, by number.
    pub(crate) fn next_drafts(&self) -> Option<(u64, usize)> {
        let room = WINDOW.saturating_sub(self.outgoing.len()).min(64);
        let first = self.drafts.first()?;
        let may = self.is_ready() && self.row.standing == Standing::Member && room > 0 && self.has_window();
        may.then(|| (first - 1, room))
    }

    /// Encrypts drafts, in their order. `rows` are the rows of the outbox from the first draft on.
    pub(crate) fn encrypt_drafts(&mut self, rows: Vec<(u64, OutRow)>, step: &mut Step, now: Now) {
        for (n, row) in rows {
            if self.drafts.first() != Some(n) {
                continue;
            }
            if !self.is_ready() || !self.has_window() {
                break;
            }
            let row = match self.encrypt(row, step, now) {
                Ok(row) if row.kind == OutKind::Draft => break,
                Ok(row) => row,
                Err(error) => {
                    // It would not be encrypted next time either, and what was said after it waits behind it.
                    self.drafts.pop();
                    step.changes.push(Change::Unqueue(self.id, n));
                    let waiter = self.waiters.remove(&n);
                    self.happen(step, now, "message_refused", error.to_string());
                    self.stand(step);
                    step.answer(waiter, Err(error));
                    continue;
                }
            };
            self.drafts.pop();
            self.put(n, row, step);
        }
    }

    /// Frames that the relay does not have are made again where too few could still read them.
    pub(super) fn refresh(&mut self, step: &mut Step, now: Now) {
        let epoch = self.epoch();
        let old: Vec<u64> = self
            .outgoing
            .iter()
            .filter(|(_, out)| out.row.kind == OutKind::Message && out.row.epoch + FRESH < epoch)
            .map(|(n, _)| *n)
            .collect();
        for n in old {
            let Some(outgoing) = self.outgoing.get(&n) else { continue };
            let mut row = outgoing.row.clone();
            // The tag stays, so that the relay takes only one of them, whichever it got.
            row.earlier.extend_from_slice(&sha256(&row.frame));
            row.kind = OutKind::Draft;
            match self.encrypt(row, step, now) {
                Ok(row) if row.kind == OutKind::Draft => break,
                Ok(row) => self.put(n, row, step),
                // The frame that there is goes out, and whether it was in time shows when it is read back.
                Err(error) => tracing::warn!(channel = %self.name, %error, "a message cannot be made again"),
            }
        }
    }

    /// Whether groups can be worked with: the log is read.
    pub(super) fn is_ready(&self) -> bool {
        self.tie == Tie::Live && self.group.is_some()
    }

    fn may_encrypt(&self) -> bool {
        self.is_ready()
            && self.row.standing == Standing::Member
            && self.drafts.is_empty()
            && self.outgoing.len() < WINDOW
            && self.has_window()
    }

    /// Whether more may be on its way to the relay.
    fn has_window(&self) -> bool {
        self.outgoing_octets < self.limits.window
    }

    /// Makes a message of a draft; returns the draft where a change of members has to be committed first.
    fn encrypt(&mut self, mut row: OutRow, step: &mut Step, now: Now) -> Result<OutRow, Error> {
        let head = self.head();
        let Some(group) = &mut self.group else { return Ok(row) };
        match group.encrypt(&row.payload, head) {
            Ok((frame, rows)) => {
                step.changes.extend(crate::home::changes(rows));
                row.epoch = group.epoch();
                row.kind = OutKind::Message;
                row.frame = match self.padding.then(|| padding::pad(&frame, fill)) {
                    Some(Ok(padded)) => padded,
                    // A message of full length has no frame that holds it; it goes as it is.
                    Some(Err(_)) | None => frame,
                };
                Ok(row)
            }
            Err(GroupError::CommitFirst) => {
                self.settle_soon(now);
                Ok(row)
            }
            Err(GroupError::Stale) => {
                self.restored(step, now);
                Ok(row)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Queues a row, or writes it again.
    pub(super) fn put(&mut self, n: u64, row: OutRow, step: &mut Step) {
        step.changes.push(Change::Queue(self.id, n, row.clone()));
        if row.kind == OutKind::Draft {
            self.drafts.push(n, size(&row));
        } else {
            self.hold(n, row, false);
            step.sealed.push(n);
        }
    }
}
