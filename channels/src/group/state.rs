//! A group as one member has it: how it begins, is joined, kept, loaded and used.

use mls_rs::error::MlsError;
use mls_rs::extension::ExtensionType;
use mls_rs::group::GroupInfo;
use mls_rs::mls_rs_codec::MlsSize as _;
use mls_rs::time::MlsTime;
use mls_rs::{Client, ExtensionList, MlsMessage};
use mls_rs_core::extension::Extension;
use zeroize::Zeroizing;

use super::agent::{Agent, Config, suite};
use super::chain::Head;
use super::error::GroupError;
use super::growth::Growth;
use super::member::{Member, members};
use super::roles::{Admission, Owners, admission};
use super::rows::{Rows, Shelf, Shelves};
use super::rules::{Refusal, Rules};
use super::saved::{Counter, Saved};
use super::staging::Attempt;
use super::stamp::Stamp;
use super::store::Store;
use super::welcome::{MAX_WELCOME, bound_tree};
use crate::ChannelName;

/// The longest plaintext of a message, in bytes; published members have the same limit.
pub const MAX_PLAINTEXT: usize = 262_144;

/// The extension of a GroupInfo with the adder's place in the log, of the private-use range.
const HEAD: ExtensionType = ExtensionType::new(0xF70C);

/// The count of a state that must not encrypt any more.
const SPOILT: u64 = u64::MAX;

/// One member's state of a channel's group.
pub struct Group {
    pub(crate) inner: mls_rs::Group<Config>,
    pub(crate) client: Client<Config>,
    pub(crate) rules: Rules,
    pub(crate) store: Store,
    pub(crate) name: ChannelName,
    pub(crate) id: [u8; 32],
    pub(crate) saved: Saved,
    pub(crate) counter: Counter,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) members: Vec<Member>,
    pub(crate) is_gone: bool,
    pub(crate) growth: Growth,
    joined_at: Option<Head>,
}

impl Group {
    /// Makes the group of a channel, with this agent as its only member and owner. Replaces a group of that name. `now` is in
    /// seconds since 1970.
    ///
    /// # Errors
    /// [`GroupError::Refused`] for [`Admission::Proven`] and an agent without proof.
    pub fn create(agent: &Agent, name: &ChannelName, admission: Admission, now: u64) -> Result<(Self, Rows), GroupError> {
        let extensions = match (admission, agent.proven()) {
            (Admission::Any, _) => ExtensionList::new(),
            (Admission::Proven, Some(key)) => Owners::new(vec![key]).extensions(),
            (Admission::Proven, None) => return Err(Refusal::Unproven.into()),
        };
        let (store, rules) = (Store::default(), Rules::default());
        let client = agent.client(&store, &rules);
        let inner = client.create_group_with_id(name.id().to_vec(), extensions, agent.leaf_extensions(), Some(MlsTime::from(now)))?;
        Self::begin(inner, client, rules, store, name, None)
    }

    /// Joins by a Welcome, and uses up the key package that it is for unless that is one of last resort.
    ///
    /// # Errors
    /// [`GroupError::TooLarge`] above [`MAX_WELCOME`] or [`MAX_MEMBERS`](super::MAX_MEMBERS), [`GroupError::OtherChannel`] for a Welcome
    /// to another channel, [`GroupError::Mls`] with `WelcomeKeyPackageNotFound` for somebody else's or a used one,
    /// [`GroupError::Refused`] for a channel whose members do not prove what it requires. Nothing is used up by an error.
    pub fn join(agent: &Agent, name: &ChannelName, welcome: &[u8], shelves: &dyn Shelves) -> Result<(Self, Rows), GroupError> {
        if welcome.len() > MAX_WELCOME {
            return Err(GroupError::TooLarge { what: "welcome", size: welcome.len(), limit: MAX_WELCOME });
        }
        let message = MlsMessage::from_bytes(welcome)?;
        if message.mls_encoded_len() != welcome.len() {
            return Err(GroupError::Malformed("the welcome has something behind it".into()));
        }
        let (store, rules) = (Store::default(), Rules::default());
        for reference in message.welcome_key_package_references() {
            if store.load_package(reference, shelves)? {
                break;
            }
        }
        let client = agent.client(&store, &rules);
        let info = client.examine_welcome_message(&message)?;
        if info.group_context().group_id != name.id() {
            return Err(GroupError::OtherChannel(name.to_string()));
        }
        if let Some(tree) = info.extensions().get(ExtensionType::RATCHET_TREE) {
            bound_tree(&tree.extension_data)?;
        }
        // Without a time: leaves of long-standing members may have expired, which is no reason to stay out.
        let (inner, _) = client.join_group(None, &message, None)?;
        let (group, rows) = Self::begin(inner, client, rules, store, name, head_of(&info))?;
        if group.admission() == Admission::Proven && group.members.iter().any(|member| member.proven.is_none()) {
            return Err(Refusal::Unproven.into());
        }
        Ok((group, rows))
    }

