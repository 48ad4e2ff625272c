//! Reading the log. Whatever stands there, something is said about it, and nothing that fails changes the group.
//!
//! The log is what counts, so nothing here depends on a clock or on what only this member knows: every member that reads the same
//! bytes does the same. An attacker would publish garbage, replay, forge messages of others to use up their keys, answer a commit
//! with one of its own for the same epoch, or commit what it has no right to.

use mls_rs::MlsMessage;
use mls_rs::error::MlsError;
use mls_rs::group::proposal::{BorrowedProposal, Proposal};
use mls_rs::group::{
    CommitEffect, CommitMessageDescription, CommitSecrets, ProposalMessageDescription, ProposalSender, ReceivedMessage, Sender,
};
use mls_rs::mls_rs_codec::MlsSize as _;

use super::chain::Head;
use super::error::GroupError;
use super::member::Member;
use super::received::{Change, Received, Why, Wish};
use super::roles::{Admission, Owners, admission};
use super::rows::Rows;
use super::rules::{Court, Refusal};
use super::screen::{Screened, screen};
use super::stamp::Stamp;
use super::state::Group;
use super::store::PAST_EPOCHS;
use super::walk::authenticated_data;
use crate::frame::{self, Kind};

/// The largest application message that is read, in bytes: a plaintext of 256 KiB and its padding have 336 KiB.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// The largest commit or proposal that is read, in bytes: a path through a tree of 10,000 leaves, at worst.
pub const MAX_HANDSHAKE: usize = 2 * 1024 * 1024;

/// How many proposals of one member wait for a commit; more are refused.
const MAX_PROPOSALS: usize = 16;

