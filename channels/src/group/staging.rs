//! Commits of our own, from when they are made until the log shows them (threat H1).
//!
//! A commit is not applied when it is made: another member's may stand before it in the log. Its secrets are kept, and when the log
//! shows it as the first valid one of its epoch it is applied. [`Group::discard`] only allows the next attempt: a commit that was
//! given up may still reach the log and win, and without its secrets this member could not follow. Attempts are forgotten when
//! their epoch is over.

use mls_rs::error::MlsError;
use mls_rs::group::CommitOutput;
use mls_rs::group::proposal::Proposal;
use mls_rs::time::MlsTime;
use toq_protocol::key::PeerKey;
use zeroize::Zeroizing;

use super::agent::{read_key_package, view_key_package};
use super::chain::Head;
use super::error::GroupError;
use super::member::Member;
use super::roles::{Admission, MAX_OWNERS, Owners};
use super::rows::{Rows, Shelf, Shelves};
use super::rules::{Court, Refusal};
use super::stamp::Stamp;
use super::state::{Group, head_extension, pending_key, pending_row};

/// How many commits of one epoch are remembered.
pub const MAX_ATTEMPTS: usize = 4;

/// How far a key package may begin in the future, in seconds: its maker's clock may be ahead of ours.
const SKEW: u64 = 3600;

/// How long a stranger's key package may still be used, in seconds. Published members make them for a year.
const MAX_REMAINING: u64 = 400 * 24 * 3600;

/// The version of a row.
const VERSION: u8 = 1;

/// A change of a group. Every commit also makes the changes that others proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Add the makers of these key packages (MLSMessages).
    Add(Vec<Vec<u8>>),
    /// Remove the members at these leaves.
    Remove(Vec<u32>),
    /// Add the maker of a key package, and remove the leaf with the same identity and either the same signature key, which anybody may who
    /// adds, or another one that the same agent key vouches for, which takes the right to remove: a member that lost its state, or its
    /// directory.
    Replace(Vec<u8>),
    /// Renew our own keys, so that a copied state is of no more use.
    Rotate,
    /// Name the owners, in [`Admission::Proven`].
    Owners(Vec<PeerKey>),
    /// Make the changes that others proposed.
    Commit,
}

/// A commit to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The MLSMessage for the log.
    pub commit: Vec<u8>,
    /// The MLSMessage for those who are added, not to be given out before the commit was read back: another may win.
    /// [`Change::welcome`](super::Change::welcome) has it then, also after a restart.
    pub welcome: Option<Vec<u8>>,
    /// The epoch that it ends.
    pub epoch: u64,
}

/// A commit of ours whose fate is not known.
pub(crate) struct Attempt {
    slot: u8,
    pub(crate) commit: Vec<u8>,
    pub(crate) welcome: Vec<u8>,
    pub(crate) secrets: Zeroizing<Vec<u8>>,
    pub(crate) removes: bool,
    pub(crate) is_current: bool,
}

impl Attempt {
    /// The attempts of `epoch` that were kept.
    pub(crate) fn load(id: &[u8; 32], epoch: u64, shelves: &dyn Shelves) -> Result<Vec<Self>, GroupError> {
        let mut attempts = Vec::new();
        for slot in slots() {
            let Some(row) = pending_row(id, slot, shelves)? else { continue };
            let (of, attempt) =
                Self::from_bytes(slot, &row).ok_or_else(|| GroupError::Storage("a staged commit's row is damaged".into()))?;
            if of == epoch {
                attempts.push(attempt);
            }
        }
        Ok(attempts)
    }

    pub(crate) fn forget(id: &[u8; 32], rows: &mut Rows) {
        for slot in slots() {
            rows.delete(Shelf::Pending, pending_key(id, slot));
        }
    }

