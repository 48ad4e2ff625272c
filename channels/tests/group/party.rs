//! A member with a database in memory, as the tests see it.

use toq_channels::ChannelName;
use toq_channels::group::{Admission, Agent, Group, Intent, KeyPackageKind, Memory, Received, Staged};
use toq_protocol::key::Identity;

pub const NOW: u64 = 1_790_000_000;

pub fn name() -> ChannelName {
    ChannelName::parse("acme/team/general").expect("a name")
}

pub struct Party {
    pub agent: Agent,
    pub memory: Memory,
    group: Option<Group>,
}

impl Party {
    pub fn new(identity: &str) -> Self {
        let mut memory = Memory::default();
        let (agent, rows) = Agent::create(identity.as_bytes()).expect("an agent");
        memory.commit(rows);
        Self { agent, memory, group: None }
    }

    /// With a proof by the agent key of a seed of `seed`.
    pub fn proven(identity: &str, seed: u8) -> Self {
        let mut party = Self::new(identity);
        let key = Identity::from_seed(&[seed; 32]);
        let signature = key.sign(&party.agent.statement());
        let rows = party.agent.prove(key.public(), signature).expect("a proof");
        party.memory.commit(rows);
        party
    }

    pub fn creator(identity: &str) -> Self {
        let mut party = Self::new(identity);
        party.create(Admission::Any);
        party
    }

    pub fn create(&mut self, admission: Admission) {
        let (group, rows) = Group::create(&self.agent, &name(), admission, NOW).expect("a group");
        self.memory.commit(rows);
        self.group = Some(group);
    }

    pub fn group(&self) -> &Group {
        self.group.as_ref().expect("a member")
    }

    pub fn group_mut(&mut self) -> &mut Group {
        self.group.as_mut().expect("a member")
    }

    pub fn package(&mut self) -> Vec<u8> {
        let (package, rows) = self.agent.key_package(NOW, KeyPackageKind::OneTime).expect("a key package");
        self.memory.commit(rows);
        package.message
    }

    pub fn join(&mut self, welcome: &[u8]) {
        let (group, rows) = Group::join(&self.agent, &name(), welcome, &self.memory).expect("a welcome");
        self.memory.commit(rows);
        self.group = Some(group);
    }

    pub fn stage(&mut self, intent: &Intent) -> Staged {
        let (staged, rows) = self.group_mut().stage(intent, None, NOW).expect("a commit");
        self.memory.commit(rows);
        staged
    }

    pub fn read(&mut self, blob: &[u8]) -> Received {
        let (received, rows) = self.group_mut().receive(blob);
        self.memory.commit(rows);
        received
    }

    pub fn write(&mut self, text: &str) -> Vec<u8> {
        let (blob, rows) = self.group_mut().encrypt(text.as_bytes(), None).expect("a message");
        self.memory.commit(rows);
        blob
    }

    /// Ends the process and starts it again.
    pub fn restart(&mut self) {
        self.group = None;
        self.agent = Agent::load(&self.memory).expect("readable").expect("an agent");
        self.group = Group::load(&self.agent, &name(), &self.memory).expect("readable");
    }

    pub fn authenticator(&self) -> Vec<u8> {
        self.group().authenticator().expect("an authenticator")
    }
}

/// Adds `new` by `parties[0]`, and lets all others read the commit.
pub fn admit(parties: &mut Vec<Party>, mut new: Party) {
    let package = new.package();
    let staged = parties[0].stage(&Intent::Add(vec![package]));
    for party in parties.iter_mut() {
        assert!(matches!(party.read(&staged.commit), Received::Committed(_)));
    }
    new.join(&staged.welcome.expect("a welcome"));
    parties.push(new);
}

/// A channel for everybody with `count` members, the first of which made it.
pub fn channel(count: usize) -> Vec<Party> {
    let mut parties = vec![Party::creator("member 0")];
    for index in 1..count {
        admit(&mut parties, Party::new(&format!("member {index}")));
    }
    parties
}

/// A channel for the proven with `count` members, the first of which made it; their agent keys are of the seeds 1, 2, …
pub fn proven_channel(count: usize) -> Vec<Party> {
    let mut first = Party::proven("member 0", 1);
    first.create(Admission::Proven);
    let mut parties = vec![first];
    for index in 1..count {
        admit(&mut parties, Party::proven(&format!("member {index}"), u8::try_from(index + 1).expect("few")));
    }
    parties
}

pub fn payload(received: Received) -> String {
    match received {
        Received::Message { payload, .. } => String::from_utf8(payload).expect("text"),
        other => panic!("no message: {other:?}"),
    }
}
