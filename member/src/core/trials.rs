//! Cores without a disk and a relay: what a step does is seen, and nothing has to be waited for.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;
use toq_channels::ChannelName;
use toq_channels::group::{Admission, Agent, Group, Head, KeyPackageKind, Row, Rows, Shelf, ShelfError, Shelves};
use toq_dataplane::link::Refusal;
use toq_store::member::{Change, ChannelRow, OutRow, Standing};
use zeroize::Zeroizing;

use super::{Core, Item, LAST_PLACE, Step, Wish, weight};
use crate::chance::Now;

mod members;
mod promises;
mod relay;
mod room;

const NAME: &str = "acme/team/general";

/// What a member has on its disk.
#[derive(Default)]
struct Disk {
    kept: HashMap<(u8, Vec<u8>), Zeroizing<Vec<u8>>>,
    outbox: std::collections::BTreeMap<u64, OutRow>,
    row: Option<ChannelRow>,
}

impl Disk {
    fn rows(&mut self, rows: Rows) {
        for row in rows {
            match row {
                Row::Put { shelf, key, value } => drop(self.kept.insert((shelf as u8, key), value)),
                Row::Delete { shelf, key } => drop(self.kept.remove(&(shelf as u8, key))),
            }
        }
    }

    fn write(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Keep { shelf, key, value } => drop(self.kept.insert((shelf, key), value)),
                Change::Discard { shelf, key } => drop(self.kept.remove(&(shelf, key))),
                Change::Queue(_, n, row) => drop(self.outbox.insert(n, row)),
                Change::Unqueue(_, n) => drop(self.outbox.remove(&n)),
                Change::Channel(_, row) => self.row = Some(row),
                _ => {}
            }
        }
    }
}

impl Shelves for Disk {
    fn get(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ShelfError> {
        Ok(self.kept.get(&(shelf as u8, key.to_vec())).cloned())
    }
}

/// A member with one channel.
struct Party {
    agent: Agent,
    disk: Disk,
    core: Core,
    told: Vec<String>,
    heard: Vec<Vec<u8>>,
}

fn name() -> ChannelName {
    ChannelName::parse(NAME).expect("a name")
}

fn row() -> ChannelRow {
    crate::client::blank(&name(), Now::look())
}

fn agent(identity: &str) -> (Agent, Disk) {
    let mut disk = Disk::default();
    let (agent, rows) = Agent::create(identity.as_bytes()).expect("an agent");
    disk.rows(rows);
    (agent, disk)
}

impl Party {
    /// Who made the channel; the relay's log is read.
    fn creator(identity: &str) -> Self {
        let (agent, mut disk) = agent(identity);
        let (group, rows) = Group::create(&agent, &name(), Admission::Any, Now::look().unsigned_seconds()).expect("a group");
        disk.rows(rows);
        Self::begin(agent, disk, group, ChannelRow { answers_joins: true, ..row() })
    }

    fn begin(agent: Agent, disk: Disk, group: Group, row: ChannelRow) -> Self {
        let core = Core::new(name(), row, Some(group), Vec::new());
        let mut party = Self { agent, disk, core, told: Vec::new(), heard: Vec::new() };
        party.connect(0);
        party
    }

    /// A connection to a relay whose log ends at this place.
    fn connect(&mut self, end: u64) {
        self.core.connected(true);
        self.act(|core, step, now| {
            core.caught_up(end, step, now);
            core.look_for_the_end(step, now);
        });
    }

    /// Adds somebody, who then stands where this one does. `seq` is the place of the commit.
    fn add(&mut self, identity: &str, seq: u64) -> Self {
        self.add_with_commit(identity, seq).0
    }

    /// The same, and the commit for the others.
    fn add_with_commit(&mut self, identity: &str, seq: u64) -> (Self, Vec<u8>) {
        let (agent, mut disk) = agent(identity);
        let (package, rows) = agent.key_package(Now::look().unsigned_seconds(), KeyPackageKind::OneTime).expect("a key package");
        disk.rows(rows);
        let (reply, mut answer) = oneshot::channel();
        self.core.wish(Wish::Add(vec![package.message]), Some(reply)).expect("a member");
        let n = self.advance().expect("a commit");
        let commit = self.disk.outbox[&n].frame.clone();
        self.read(seq, Item::Ours(n));
        let welcome = answer.try_recv().expect("an answer").expect("added").welcome.expect("a Welcome");
        let (group, rows) = Group::join(&agent, &name(), &welcome, &disk).expect("joined");
        disk.rows(rows);
        let chain = self.core.row.chain;
        (Self::begin(agent, disk, group, ChannelRow { cursor: seq, chain, ..row() }), commit)
    }

    /// Decides something, and has it on disk.
    fn act(&mut self, decide: impl FnOnce(&mut Core, &mut Step, Now)) {
        let mut step = Step::default();
        decide(&mut self.core, &mut step, Now::look());
        self.end(step);
    }

    fn end(&mut self, mut step: Step) {
        self.disk.write(step.take_changes());
        self.told.extend(step.happened.drain(..).map(|(_, row)| row.kind));
        self.heard.extend(step.arrived.drain(..).map(|(_, row)| row.payload));
        let fuse = self.core.fuse.clone();
        self.core.settle(&mut step, &fuse);
    }

    fn read(&mut self, seq: u64, item: Item) {
        self.act(|core, step, now| core.delivered(seq, item, step, now));
    }

    /// Lets the next wish become a commit; its number.
    fn advance(&mut self) -> Option<u64> {
        let step = self.core.advance(Now::look());
        self.end(step);
        self.core.publishable(Now::look()).into_iter().last().map(|publication| publication.n)
    }

    /// Lets so much time pass that what is missing is asked for, or named.
    fn wait_for_gaps(&mut self) {
        let mut now = Now::look();
        now.instant += Duration::from_secs(1);
        let mut step = Step::default();
        self.core.look_for_gaps(&mut step, now);
        self.end(step);
    }

    /// A frame as this member's group makes it, with whatever it wants to say of its place in the log.
    fn frame(&mut self, text: &[u8], head: Option<Head>) -> Vec<u8> {
        let group = self.core.group.as_mut().expect("a member");
        let (frame, rows) = group.encrypt(text, head).expect("a frame");
        self.disk.rows(rows);
        frame
    }

    /// The member after its process ended: what is on its disk.
    fn restart(self) -> Self {
        let (limits, Self { agent, disk, .. }) = (self.core.limits, self);
        let group = Group::load(&agent, &name(), &disk).expect("it loads");
        let mut core = Core::new(name(), disk.row.clone().expect("a row"), group, Vec::new());
        disk.outbox.iter().for_each(|(n, row)| core.recall(*n, row.clone()));
        core.limits = limits;
        Self { agent, disk, core, told: Vec::new(), heard: Vec::new() }
    }
}