    fn put(&self, id: &[u8; 32], epoch: u64, rows: &mut Rows) {
        let flags = u8::from(self.removes) | u8::from(self.is_current) << 1;
        // Both are far below 4 GiB.
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes();
        let head = [[VERSION, flags].as_slice(), &epoch.to_be_bytes(), &length(&self.commit), &length(&self.welcome)].concat();
        let value = [head.as_slice(), &self.commit, &self.welcome, &self.secrets].concat();
        rows.put(Shelf::Pending, pending_key(id, self.slot), Zeroizing::new(value));
    }

    fn from_bytes(slot: u8, row: &[u8]) -> Option<(u64, Self)> {
        let (&[version, flags], row) = row.split_first_chunk::<2>()?;
        let (epoch, row) = row.split_first_chunk::<8>()?;
        let (commit, row) = row.split_first_chunk::<4>()?;
        let (welcome, row) = row.split_first_chunk::<4>()?;
        let (commit, row) = row.split_at_checked(usize::try_from(u32::from_be_bytes(*commit)).ok()?)?;
        let (welcome, secrets) = row.split_at_checked(usize::try_from(u32::from_be_bytes(*welcome)).ok()?)?;
        let attempt = Self {
            slot,
            commit: commit.to_vec(),
            welcome: welcome.to_vec(),
            secrets: Zeroizing::new(secrets.to_vec()),
            removes: flags & 1 != 0,
            is_current: flags & 2 != 0,
        };
        (version == VERSION).then_some((u64::from_be_bytes(*epoch), attempt))
    }
}

/// Where the leaf's key stands in a key package of suite 1 (RFC 9420, sections 6 and 10): after the heads of message and key package, four
/// bytes each, and the init key with its length.
const LEAF_KEY: std::ops::Range<usize> = 42..74;

/// The places for attempts; MAX_ATTEMPTS of them.
fn slots() -> std::ops::Range<u8> {
    0..4
}

impl Group {
    /// Makes a commit. It changes nothing before [`Group::receive`] reads it from the log. `head` is where this member stands in the log,
    /// for those who are added; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`GroupError::AlreadyStaged`], [`GroupError::TooManyAttempts`], [`GroupError::NothingToCommit`]; [`GroupError::Refused`] where this
    /// member has no right; [`GroupError::Mls`] with `DuplicateLeafData(index)` for a key package that was used in this group.
    pub fn stage(&mut self, intent: &Intent, head: Option<Head>, now: u64) -> Result<(Staged, Rows), GroupError> {
        self.may_encrypt()?;
        if self.staged().is_some() {
            return Err(GroupError::AlreadyStaged);
        }
        let taken: Vec<u8> = self.attempts.iter().map(|attempt| attempt.slot).collect();
        let slot = slots().find(|slot| !taken.contains(slot)).ok_or(GroupError::TooManyAttempts(MAX_ATTEMPTS))?;
        if *intent == Intent::Commit && !self.has_proposals() {
            return Err(GroupError::NothingToCommit);
        }
        let plan = self.plan(intent, now)?;
        let epoch = self.epoch();
        let made = match self.build(&plan, head, now) {
            // The maker's clock is ahead of ours by less than is forgiven.
            Err(MlsError::InvalidLifetime { not_before, not_after, .. })
                if not_before < not_after && (now..=now.saturating_add(SKEW)).contains(&not_before.seconds_since_epoch()) =>
            {
                self.build(&plan, head, not_before.seconds_since_epoch())?
            }
            other => other?,
        };
        let (output, secrets) = made;
        let commit = output.commit_message.to_bytes()?;
        let welcome = output.welcome_messages.first().map(mls_rs::MlsMessage::to_bytes).transpose()?;
        let removes = !plan.remove.is_empty() || self.has_proposals();
        let attempt =
            Attempt { slot, commit: commit.clone(), welcome: welcome.clone().unwrap_or_default(), secrets, removes, is_current: true };
        let mut rows = self.save()?;
        attempt.put(&self.id, epoch, &mut rows);
        self.attempts.push(attempt);
        Ok((Staged { commit, welcome, epoch }, rows))
    }