    /// The group of a channel as it was kept; `None` where this agent is not in it.
    ///
    /// # Errors
    /// [`GroupError::Storage`] where rows are damaged or cannot be read.
    pub fn load(agent: &Agent, name: &ChannelName, shelves: &dyn Shelves) -> Result<Option<Self>, GroupError> {
        let id = name.id();
        let Some((saved, counter)) = Saved::load(&id, shelves)? else { return Ok(None) };
        let (store, rules) = (Store::default(), Rules::default());
        store.load_epochs(&id, shelves)?;
        store.set_state(saved.state());
        let client = agent.client(&store, &rules);
        let inner = client.load_group(&id).map_err(|error| GroupError::Storage(format!("{error}")))?;
        let attempts = Attempt::load(&id, inner.current_epoch(), shelves)?;
        let mut group = Self {
            inner,
            client,
            rules,
            store,
            name: name.clone(),
            id,
            saved,
            counter,
            attempts,
            members: Vec::new(),
            is_gone: false,
            growth: Growth::default(),
            joined_at: None,
        };
        group.count_members();
        Ok(Some(group))
    }

    /// Forgets everything that is kept of a channel's group.
    pub fn forget(name: &ChannelName) -> Rows {
        let mut rows = Rows::default();
        Self::forget_into(&name.id(), &mut rows);
        rows
    }

