//! Changing the group: one commit at a time, applied when the log shows it.
//!
//! A wish becomes a commit that is *staged*: made, kept with its frame in one transaction, published. The log decides. Where the
//! commit is read back it is applied; where another one of the epoch stands before it, it is dropped, the other one is
//! applied, and the wish is made a commit again (threat H1).

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use toq_channels::group::{Chain, Group, GroupError, Intent, Member, Role, view_key_package};
use toq_store::member::{Change, OutKind, OutRow, Standing};

use super::{Core, Step};
use crate::chance::{Now, jitter, random};
use crate::error::{Error, Kind};

/// How often a wish is made a commit before it is given up. With as many members that commit at once, each round has a winner.
const MAX_TRIES: u32 = 100;

/// How long a loser waits at most before its next commit, for each time that it lost, up to eight.
const PAUSE: Duration = Duration::from_millis(10);

/// What one member waits longer than the one before it until it settles what others proposed.
const SETTLE_TURN: Duration = Duration::from_millis(750);

/// What a member wants of the group.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// Add the owners of these key packages.
    Add(Vec<Vec<u8>>),
    /// Remove the members at these leaves; the signature keys are compared when the commit is made.
    Remove(Vec<(u32, Vec<u8>)>),
    /// New keys for the own leaf.
    Rotate,
    /// Commit what others proposed.
    Settle,
    /// Be removed.
    Leave,
}

/// What came of a wish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Applied {
    /// For who was added.
    pub welcome: Option<Vec<u8>>,
}

pub(super) type Reply = oneshot::Sender<Result<Applied, Error>>;

/// A wish, and who waits for it.
pub(super) struct Errand {
    pub wish: Wish,
    pub reply: Option<Reply>,
    pub tries: u32,
    pub not_before: Option<Instant>,
}

/// A commit that waits for the log.
pub(super) struct Staged {
    pub n: u64,
    pub epoch: u64,
    pub errand: Option<Errand>,
    pub welcome: Option<Vec<u8>>,
}

impl Staged {
    /// A commit that was on its way when the process ended. Nobody waits for it.
    pub(super) fn kept(n: u64, row: &OutRow) -> Self {
        Self { n, epoch: row.epoch, errand: None, welcome: None }
    }
}

impl Core {
    /// Wants something of the group.
    pub(crate) fn wish(&mut self, wish: Wish, reply: Option<Reply>) -> Result<(), Error> {
        self.may_act()?;
        self.may_hope()?;
        self.wishes.push_back(Errand { wish, reply, tries: 0, not_before: None });
        Ok(())
    }

    /// Makes the next wish a commit, if its turn has come, and keeps the group's own appointments.
    pub(crate) fn advance(&mut self, now: Now) -> Step {
        let mut step = Step::default();
        if !self.is_ready() || self.staged.is_some() {
            return step;
        }
        self.appointments(now);
        // What was said before this member wants to leave is said first.
        let has_drafts = !self.drafts.is_empty();
        let is_due = |errand: &Errand| {
            errand.not_before.is_none_or(|moment| moment <= now.instant) && !(has_drafts && matches!(errand.wish, Wish::Leave))
        };
        while self.staged.is_none()
            && let Some(at) = self.wishes.iter().position(is_due)
            && let Some(errand) = self.wishes.remove(at)
        {
            self.stage(errand, &mut step, now);
        }
        step
    }