    /// The commit that waits for the log, to be published again after a restart.
    #[must_use]
    pub fn staged(&self) -> Option<&[u8]> {
        self.attempts.iter().find(|attempt| attempt.is_current).map(|attempt| attempt.commit.as_slice())
    }

    /// Gives up the commit that waits for the log, so that another can be made. If it reaches the log all the same, it counts.
    pub fn discard(&mut self) -> Rows {
        let mut rows = Rows::default();
        let epoch = self.epoch();
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.is_current) {
            attempt.is_current = false;
            attempt.put(&self.id, epoch, &mut rows);
        }
        rows
    }

    /// Asks to be removed. The proposal is published; any member of ours commits it, and until then nobody encrypts. `None` where no
    /// other member would commit it: then the group is only [forgotten](Group::forget).
    ///
    /// # Errors
    /// [`GroupError::Refused`] for the creator in [`Admission::Any`] and the last owner in [`Admission::Proven`] of a channel with other
    /// members.
    pub fn leave(&mut self) -> Result<(Option<Vec<u8>>, Rows), GroupError> {
        self.may_encrypt()?;
        if !self.members.iter().any(|member| !member.me && member.is_native) {
            return Ok((None, Rows::default()));
        }
        let me = self.inner.current_member_index();
        let remove = mls_rs::group::proposal::RemoveProposal::removing(me)?;
        let (roster, context) = (self.inner.roster(), self.inner.context());
        Court { roster: &roster, extensions: &context.extensions }.judge(
            &mls_rs::group::proposal::BorrowedProposal::Remove(&remove),
            &mls_rs::group::Sender::Member(me),
            &[],
        )?;
        let stamp = Stamp::make(&mut self.counter, &self.id, self.inner.current_epoch(), None);
        let proposal = self.inner.propose_remove(me, stamp.to_bytes())?.to_bytes()?;
        Ok((Some(proposal), self.save()?))
    }

    /// Drops all attempts, whose epoch is over. Tells whether one of them was waited for.
    pub(crate) fn forget_attempts(&mut self, rows: &mut Rows) -> bool {
        let waited = self.staged().is_some();
        for attempt in self.attempts.drain(..) {
            rows.delete(Shelf::Pending, pending_key(&self.id, attempt.slot));
        }
        waited
    }

    fn plan(&self, intent: &Intent, now: u64) -> Result<Plan, GroupError> {
        let mut plan = Plan::default();
        match intent {
            Intent::Add(packages) if packages.is_empty() => return Err(GroupError::NothingToCommit),
            Intent::Remove(indices) if indices.is_empty() => return Err(GroupError::NothingToCommit),
            Intent::Add(packages) => plan.add.clone_from(packages),
            // Who asked to leave goes with every commit, and cannot go twice.
            Intent::Remove(indices) => plan.remove = indices.iter().copied().filter(|index| !self.is_leaving(*index)).collect(),
            Intent::Replace(package) => {
                let view = view_key_package(package)?;
                let is_same = |member: &&Member| {
                    member.identity == view.identity
                        && (member.signature_key == view.signature_key || view.proven.is_some() && member.proven == view.proven)
                };
                let old = self.members.iter().find(is_same);
                let index = old.ok_or(GroupError::NoSuchMember)?.index;
                if self.has_leaf_key_of(package)? {
                    // Its maker has used it up: it would be put out of the group and could not read the Welcome.
                    return Err(GroupError::Mls(format!("DuplicateLeafData({index})")));
                }
                plan.remove.push(index);
                plan.add.push(package.clone());
            }
            Intent::Rotate => plan.wants_path = true,
            Intent::Owners(keys) => plan.owners = Some(self.name_owners(keys)?),
            Intent::Commit => {}
        }
        if plan.remove.iter().any(|index| !self.members.iter().any(|member| member.index == *index)) {
            return Err(GroupError::NoSuchMember);
        }
        for package in &plan.add {
            let view = view_key_package(package)?;
            if view.not_after > now.saturating_add(MAX_REMAINING) {
                return Err(GroupError::Mls(format!("InvalidLifetime: the key package ends in more than {} days", MAX_REMAINING / 86_400)));
            }
        }
        if plan.owners.is_none() && *intent != Intent::Commit {
            plan.owners = self.owners_without(&plan);
        }
        Ok(plan)
    }

    fn is_leaving(&self, index: u32) -> bool {
        let is_asked = |proposal: &Proposal| matches!(proposal, Proposal::Remove(remove) if remove.to_remove() == index);
        self.inner.get_cached_proposals().iter().any(|cached| is_asked(cached.proposal()))
    }

    /// Whether the key package has been used in this group: the key of its leaf stands in the tree.
    fn has_leaf_key_of(&self, package: &[u8]) -> Result<bool, GroupError> {
        let Some(key) = package.get(LEAF_KEY) else { return Ok(false) };
        let tree = self.inner.export_tree().to_bytes()?;
        Ok(tree.windows(key.len()).any(|part| part == key))
    }

    /// A new list of owners, all of which are members.
    fn name_owners(&self, keys: &[PeerKey]) -> Result<Owners, GroupError> {
        if self.admission() == Admission::Any {
            return Err(Refusal::Never("change the settings of a channel that published members can join").into());
        }
        if keys.len() > MAX_OWNERS {
            return Err(GroupError::TooLarge { what: "list of owners", size: keys.len(), limit: MAX_OWNERS });
        }
        if keys.iter().any(|key| !self.members.iter().any(|member| member.proven == Some(*key))) {
            return Err(GroupError::NoSuchMember);
        }
        Ok(Owners::new(keys.to_vec()))
    }

    /// The owners without those who are removed, where that is another list: who is added again later is not owner again.
    fn owners_without(&self, plan: &Plan) -> Option<Owners> {
        let present = Owners::of(&self.inner.context().extensions)?;
        let added = plan.add.iter().filter_map(|package| view_key_package(package).ok()?.proven).collect::<Vec<_>>();
        let stays = |key: &PeerKey| {
            self.members.iter().any(|member| member.proven == Some(*key) && !plan.remove.contains(&member.index)) || added.contains(key)
        };
        let left: Vec<PeerKey> = present.keys().iter().copied().filter(stays).collect();
        (left.len() < present.keys().len() && !left.is_empty() && !plan.remove.is_empty()).then(|| Owners::new(left))
    }

    fn build(&mut self, plan: &Plan, head: Option<Head>, now: u64) -> Result<(CommitOutput, Zeroizing<Vec<u8>>), MlsError> {
        let stamp = Stamp::make(&mut self.counter, &self.id, self.inner.current_epoch(), None);
        self.rules.want_path(plan.wants_path);
        let mut builder = self.inner.commit_builder().commit_time(MlsTime::from(now)).authenticated_data(stamp.to_bytes());
        for index in &plan.remove {
            builder = builder.remove_member(*index)?;
        }
        for package in &plan.add {
            // It was read before.
            let message = read_key_package(package).map_err(|_| MlsError::UnexpectedMessageType)?;
            builder = builder.add_member(message)?;
        }
        if let Some(owners) = &plan.owners {
            builder = builder.set_group_context_ext(owners.extensions())?;
        }
        if let Some(head) = head {
            builder = builder.set_group_info_ext(head_extension(head));
        }
        let (output, secrets) = builder.build_detached()?;
        Ok((output, Zeroizing::new(secrets.to_bytes()?)))
    }
}

/// What a commit does beside what others proposed.
#[derive(Default)]
struct Plan {
    add: Vec<Vec<u8>>,
    remove: Vec<u32>,
    owners: Option<Owners>,
    wants_path: bool,
}
