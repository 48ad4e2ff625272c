//! Members of a channel, for the targets that read what others write into it.

use std::cell::RefCell;

use toq_channels::ChannelName;
use toq_channels::group::{Admission, Agent, Group, Intent, KeyPackageKind, Memory};

/// When everything happens, in seconds since 1970.
pub const NOW: u64 = 1_790_000_000;

/// A channel with an owner and a member, a guest who could be added, and what the owner wrote.
pub struct Scene {
    /// The member that reads.
    pub reader: Agent,
    /// Its rows.
    pub memory: Memory,
    /// Messages, a commit and a proposal, that it has not read: in the order of the log.
    pub blobs: Vec<Vec<u8>>,
    /// Somebody who is not in the channel.
    pub guest: Agent,
    /// Its rows.
    pub guest_memory: Memory,
    /// Its key package.
    pub package: Vec<u8>,
    /// The way in for it.
    pub welcome: Vec<u8>,
}

/// The channel's name.
pub fn name() -> ChannelName {
    ChannelName::parse("acme/team/general").expect("a name")
}

fn agent(identity: &str) -> (Agent, Memory, Vec<u8>) {
    let mut memory = Memory::default();
    let (agent, rows) = Agent::create(identity.as_bytes()).expect("an agent");
    memory.commit(rows);
    let (package, rows) = agent.key_package(NOW, KeyPackageKind::OneTime).expect("a key package");
    memory.commit(rows);
    (agent, memory, package.message)
}

impl Scene {
    fn new() -> Self {
        let (owner, _, _) = agent("owner");
        let (reader, mut memory, package) = agent("reader");
        let (mut group, _) = Group::create(&owner, &name(), Admission::Any, NOW).expect("a group");
        let (staged, _) = group.stage(&Intent::Add(vec![package]), None, NOW).expect("a commit");
        let _ = group.receive(&staged.commit);
        let (_, rows) = Group::join(&reader, &name(), &staged.welcome.expect("a welcome"), &memory).expect("a group");
        memory.commit(rows);
        let (guest, guest_memory, package) = agent("guest");
        let mut blobs = vec![group.encrypt(b"one", None).expect("a message").0, group.encrypt(b"two", None).expect("a message").0];
        let (staged, _) = group.stage(&Intent::Add(vec![package.clone()]), None, NOW).expect("a commit");
        blobs.push(staged.commit);
        Self { reader, memory, blobs, guest, guest_memory, package, welcome: staged.welcome.expect("a welcome") }
    }
}

/// Lends the scene, which is made once.
pub fn with_scene<T>(use_it: impl FnOnce(&Scene) -> T) -> T {
    thread_local!(static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) });
    SCENE.with_borrow_mut(|scene| use_it(scene.get_or_insert_with(Scene::new)))
}

/// Changes `template` as `edits` say: each is a place and a byte to write there. Without edits the bytes stand for themselves.
pub fn edited(template: &[u8], edits: &[(u16, u8)]) -> Vec<u8> {
    let mut bytes = template.to_vec();
    for (place, byte) in edits {
        let at = usize::from(*place) % (bytes.len() + 1);
        match bytes.get_mut(at) {
            Some(old) => *old = *byte,
            None => bytes.truncate(usize::from(*byte)),
        }
    }
    bytes
}