    /// Encrypts a message. `head` is where this member stands in the log, for others to compare.
    ///
    /// # Errors
    /// [`GroupError::MessageTooLarge`] above [`MAX_PLAINTEXT`], [`GroupError::CommitFirst`] while somebody is about to be removed,
    /// [`GroupError::Stale`] and [`GroupError::NotMember`].
    pub fn encrypt(&mut self, plaintext: &[u8], head: Option<Head>) -> Result<(Vec<u8>, Rows), GroupError> {
        self.may_encrypt()?;
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(GroupError::MessageTooLarge(plaintext.len()));
        }
        if self.attempts.iter().any(|attempt| attempt.is_current && attempt.removes) {
            return Err(GroupError::CommitFirst);
        }
        let stamp = Stamp::make(&mut self.counter, &self.id, self.inner.current_epoch(), head);
        let message = self.inner.encrypt_application_message(plaintext, stamp.to_bytes()).map_err(|error| match error {
            MlsError::CommitRequired => GroupError::CommitFirst,
            other => other.into(),
        })?;
        let bytes = message.to_bytes()?;
        Ok((bytes, self.save()?))
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// The number of commits since the beginning.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.current_epoch()
    }

    /// Whom the channel takes in.
    #[must_use]
    pub fn admission(&self) -> Admission {
        admission(&self.inner.context().extensions)
    }

    /// The members, in the order of their leaves.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether this agent is still a member.
    #[must_use]
    pub fn is_member(&self) -> bool {
        !self.is_gone
    }

    /// Whether the state was found to be older than what was sent with it; see [`GroupError::Stale`].
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.counter.next == SPOILT
    }

    /// Whether somebody proposed something that waits for a commit.
    #[must_use]
    pub fn has_proposals(&self) -> bool {
        self.inner.commit_required()
    }

    /// Where the adder stood in the log when it made the Welcome. Known until the group is loaded again.
    #[must_use]
    pub fn joined_at(&self) -> Option<Head> {
        self.joined_at
    }

    /// A secret of this epoch that all members have (RFC 9420, section 8.5).
    ///
    /// # Errors
    /// [`GroupError::Mls`] for a length above 8,160 bytes.
    pub fn exporter(&self, label: &str, context: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, GroupError> {
        let secret = self.inner.export_secret(label.as_bytes(), context, length)?;
        Ok(Zeroizing::new(secret.as_bytes().to_vec()))
    }

    /// What two members compare to know that they are in the same epoch of the same group (RFC 9420, section 8.7).
    ///
    /// # Errors
    /// None that is known.
    pub fn authenticator(&self) -> Result<Vec<u8>, GroupError> {
        Ok(self.inner.epoch_authenticator()?.as_bytes().to_vec())
    }

    fn begin(
        inner: mls_rs::Group<Config>,
        client: Client<Config>,
        rules: Rules,
        store: Store,
        name: &ChannelName,
        joined_at: Option<Head>,
    ) -> Result<(Self, Rows), GroupError> {
        let id = name.id();
        let mut rows = Rows::default();
        Self::forget_into(&id, &mut rows);
        let mut key = Zeroizing::new([0; 32]);
        suite()?.random_bytes(key.as_mut_slice()).map_err(|error| GroupError::Mls(format!("{error:?}")))?;
        let counter = Counter { key, next: 0 };
        let mut inner = inner;
        inner.write_to_storage()?;
        let saved = Saved::begin(&id, &store.take_state(), &inner.export_tree().to_bytes()?, &counter, &mut rows);
        store.take_changes(&id, &mut rows)?;
        let mut group = Self {
            inner,
            client,
            rules,
            store,
            name: name.clone(),
            id,
            saved,
            counter,
            attempts: Vec::new(),
            members: Vec::new(),
            is_gone: false,
            growth: Growth::default(),
            joined_at,
        };
        group.count_members();
        Ok((group, rows))
    }

    pub(crate) fn forget_into(id: &[u8; 32], rows: &mut Rows) {
        Saved::forget(id, rows);
        Store::forget_epochs(id, rows);
        Attempt::forget(id, rows);
    }

    /// Takes down the state, and returns what has to be written for it.
    pub(crate) fn save(&mut self) -> Result<Rows, GroupError> {
        self.inner.write_to_storage()?;
        let state = self.store.take_state();
        self.save_as(&state)
    }

    /// The same after a message of `sender` in `epoch` was read; `None` where the sender makes the state grow too much, which must be
    /// [undone](Group::roll_back) then.
    pub(crate) fn save_message(&mut self, sender: u32, epoch: u64) -> Result<Option<Rows>, GroupError> {
        let past = self.store.epoch_of(epoch);
        let size = |record: &Option<Zeroizing<Vec<u8>>>| record.as_ref().map_or(0, |record| record.len());
        self.inner.write_to_storage()?;
        let state = self.store.take_state();
        let before = self.saved.size().saturating_add(size(&past));
        let after = state.len().saturating_add(size(&self.store.epoch_of(epoch)));
        let here = self.epoch();
        if !self.growth.allows(here, epoch, sender, before, after) {
            self.store.put_back(epoch, past);
            return Ok(None);
        }
        self.save_as(&state).map(Some)
    }

    fn save_as(&mut self, state: &[u8]) -> Result<Rows, GroupError> {
        let mut rows = Rows::default();
        let inner = &self.inner;
        self.saved.update(&self.id, state, || Ok(inner.export_tree().to_bytes()?), &self.counter, &mut rows)?;
        self.store.take_changes(&self.id, &mut rows)?;
        Ok(rows)
    }

    /// Undoes whatever happened since the state was taken down last. A message that failed has then used up no key: otherwise a
    /// member could forge messages of another, and the true ones would not be read.
    pub(crate) fn roll_back(&mut self) {
        self.store.set_state(self.saved.state());
        if let Ok(inner) = self.client.load_group(&self.id) {
            self.inner = inner;
        }
    }

    pub(crate) fn count_members(&mut self) {
        self.members = members(&self.inner.roster(), &self.inner.context().extensions, self.inner.current_member_index(), &self.members);
    }

    pub(crate) fn may_encrypt(&self) -> Result<(), GroupError> {
        match (self.is_gone, self.is_stale()) {
            (true, _) => Err(GroupError::NotMember),
            (false, true) => Err(GroupError::Stale),
            (false, false) => Ok(()),
        }
    }

    /// Marks the state as one that must not be used.
    pub(crate) fn spoil(&mut self) {
        self.counter.next = SPOILT;
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Group({}, epoch {}, {} members)", self.name, self.epoch(), self.members.len())
    }
}

pub(crate) fn head_extension(head: Head) -> ExtensionList {
    let bytes = head.seq.to_be_bytes().into_iter().chain(head.hash).collect();
    std::iter::once(Extension::new(HEAD, bytes)).collect()
}

fn head_of(info: &GroupInfo) -> Option<Head> {
    let extension = info.extensions().get(HEAD)?;
    let (seq, hash) = extension.extension_data.split_first_chunk::<8>()?;
    Some(Head { seq: u64::from_be_bytes(*seq), hash: hash.try_into().ok()? })
}

/// Reads a row of the shelf for commits of our own.
pub(crate) fn pending_row(id: &[u8; 32], slot: u8, shelves: &dyn Shelves) -> Result<Option<Zeroizing<Vec<u8>>>, GroupError> {
    Ok(shelves.get(Shelf::Pending, &pending_key(id, slot))?)
}

pub(crate) fn pending_key(id: &[u8; 32], slot: u8) -> Vec<u8> {
    id.iter().copied().chain([slot]).collect()
}