    fn stage(&mut self, mut errand: Errand, step: &mut Step, now: Now) {
        if matches!(errand.wish, Wish::Leave) {
            return self.go(errand, step, now);
        }
        if let Err(error) = self.may_act() {
            return step.answer(errand.reply.take(), Err(error));
        }
        if let Wish::Add(packages) = &errand.wish
            && let Some(welcome) = self.kept_welcome(packages)
        {
            return step.answer(errand.reply.take(), Ok(Applied { welcome: Some(welcome) }));
        }
        let intent = match self.intent(&errand.wish) {
            Ok(Some(intent)) => intent,
            Ok(None) => return step.answer(errand.reply.take(), Ok(Applied::default())),
            Err(error) => return step.answer(errand.reply.take(), Err(error)),
        };
        let Some(group) = &mut self.group else { return };
        let place = self.chain.as_ref().map(Chain::head).filter(|_| self.is_extended);
        let (staged, rows) = match group.stage(&intent, place, now.unsigned_seconds()) {
            Ok(staged) => staged,
            Err(GroupError::NothingToCommit) => return step.answer(errand.reply.take(), Ok(Applied::default())),
            Err(GroupError::TooManyAttempts(_)) => {
                errand.not_before = Some(now.instant + jitter(PAUSE * 8));
                return self.wishes.push_front(errand);
            }
            Err(GroupError::Stale) => {
                self.restored(step, now);
                let error = self.may_act().err().unwrap_or_else(|| GroupError::Stale.into());
                return step.answer(errand.reply.take(), Err(error));
            }
            Err(error) => {
                tracing::debug!(channel = %self.name, %error, "a change of the group cannot be made");
                let told = match &errand.wish {
                    Wish::Add(packages) => twice(&error, packages, group.members()),
                    _ => None,
                };
                return step.answer(errand.reply.take(), Err(told.unwrap_or_else(|| error.into())));
            }
        };
        step.changes.extend(crate::home::changes(rows));
        errand.tries += 1;
        let row = OutRow {
            kind: OutKind::Commit,
            tag: random(),
            frame: staged.commit,
            epoch: staged.epoch,
            payload: Vec::new(),
            earlier: Vec::new(),
        };
        let n = self.queue(row, step);
        self.staged = Some(Staged { n, epoch: staged.epoch, errand: Some(errand), welcome: staged.welcome });
        if crate::fault::is_broken("apply-unread") {
            self.apply_unread(n, step, now);
        }
    }

    /// What must not be done: our commit takes effect before the log shows it. For the checker, which has to notice.
    fn apply_unread(&mut self, n: u64, step: &mut Step, now: Now) {
        let (Some(group), Some(outgoing)) = (self.group.as_mut(), self.outgoing.get(&n)) else { return };
        let (_, rows) = group.receive(&outgoing.row.frame);
        step.changes.extend(crate::home::changes(rows));
        if let Some(Staged { errand: Some(errand), welcome, .. }) = self.staged.take() {
            self.happen(step, now, "key_rotated", String::new());
            step.answer(errand.reply, Ok(Applied { welcome }));
        }
    }

    /// Asks to be removed, or goes where nobody is left who could do it.
    fn go(&mut self, mut errand: Errand, step: &mut Step, now: Now) {
        let Some(group) = &mut self.group else { return step.answer(errand.reply.take(), Ok(Applied::default())) };
        let (proposal, rows) = match group.leave() {
            Ok(left) => left,
            Err(error) => return step.answer(errand.reply.take(), Err(error.into())),
        };
        step.changes.extend(crate::home::changes(rows));
        self.row.standing = Standing::Left;
        match proposal {
            Some(frame) => {
                let row =
                    OutRow { kind: OutKind::Proposal, tag: random(), frame, epoch: self.epoch(), payload: Vec::new(), earlier: Vec::new() };
                let n = self.queue(row, step);
                self.leaving = errand.reply.take().map(|reply| (n, reply));
            }
            None => {
                step.changes.extend(crate::home::changes(Group::forget(&self.name)));
                self.group = None;
                self.happen(step, now, "left", "this member was the last that could keep the channel".to_owned());
                step.answer(errand.reply.take(), Ok(Applied::default()));
            }
        }
        self.stand(step);
    }

    /// The proposal to leave is in the log. If it was made for an epoch that is over, nobody heeds it, and it is made again.
    pub(super) fn proposed(&mut self, n: u64, step: &mut Step, now: Now) {
        let Some(row) = self.release(n, step) else { return };
        if row.epoch != self.epoch() {
            return self.go_again();
        }
        self.settle_in_turn(now);
        if let Some((_, reply)) = self.leaving.take() {
            step.answer(Some(reply), Ok(Applied::default()));
        }
    }

