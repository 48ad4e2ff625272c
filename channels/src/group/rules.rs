//! What a member's commit or proposal may change (threats H2, H3).
//!
//! The library asks here before it merges anything, with the group as it was in the previous epoch: so a commit that makes somebody
//! owner and lets him act at once is refused. Each proposal is judged by the rights of whoever made it, by value or by reference, and
//! not of whoever commits it. All members judge alike, from what the group agrees on and never from a clock or from what one of them
//! knows: a rule that depended on more would split the group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mls_rs::error::IntoAnyError;
use mls_rs::extension::ExtensionType;
use mls_rs::group::proposal::{AddProposal, BorrowedProposal};
use mls_rs::group::{GroupContext, Roster, Sender};
use mls_rs::identity::{CredentialType, SigningIdentity};
use mls_rs::mls_rules::{CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle, ProposalInfo};
use mls_rs::time::MlsTime;
use mls_rs::{ExtensionList, IdentityProvider, MlsRules};
use mls_rs_core::identity::MemberValidationContext;

use super::agent::MAX_IDENTITY;
use super::proof::{Proof, proven};
use super::roles::{self, Admission, Owners, ROLES, Role};

/// How many members a channel may have (threat H10).
pub const MAX_MEMBERS: usize = 10_000;

/// Why a commit or proposal is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The member may not do that.
    #[error("member {by} may not {what}")]
    NoRight {
        /// The member's leaf.
        by: u32,
        /// What it tried.
        what: &'static str,
    },
    /// Nobody may do that here.
    #[error("nobody may {0} in a channel")]
    Never(&'static str),
    /// Only members make proposals and commits.
    #[error("somebody who is no member made it")]
    Outsider,
    /// A member's credential, key or proof would change.
    #[error("the leaf of member {0} would belong to somebody else")]
    AnotherLeaf(u32),
    /// A new member has no proof of its agent key, and the channel wants one.
    #[error("a new member does not prove its agent key")]
    Unproven,
    /// The creator of a channel that admits everybody stays in it.
    #[error("the creator of a channel that published members can join stays in it")]
    CreatorStays,
    /// A channel needs an owner.
    #[error("no owner would be left; name another one first")]
    LastOwner,
    /// More than [`MAX_MEMBERS`].
    #[error("the channel would have {0} members, more than {MAX_MEMBERS}")]
    TooMany(usize),
    /// The channel encrypts commits and proposals, and this one is not.
    #[error("commits and proposals are encrypted in this channel, and this one is not")]
    InTheClear,
    /// Not a valid commit or proposal by the rules of MLS; the text is the library's.
    #[error("{0}")]
    Invalid(String),
}

impl IntoAnyError for Refusal {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(Box::new(self))
    }
}

/// The group by which proposals are judged.
pub(crate) struct Court<'a> {
    pub(crate) roster: &'a Roster<'a>,
    pub(crate) extensions: &'a ExtensionList,
}

