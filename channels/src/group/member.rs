//! Who is in a group.

use mls_rs::ExtensionList;
use mls_rs::group::Roster;
use toq_protocol::key::PeerKey;

use super::proof::proven;
use super::roles::{Role, role};
use super::rules::ANNOUNCED;

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its leaf. Goes to another member when this one was removed.
    pub index: u32,
    /// The name in its credential, which proves nothing.
    pub identity: Vec<u8>,
    /// Its signature key, 32 bytes.
    pub signature_key: Vec<u8>,
    /// The agent key that it proves to have.
    pub proven: Option<PeerKey>,
    /// What it may do.
    pub role: Role,
    /// Whether it announces our extensions, which published members do not.
    pub is_native: bool,
    /// Whether it is this agent.
    pub me: bool,
}

/// The members in the order of their leaves. Proofs of leaves that were in `before` are not checked again.
pub(crate) fn members(roster: &Roster<'_>, extensions: &ExtensionList, me: u32, before: &[Member]) -> Vec<Member> {
    let known = |index: u32| before.binary_search_by_key(&index, |member| member.index).ok().and_then(|at| before.get(at));
    roster
        .members_iter()
        .map(|leaf| {
            let role = role(&leaf, extensions);
            let same = known(leaf.index).filter(|member| member.signature_key == *leaf.signing_identity.signature_key);
            let proven = match same {
                // A leaf keeps its proof as long as it keeps its key; commits that break this are refused.
                Some(member) => member.proven,
                None => proven(&leaf.signing_identity, &leaf.extensions),
            };
            let identity = leaf.signing_identity.credential.as_basic().map(|basic| basic.identifier.clone()).unwrap_or_default();
            Member {
                index: leaf.index,
                identity,
                signature_key: leaf.signing_identity.signature_key.to_vec(),
                proven,
                role,
                is_native: ANNOUNCED.iter().all(|kind| leaf.capabilities.extensions.contains(kind)),
                me: leaf.index == me,
            }
        })
        .collect()
}