    /// Asks once more to be removed.
    pub(super) fn go_again(&mut self) {
        if !self.wishes.iter().any(|errand| matches!(errand.wish, Wish::Leave)) {
            let reply = self.leaving.take().map(|(_, reply)| reply);
            self.wishes.push_front(Errand { wish: Wish::Leave, reply, tries: 0, not_before: None });
        }
    }

    /// Forgets the wishes of those who do not wait any more.
    pub(crate) fn withdraw(&mut self) {
        self.wishes.retain(|errand| errand.reply.as_ref().is_none_or(|reply| !reply.is_closed()));
    }

    /// Queues a frame.
    fn queue(&mut self, row: OutRow, step: &mut Step) -> u64 {
        let n = self.next_out;
        self.next_out += 1;
        step.changes.push(Change::Queue(self.id, n, row.clone()));
        self.hold(n, row, false);
        step.sealed.push(n);
        n
    }

    /// What is to be staged for a wish; `None` where it is fulfilled already.
    fn intent(&self, wish: &Wish) -> Result<Option<Intent>, Error> {
        let Some(group) = &self.group else { return Err(Error::no_channel(self.name.as_str())) };
        Ok(match wish {
            Wish::Add(packages) => Some(match packages.as_slice() {
                // Who has lost its state comes back with the same keys; its old leaf goes.
                [package] if is_back(package, group.members()) => Intent::Replace(package.clone()),
                _ => Intent::Add(packages.clone()),
            }),
            Wish::Rotate => Some(Intent::Rotate),
            Wish::Settle => Some(Intent::Commit),
            Wish::Leave => None,
            Wish::Remove(leaves) => {
                let members = group.members();
                let left =
                    leaves.iter().filter(|(leaf, key)| members.iter().any(|member| member.index == *leaf && member.signature_key == *key));
                let left: Vec<u32> = left.map(|(leaf, _)| *leaf).collect();
                (!left.is_empty()).then_some(Intent::Remove(left))
            }
        })
    }

    /// The log shows our commit and the group has applied it.
    pub(super) fn applied(&mut self, step: &mut Step, now: Now) {
        let Some(staged) = self.staged.take() else { return };
        self.release(staged.n, step);
        let Staged { errand, welcome, .. } = staged;
        let Some(Errand { wish, reply, .. }) = errand else { return };
        if matches!(wish, Wish::Rotate) {
            self.row.rotated_at = now.seconds();
        }
        step.answer(reply, Ok(Applied { welcome }));
    }

    /// A published relay was given something. It will say no more about it, so a commit counts as published members count it: at once.
    pub(crate) fn handed_over(&mut self, n: u64, step: &mut Step, now: Now) {
        let Some(outgoing) = self.outgoing.get(&n) else { return };
        if outgoing.row.kind == OutKind::Commit {
            let frame = outgoing.row.frame.clone();
            return self.read_back(n, &frame, step, now);
        }
        if outgoing.row.kind == OutKind::Proposal {
            return self.proposed(n, step, now);
        }
        self.done(n, 0, step, now);
    }

    /// Our commit will never be applied: another one of its epoch was, or the relay refused it.
    pub(super) fn lost(&mut self, step: &mut Step, now: Now) {
        let Some(staged) = self.staged.take() else { return };
        self.release(staged.n, step);
        if let Some(group) = &mut self.group {
            step.changes.extend(crate::home::changes(group.discard()));
        }
        let Some(mut errand) = staged.errand else { return };
        if errand.reply.as_ref().is_some_and(|reply| reply.is_closed()) {
            return;
        }
        if errand.tries >= MAX_TRIES {
            let text = format!("other members of {} changed it {MAX_TRIES} times before this change could be made; try again", self.name);
            return step.answer(errand.reply.take(), Err(Error::new(Kind::TimedOut, text)));
        }
        errand.not_before = Some(now.instant + jitter(PAUSE * errand.tries.min(8)));
        self.wishes.push_front(errand);
    }