impl Group {
    /// Reads one blob of the log. The rows are committed together with whatever is kept of the message, and the cursor.
    pub fn receive(&mut self, bytes: &[u8]) -> (Received, Rows) {
        match self.read(bytes) {
            Ok(read) => read,
            Err(Left::Ignored(why)) => (Received::Ignored(why), Rows::default()),
            Err(Left::Refused(refusal)) => (Received::Refused(refusal), Rows::default()),
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(Received, Rows), Left> {
        let frame = frame::peek(bytes).map_err(|_| Why::Undecodable)?;
        if self.is_gone {
            return Err(Why::NotMember.into());
        }
        let limit = match frame.kind {
            Kind::Application => MAX_MESSAGE,
            Kind::Commit | Kind::Proposal => MAX_HANDSHAKE,
            Kind::Welcome | Kind::KeyPackage | Kind::GroupInfo => return Err(Why::NotForMembers.into()),
        };
        if frame.group_id != self.id {
            return Err(Why::OtherGroup.into());
        }
        if bytes.len() > limit {
            return Err(Why::TooLarge.into());
        }
        let (epoch, here) = (frame.epoch, self.epoch());
        if epoch > here {
            return Err(Why::Ahead.into());
        }
        let reach = if frame.kind == Kind::Application { PAST_EPOCHS } else { 0 };
        let stamp = authenticated_data(bytes).and_then(Stamp::from_bytes);
        if !self.is_stale() && stamp.is_some_and(|stamp| stamp.is_from_our_future(&self.counter, &self.id, epoch)) {
            self.spoil();
            let rows = self.take_down()?;
            return Ok((Received::Stale, rows));
        }
        if here - epoch > reach {
            return Err(Why::Old.into());
        }
        if frame.kind != Kind::Application && !frame.is_private && self.admission() == Admission::Proven {
            return Err(Left::Refused(Refusal::InTheClear));
        }
        if !frame.is_private {
            screen(bytes).map_err(|screened| match screened {
                Screened::Malformed => Left::Ignored(Why::Undecodable),
                Screened::Refused(refusal) => Left::Refused(refusal),
            })?;
        }
        let message = MlsMessage::from_bytes(bytes).map_err(|_| Why::Undecodable)?;
        if message.mls_encoded_len() != bytes.len() {
            return Err(Why::Undecodable.into());
        }
        match frame.kind {
            Kind::Commit => self.read_commit(message, bytes),
            Kind::Proposal => self.read_proposal(message),
            _ => self.read_application(message, epoch, stamp.and_then(|stamp| stamp.head)),
        }
    }

    fn read_application(&mut self, message: MlsMessage, epoch: u64, head: Option<Head>) -> Result<(Received, Rows), Left> {
        let description = match self.inner.process_incoming_message(message) {
            Ok(ReceivedMessage::ApplicationMessage(description)) => description,
            Ok(_) => return Err(self.undo(Why::Undecodable)),
            // Nothing was touched by these.
            Err(MlsError::CantProcessMessageFromSelf) => return Err(Why::Own.into()),
            Err(MlsError::EpochNotFound | MlsError::InvalidEpoch) => return Err(Why::Old.into()),
            Err(MlsError::MemberNotFound) => return Err(self.undo(Why::SenderGone)),
            Err(MlsError::KeyMissing(_)) => return Err(self.undo(Why::Duplicate)),
            Err(MlsError::InvalidFutureGeneration(_)) => return Err(self.undo(Why::TooFar)),
            Err(_) => return Err(self.undo(Why::Undecipherable)),
        };
        let Some(sender) = self.member(description.sender_index) else { return Err(self.undo(Why::Undecipherable)) };
        match self.save_message(sender.index, epoch) {
            Ok(Some(rows)) => Ok((Received::Message { sender, epoch, payload: description.data().to_vec(), head }, rows)),
            Ok(None) => Err(self.undo(Why::TooFar)),
            Err(error) => Err(self.undo(Why::Unsaved(error.to_string()))),
        }
    }

    fn read_proposal(&mut self, message: MlsMessage) -> Result<(Received, Rows), Left> {
        let description = match self.inner.process_incoming_message(message) {
            Ok(ReceivedMessage::Proposal(description)) => description,
            Err(MlsError::CantProcessMessageFromSelf) => return Err(Why::Own.into()),
            other => return Err(self.undo_refused(other.map(drop))),
        };
        let ProposalSender::Member(by) = description.sender else { return Err(self.undo(Refusal::Outsider)) };
        if let Err(refusal) = self.judge_proposal(&description, by) {
            return Err(self.undo(refusal));
        }
        let Some(sender) = self.member(by) else { return Err(self.undo(Refusal::Outsider)) };
        let wish = match &description.proposal {
            Proposal::Remove(remove) if remove.to_remove() == by => Wish::Leave,
            Proposal::Remove(remove) => match self.member(remove.to_remove()) {
                Some(target) => Wish::Remove(target),
                None => return Err(self.undo(Refusal::Invalid("RemovingNonExistingMember".into()))),
            },
            Proposal::Add(add) => {
                Wish::Add(add.signing_identity().credential.as_basic().map(|basic| basic.identifier.clone()).unwrap_or_default())
            }
            Proposal::Update(_) => Wish::Rotate,
            _ => Wish::Owners,
        };
        let rows = self.take_down()?;
        Ok((Received::Proposed { by: sender, wish }, rows))
    }

    fn judge_proposal(&self, description: &ProposalMessageDescription, by: u32) -> Result<(), Refusal> {
        let (roster, context) = (self.inner.roster(), self.inner.context());
        let court = Court { roster: &roster, extensions: &context.extensions };
        court.judge(&BorrowedProposal::from(&description.proposal), &Sender::Member(by), &[])?;
        let waiting = self.inner.get_cached_proposals().iter().filter(|cached| *cached.sender() == Sender::Member(by)).count();
        if waiting > MAX_PROPOSALS { Err(Refusal::NoRight { by, what: "propose so much at once" }) } else { Ok(()) }
    }

    fn read_commit(&mut self, message: MlsMessage, bytes: &[u8]) -> Result<(Received, Rows), Left> {
        let mine = self.attempts.iter().find(|attempt| attempt.commit == bytes);
        let own = mine.is_some_and(|attempt| attempt.is_current);
        let welcome = mine.map(|attempt| attempt.welcome.clone()).filter(|welcome| !welcome.is_empty());
        let applied = match mine {
            Some(attempt) => CommitSecrets::from_bytes(&attempt.secrets).and_then(|secrets| self.inner.apply_detached_commit(secrets)),
            None => match self.inner.process_incoming_message(message) {
                Ok(ReceivedMessage::Commit(description)) => Ok(description),
                Ok(_) => return Err(self.undo(Why::Undecodable)),
                Err(MlsError::CantProcessMessageFromSelf) => return Err(self.undo(Why::Own)),
                Err(error) => Err(error),
            },
        };
        let description = match applied {
            Ok(description) => description,
            Err(error) => return Err(self.undo_refused(Err(error))),
        };
        let by = self.member(description.committer);
        let new_epoch = match description.effect {
            CommitEffect::NewEpoch(ref new_epoch) => new_epoch,
            CommitEffect::Removed { ref new_epoch, .. } => {
                let epoch = new_epoch.epoch();
                let mut rows = Rows::default();
                Self::forget_into(&self.id, &mut rows);
                self.is_gone = true;
                return Ok((Received::Removed { by, epoch }, rows));
            }
            CommitEffect::ReInit(_) => return Err(self.undo(Refusal::Never("begin the group anew"))),
        };
        if let Err(refusal) = self.judge_leaves(&description) {
            return Err(self.undo(refusal));
        }
        let before = std::mem::take(&mut self.members);
        let owners = Owners::of(&new_epoch.prior_state().context.extensions);
        self.members.clone_from(&before);
        self.count_members();
        let is_in = |members: &[Member], wanted: &Member| {
            members.iter().any(|member| member.index == wanted.index && member.signature_key == wanted.signature_key)
        };
        let proposals = new_epoch.applied_proposals();
        let mut change = Change {
            epoch: new_epoch.epoch(),
            by,
            own,
            lost: false,
            welcome,
            added: self.members.iter().filter(|member| !is_in(&before, member)).cloned().collect(),
            removed: before.iter().filter(|member| !is_in(&self.members, member)).cloned().collect(),
            // Without a path a commit can only add.
            rotated: proposals.is_empty() || proposals.iter().any(|info| !matches!(info.proposal, Proposal::Add(_))),
            owners: owners != Owners::of(&self.inner.context().extensions),
        };
        let mut rows = self.take_down()?;
        change.lost = self.forget_attempts(&mut rows) && !own;
        Ok((Received::Committed(Box::new(change)), rows))
    }

    /// The leaves that a commit renewed, which its proposals do not show, are still the same members'.
    fn judge_leaves(&self, description: &CommitMessageDescription) -> Result<(), Refusal> {
        let CommitEffect::NewEpoch(new_epoch) = &description.effect else { return Ok(()) };
        let prior = new_epoch.prior_state();
        let (roster, extensions) = (self.inner.roster(), &self.inner.context().extensions);
        debug_assert_eq!(admission(extensions), admission(&prior.context.extensions), "nobody may change it");
        let before = prior.member_at_index(description.committer).ok_or(Refusal::Outsider)?;
        let after = roster.member_with_index(description.committer).map_err(|_| Refusal::Outsider)?;
        let is_same = super::proof::Proof::of(&before.extensions) == super::proof::Proof::of(&after.extensions);
        if before.signing_identity == after.signing_identity && is_same { Ok(()) } else { Err(Refusal::AnotherLeaf(description.committer)) }
    }

    fn member(&self, index: u32) -> Option<Member> {
        self.members.binary_search_by_key(&index, |member| member.index).ok().and_then(|at| self.members.get(at)).cloned()
    }

    /// Takes down what was read, or undoes it.
    fn take_down(&mut self) -> Result<Rows, Left> {
        self.save().map_err(|error| {
            self.roll_back();
            self.count_members();
            Left::Ignored(Why::Unsaved(error.to_string()))
        })
    }

    fn undo(&mut self, left: impl Into<Left>) -> Left {
        self.roll_back();
        left.into()
    }

    fn undo_refused(&mut self, result: Result<(), MlsError>) -> Left {
        self.undo(match result.map_err(GroupError::from) {
            Err(GroupError::Refused(refusal)) => refusal,
            Err(error) => Refusal::Invalid(error.to_string()),
            Ok(()) => Refusal::Invalid("UnexpectedMessageType".into()),
        })
    }
}

/// Why nothing was done.
enum Left {
    Ignored(Why),
    Refused(Refusal),
}

impl From<Why> for Left {
    fn from(why: Why) -> Self {
        Self::Ignored(why)
    }
}

impl From<Refusal> for Left {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