impl Court<'_> {
    /// Whether `sender` may make `proposal`. `returning` are the leaves that it removes for their owners to come back.
    pub(crate) fn judge(&self, proposal: &BorrowedProposal<'_>, sender: &Sender, returning: &[u32]) -> Result<(), Refusal> {
        let Sender::Member(by) = *sender else { return Err(Refusal::Outsider) };
        let role = roles::role_at(by, self.roster, self.extensions).ok_or(Refusal::Outsider)?;
        let admission = roles::admission(self.extensions);
        match proposal {
            BorrowedProposal::Add(add) if Names::name(add.signing_identity())?.len() > MAX_IDENTITY => {
                Err(Refusal::Never("have an identity of more than 1,024 bytes"))
            }
            BorrowedProposal::Add(add) => match (admission, role) {
                (Admission::Any, _) => Ok(()),
                (Admission::Proven, Role::Member) => Err(Refusal::NoRight { by, what: "add members" }),
                (Admission::Proven, Role::Owner) => {
                    proven(add.signing_identity(), &add.leaf_node_extensions()).map(drop).ok_or(Refusal::Unproven)
                }
            },
            BorrowedProposal::Update(update) => self.judge_leaf(by, update.signing_identity(), &update.leaf_node_extensions()),
            BorrowedProposal::Remove(remove) => match (admission, role, remove.to_remove()) {
                // Nobody goes: whoever may add may put a fresh leaf in the place of a lost one.
                (Admission::Any, _, target) if returning.contains(&target) => Ok(()),
                (Admission::Any, _, 0) => Err(Refusal::CreatorStays),
                (_, _, target) if target == by => self.judge_owners(&[target], None),
                (_, Role::Owner, target) => self.judge_owners(&[target], None),
                (_, Role::Member, _) => Err(Refusal::NoRight { by, what: "remove others" }),
            },
            BorrowedProposal::GroupContextExtensions(list) => match (admission, role) {
                (Admission::Any, _) => Err(Refusal::Never("change the settings of a channel that published members can join")),
                (Admission::Proven, Role::Member) => Err(Refusal::NoRight { by, what: "name owners" }),
                (Admission::Proven, Role::Owner) => self.judge_settings(list),
            },
            BorrowedProposal::Psk(_) => Err(Refusal::Never("mix in a pre-shared key")),
            BorrowedProposal::ReInit(_) => Err(Refusal::Never("begin the group anew")),
            BorrowedProposal::ExternalInit(_) => Err(Refusal::Never("join from outside")),
            BorrowedProposal::Custom(_) => Err(Refusal::Never("make a proposal of an unknown kind")),
        }
    }

    /// The leaves that a commit removes to add the same member again: same credential, same signature key, same proof. Only what
    /// the committer itself proposes counts, so that it is one decision. Leaf 0, which is its creator's by its number, comes
    /// back to it only where nobody else is added: additions take the leaves that are free from the left.
    fn returning(&self, bundle: &ProposalBundle) -> Vec<u32> {
        let adds = bundle.add_proposals();
        let comes_back = |index: u32| {
            let Ok(leaf) = self.roster.member_with_index(index) else { return false };
            let is_same = |add: &&ProposalInfo<AddProposal>| {
                let proof = Proof::of(&add.proposal.leaf_node_extensions());
                add.is_by_value() && *add.proposal.signing_identity() == leaf.signing_identity && proof == Proof::of(&leaf.extensions)
            };
            adds.iter().filter(is_same).count() == 1 && (index != 0 || adds.len() == 1)
        };
        let own = bundle.remove_proposals().iter().filter(|info| info.is_by_value()).map(|info| info.proposal.to_remove());
        own.filter(|index| comes_back(*index)).collect()
    }

    /// A leaf keeps its credential, its signature key and its proof.
    pub(crate) fn judge_leaf(&self, index: u32, identity: &SigningIdentity, extensions: &ExtensionList) -> Result<(), Refusal> {
        let before = self.roster.member_with_index(index).map_err(|_| Refusal::Outsider)?;
        let is_same = before.signing_identity == *identity && Proof::of(&before.extensions) == Proof::of(extensions);
        is_same.then_some(()).ok_or(Refusal::AnotherLeaf(index))
    }

    /// An owner is left when `removed` have gone and, where given, `owners` are named.
    fn judge_owners(&self, removed: &[u32], owners: Option<&Owners>) -> Result<(), Refusal> {
        let Some(present) = Owners::of(self.extensions) else { return Ok(()) };
        let owners = owners.unwrap_or(&present);
        let is_owner = |proof: Option<Proof>| proof.is_some_and(|proof| owners.has(&proof.key));
        let is_left = self.roster.members_iter().any(|leaf| !removed.contains(&leaf.index) && is_owner(Proof::of(&leaf.extensions)));
        is_left.then_some(()).ok_or(Refusal::LastOwner)
    }

    /// Settings are the owners and what follows from having owners, and nothing else: no external senders, no new requirements.
    fn judge_settings(&self, list: &ExtensionList) -> Result<(), Refusal> {
        let owners = list
            .iter()
            .find(|extension| extension.extension_type == ROLES)
            .and_then(|extension| Owners::from_bytes(&extension.extension_data));
        let Some(owners) = owners else { return Err(Refusal::Never("take away a channel's owners")) };
        if owners.extensions() != *list {
            return Err(Refusal::Never("change what a channel requires"));
        }
        self.judge_owners(&[], Some(&owners))
    }

    /// What each proposal alone may do, but not all together.
    fn judge_together(&self, bundle: &ProposalBundle) -> Result<(), Refusal> {
        let (added, gone) = (bundle.add_proposals().len(), bundle.remove_proposals().len());
        bound_members(self.roster.member_identities_iter().count(), added, gone)?;
        let removed: Vec<u32> = bundle.remove_proposals().iter().map(|info| info.proposal.to_remove()).collect();
        let owners = bundle.group_context_ext_proposals().first().and_then(|info| Owners::of(&info.proposal));
        if removed.is_empty() && owners.is_none() { Ok(()) } else { self.judge_owners(&removed, owners.as_ref()) }
    }
}

/// A channel may shrink from whatever it has, and grow to [`MAX_MEMBERS`].
fn bound_members(present: usize, added: usize, gone: usize) -> Result<(), Refusal> {
    let after = present.saturating_add(added).saturating_sub(gone);
    if added > 0 && after > MAX_MEMBERS { Err(Refusal::TooMany(after)) } else { Ok(()) }
}