    /// Nobody's wishes can be fulfilled any more.
    pub(super) fn give_up(&mut self, step: &mut Step) {
        let Err(error) = self.may_act() else { return };
        if let Some(staged) = self.staged.take() {
            self.release(staged.n, step);
            step.answer(staged.errand.and_then(|errand| errand.reply), Err(error.clone()));
        }
        if let Some((_, reply)) = self.leaving.take() {
            step.answer(Some(reply), if self.row.standing == Standing::Left { Ok(Applied::default()) } else { Err(error.clone()) });
        }
        for errand in std::mem::take(&mut self.wishes) {
            step.answer(errand.reply, Err(error.clone()));
        }
        for (_, waiter) in std::mem::take(&mut self.waiters) {
            step.answer(Some(waiter), Err(error.clone()));
        }
    }

    /// What others proposed is waiting, and something of ours waits for it.
    pub(super) fn settle_soon(&mut self, now: Now) {
        let has = self.wishes.iter().any(|errand| matches!(errand.wish, Wish::Settle)) || self.staged.is_some();
        if !has {
            self.settle_at = None;
            self.wishes.push_front(Errand { wish: Wish::Settle, reply: None, tries: 0, not_before: Some(now.instant) });
        }
    }

    /// Somebody proposed something: owners settle it first, then the others, each a while after the one before.
    pub(super) fn settle_in_turn(&mut self, now: Now) {
        let Some(group) = &self.group else { return };
        let mut members: Vec<_> = group.members().iter().collect();
        members.sort_by_key(|member| (member.role != Role::Owner, member.index));
        let turn = members.iter().position(|member| member.me).unwrap_or(members.len());
        let turn = u32::try_from(turn).unwrap_or(u32::MAX).min(40);
        self.settle_at = Some(now.instant + SETTLE_TURN * turn);
    }

    fn appointments(&mut self, now: Now) {
        if self.settle_at.is_some_and(|moment| moment <= now.instant) {
            self.settle_at = None;
            self.settle_soon(now);
        }
        let age = now.seconds().saturating_sub(self.row.rotated_at);
        let is_due = u64::try_from(age).is_ok_and(|age| Duration::from_secs(age) > self.rotate_after);
        let is_alone = self.group.as_ref().is_some_and(|group| group.members().len() < 2);
        if is_due && !is_alone && !self.wishes.iter().any(|errand| matches!(errand.wish, Wish::Rotate)) {
            // Should it fail, the next attempt is a while away.
            self.row.rotated_at = now.seconds();
            self.wishes.push_back(Errand { wish: Wish::Rotate, reply: None, tries: 0, not_before: None });
        }
    }
}

/// Whether a key package is of somebody who is a member already and takes the place of its old leaf: by name and key, or, where we may
/// remove it, by name and the agent key that vouches for both.
fn is_back(package: &[u8], members: &[Member]) -> bool {
    let Ok(view) = view_key_package(package) else { return false };
    let may_remove = members.iter().any(|member| member.me && member.role == Role::Owner);
    members
        .iter()
        .filter(|member| !member.me && member.identity == view.identity)
        .any(|member| member.signature_key == view.signature_key || may_remove && view.proven.is_some() && member.proven == view.proven)
}

/// What is wrong with adding somebody who is here already, and the road back for who has lost its directory.
fn twice(error: &GroupError, packages: &[Vec<u8>], members: &[Member]) -> Option<Error> {
    let GroupError::Mls(text) = error else { return None };
    if !text.starts_with("DuplicateLeafData") {
        return None;
    }
    let mut views = packages.iter().filter_map(|package| view_key_package(package).ok());
    let (old, view) = views.find_map(|view| Some((members.iter().find(|member| member.identity == view.identity)?, view)))?;
    let name = String::from_utf8_lossy(&old.identity).escape_debug().to_string();
    let why = if old.me {
        format!("this member itself is called \"{name}\"; whoever is added needs another identity")
    } else if old.signature_key == view.signature_key {
        format!("the key package of \"{name}\" was used here before; ask it for a new one")
    } else {
        format!(
            "\"{name}\" is a member already (leaf {}), with other keys: if it lost its directory and comes again, remove_member(leaf {}) by who may remove takes the old one out, and then it can be added with a new key package or invite; if it is somebody else, it needs another identity",
            old.index, old.index
        )
    };
    Some(Error::new(Kind::Mls, format!("{error}: {why}")))
}
