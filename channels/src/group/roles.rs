//! Who may do what in a channel.
//!
//! A channel of [`Admission::Any`] has no room for roles, since published members would not carry them: its creator is its owner,
//! which is the member at leaf 0. Everybody may add; only the owner removes others. Its leaf would go to the next who is added,
//! and ownership with it, so nobody removes it and it does not leave. Where the creator lost its state, any member puts a fresh leaf
//! of the same keys in its place with one commit.
//!
//! A channel of [`Admission::Proven`] names the agent keys of its owners in an extension of the group context, which every member
//! agrees on by MLS. Owners add, remove and name owners.

use mls_rs::ExtensionList;
use mls_rs::extension::ExtensionType;
use mls_rs::extension::built_in::RequiredCapabilitiesExt;
use mls_rs::group::{Member as Leaf, Roster};
use mls_rs_core::extension::Extension;
use toq_protocol::key::PeerKey;

use super::proof::{PROOF, Proof};

/// The extension of the group context with the owners, of the private-use range (RFC 9420, section 17.3).
pub(crate) const ROLES: ExtensionType = ExtensionType::new(0xF70B);

/// A channel has few owners; every member reads all of them at every commit.
pub const MAX_OWNERS: usize = 64;

/// The version of the extension's form.
const VERSION: u8 = 1;

/// Whom a channel takes in. Chosen when it is made, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// Everybody, published members included. Commits are not encrypted, since those would not read them.
    Any,
    /// Agents that prove their key. Commits and proposals are encrypted.
    Proven,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// May remove others and, in [`Admission::Proven`], add and name owners.
    Owner,
    /// May read, write, rotate its keys and leave; in [`Admission::Any`] also add.
    Member,
}

/// The owners of a channel of [`Admission::Proven`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owners(Vec<PeerKey>);

impl Owners {
    pub(crate) fn new(mut keys: Vec<PeerKey>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    /// `None` in a channel without roles. A list that is none has no owners: nobody may do anything then, rather than everybody.
    pub(crate) fn of(extensions: &ExtensionList) -> Option<Self> {
        let extension = extensions.iter().find(|extension| extension.extension_type == ROLES)?;
        Some(Self::from_bytes(&extension.extension_data).unwrap_or(Self(Vec::new())))
    }

    /// Only the one spelling of a list is read: version, then the keys in rising order.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, keys) = bytes.split_first()?;
        let (keys, rest) = keys.as_chunks::<32>();
        let keys: Vec<PeerKey> = keys.iter().copied().map(PeerKey::from_bytes).collect();
        let is_rising = keys.iter().zip(keys.iter().skip(1)).all(|(before, after)| before < after);
        (*version == VERSION && rest.is_empty() && is_rising && (1..=MAX_OWNERS).contains(&keys.len())).then_some(Self(keys))
    }

    pub(crate) fn keys(&self) -> &[PeerKey] {
        &self.0
    }

    pub(crate) fn has(&self, key: &PeerKey) -> bool {
        self.0.binary_search(key).is_ok()
    }

    /// All extensions of the group context of such a channel.
    pub(crate) fn extensions(&self) -> ExtensionList {
        let bytes = std::iter::once(VERSION).chain(self.0.iter().flat_map(|key| *key.as_bytes())).collect();
        let required = RequiredCapabilitiesExt::new(vec![PROOF, ROLES], Vec::new(), Vec::new());
        let mut all = ExtensionList::new();
        all.set(Extension::new(ROLES, bytes));
        // Encoding two numbers into memory cannot fail; without it the channel would only be less strict.
        let _ = all.set_from(required);
        all
    }
}

/// How a group context's extensions admit.
pub(crate) fn admission(extensions: &ExtensionList) -> Admission {
    if extensions.has_extension(ROLES) { Admission::Proven } else { Admission::Any }
}

/// The role of a leaf that is in the tree: its proof, if it has one, was checked when it came in.
pub(crate) fn role(leaf: &Leaf, extensions: &ExtensionList) -> Role {
    let is_owner = match Owners::of(extensions) {
        None => leaf.index == 0,
        Some(owners) => Proof::of(&leaf.extensions).is_some_and(|proof| owners.has(&proof.key)),
    };
    if is_owner { Role::Owner } else { Role::Member }
}

/// The role of the leaf at `index`; `None` where there is no leaf.
pub(crate) fn role_at(index: u32, roster: &Roster<'_>, extensions: &ExtensionList) -> Option<Role> {
    roster.member_with_index(index).ok().map(|leaf| role(&leaf, extensions))
}