/// The rules of channels, for the library to ask. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    wants_path: Arc<AtomicBool>,
}

impl Rules {
    /// Whether the next commit that is made renews its maker's keys even where MLS does not want it.
    pub(crate) fn want_path(&self, wanted: bool) {
        self.wants_path.store(wanted, Ordering::Relaxed);
    }
}

impl MlsRules for Rules {
    type Error = Refusal;

    fn filter_proposals(
        &self,
        direction: CommitDirection,
        source: CommitSource,
        roster: &Roster<'_>,
        context: &GroupContext,
        mut bundle: ProposalBundle,
    ) -> Result<ProposalBundle, Refusal> {
        let CommitSource::ExistingMember(_) = source else { return Err(Refusal::Outsider) };
        let court = Court { roster, extensions: &context.extensions };
        let returning = court.returning(&bundle);
        // One's own commit leaves out what others should not have proposed; somebody else's is refused for it.
        let sort = |proposal: &BorrowedProposal<'_>, sender: &Sender, is_by_reference: bool| match court.judge(proposal, sender, &returning)
        {
            Ok(()) => Ok(true),
            Err(_) if direction == CommitDirection::Send && is_by_reference => Ok(false),
            Err(refusal) => Err(refusal),
        };
        bundle.retain(|info: &ProposalInfo<BorrowedProposal<'_>>| sort(&info.proposal, info.sender(), info.is_by_reference()))?;
        bundle.retain_custom(|info| sort(&BorrowedProposal::from(&info.proposal), info.sender(), info.is_by_reference()))?;
        let together = court.judge_together(&bundle);
        if direction == CommitDirection::Send && together == Err(Refusal::LastOwner) {
            // Two owners asked to leave, and together they must not.
            bundle.retain_by_type::<mls_rs::group::proposal::RemoveProposal, _, Refusal>(|info| {
                Ok(!info.is_by_reference() || roles::role_at(info.proposal.to_remove(), roster, &context.extensions) != Some(Role::Owner))
            })?;
            court.judge_together(&bundle)?;
        } else {
            together?;
        }
        Ok(bundle)
    }

    fn commit_options(&self, _: &Roster<'_>, _: &GroupContext, _: &ProposalBundle) -> Result<CommitOptions, Refusal> {
        // The tree goes with the Welcome, as published members expect. Additions carry no path: rotation is scheduled for itself.
        Ok(CommitOptions::new().with_path_required(self.wants_path.load(Ordering::Relaxed)))
    }

    fn encryption_options(&self, _: &Roster<'_>, context: &GroupContext) -> Result<EncryptionOptions, Refusal> {
        let mut options = EncryptionOptions::default();
        options.encrypt_control_messages = roles::admission(&context.extensions) == Admission::Proven;
        Ok(options)
    }
}

/// Reads names out of credentials, as published members do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names;

impl Names {
    fn name(identity: &SigningIdentity) -> Result<&[u8], Refusal> {
        let basic = identity.credential.as_basic().ok_or(Refusal::Never("have a credential other than a basic one"))?;
        Ok(&basic.identifier)
    }
}

impl IdentityProvider for Names {
    type Error = Refusal;

    fn validate_member(&self, identity: &SigningIdentity, _: Option<MlsTime>, _: MemberValidationContext<'_>) -> Result<(), Refusal> {
        Self::name(identity).map(drop)
    }

    fn validate_external_sender(&self, _: &SigningIdentity, _: Option<MlsTime>, _: Option<&ExtensionList>) -> Result<(), Refusal> {
        Err(Refusal::Never("act from outside"))
    }

    fn identity(&self, identity: &SigningIdentity, _: &ExtensionList) -> Result<Vec<u8>, Refusal> {
        Self::name(identity).map(<[u8]>::to_vec)
    }

    fn valid_successor(&self, before: &SigningIdentity, after: &SigningIdentity, _: &ExtensionList) -> Result<bool, Refusal> {
        Ok(before == after)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::BASIC]
    }
}

/// Extensions that our leaves announce.
pub(crate) const ANNOUNCED: [ExtensionType; 2] = [super::proof::PROOF, ROLES];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_grows_to_its_limit_and_not_beyond() {
        assert_eq!(bound_members(MAX_MEMBERS - 2, 2, 0), Ok(()));
        assert_eq!(bound_members(MAX_MEMBERS, 1, 1), Ok(()));
        assert_eq!(bound_members(MAX_MEMBERS, 1, 0), Err(Refusal::TooMany(MAX_MEMBERS + 1)));
        assert_eq!(bound_members(MAX_MEMBERS + 5, 0, 1), Ok(()));
    }
}
