//! Everybody commits at once, the log arrives late and twice, processes die: all end in the same epoch (threat H1).

use std::collections::{BTreeMap, BTreeSet};

use toq_channels::group::{Admission, Change, GroupError, Intent, PAST_EPOCHS, Received, Why};

use crate::party::{NOW, Party, admit};

/// Numbers of a seed (SplitMix64), so that a failure can be had again.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % limit as u64).expect("below a usize")
    }

    pub fn hits(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// One member with what it has read.
struct Reader {
    party: Party,
    name: String,
    cursor: usize,
    joined: u64,
    read: BTreeSet<usize>,
    is_out: bool,
    /// Those whom it tried to add in this epoch.
    newcomers: Vec<(Party, String)>,
}

/// A message in the log.
struct Written {
    epoch: u64,
    by: String,
}

struct Scene {
    log: Vec<Vec<u8>>,
    written: BTreeMap<usize, Written>,
    /// Where each epoch began.
    winners: BTreeMap<usize, u64>,
    /// Who went where.
    removed: Vec<(usize, String)>,
    readers: Vec<Reader>,
    dice: Dice,
    born: usize,
    admission: Admission,
}

impl Scene {
    fn new(seed: u64, count: usize, admission: Admission) -> Self {
        let mut first = newcomer(0, admission);
        first.create(admission);
        let mut parties = vec![first];
        for index in 1..count {
            admit(&mut parties, newcomer(index, admission));
        }
        let joined = parties[0].group().epoch();
        let reader = |(index, party)| Reader {
            party,
            name: format!("member {index}"),
            cursor: 0,
            joined,
            read: BTreeSet::new(),
            is_out: false,
            newcomers: Vec::new(),
        };
        let readers = parties.into_iter().enumerate().map(reader).collect();
        Self {
            log: Vec::new(),
            written: BTreeMap::new(),
            winners: BTreeMap::new(),
            removed: Vec::new(),
            readers,
            dice: Dice::new(seed),
            born: count,
            admission,
        }
    }

    /// The member that never lags.
    fn now(&self) -> u64 {
        self.readers[0].party.group().epoch()
    }

    fn publish(&mut self, blob: Vec<u8>) -> usize {
        self.log.push(blob);
        self.read(0, usize::MAX);
        self.log.len() - 1
    }

    /// Lets a member read up to `count` blobs.
    fn read(&mut self, index: usize, count: usize) {
        for _ in 0..count {
            let reader = &mut self.readers[index];
            if reader.is_out || reader.cursor >= self.log.len() {
                return;
            }
            let at = reader.cursor;
            reader.cursor += 1;
            let received = reader.party.read(&self.log[at]);
            self.take(index, at, received);
        }
    }

    fn take(&mut self, index: usize, at: usize, received: Received) {
        let reader = &mut self.readers[index];
        match received {
            Received::Message { .. } => assert!(reader.read.insert(at), "{} read {at} twice", reader.name),
            Received::Committed(change) => {
                let before = self.winners.insert(at, change.epoch);
                assert!(before.is_none_or(|epoch| epoch == change.epoch), "two members disagree about blob {at}");
                self.settle(index, at, &change);
            }
            Received::Removed { .. } => {
                reader.is_out = true;
                assert!(reader.party.memory.0.keys().all(|(shelf, _)| *shelf == toq_channels::group::Shelf::Identity), "rows are left");
            }
            Received::Proposed { .. } | Received::Ignored(Why::Old | Why::Own | Why::Duplicate | Why::SenderGone) => {}
            other => panic!("{} reads blob {at} as {other:?}", reader.name),
        }
    }

    fn settle(&mut self, index: usize, at: usize, change: &Change) {
        if index == 0 {
            self.removed.extend(change.removed.iter().map(|member| (at, String::from_utf8_lossy(&member.identity).into_owned())));
        }
        let newcomers = std::mem::take(&mut self.readers[index].newcomers);
        if let Some(welcome) = &change.welcome {
            assert!(change.by.as_ref().is_some_and(|by| by.me));
            let name = String::from_utf8_lossy(&change.added[0].identity).into_owned();
            let (mut party, name) = newcomers.into_iter().find(|(_, newcomer)| *newcomer == name).expect("whom it added");
            party.join(welcome);
            assert_eq!(party.group().epoch(), change.epoch);
            self.readers.push(Reader {
                party,
                name,
                cursor: at + 1,
                joined: change.epoch,
                read: BTreeSet::new(),
                is_out: false,
                newcomers: Vec::new(),
            });
        }
    }

    /// A member starts again from its rows, and publishes what it does not know to be in the log.
    fn restart(&mut self, index: usize) {
        self.readers[index].party.restart();
        if let Some(commit) = self.readers[index].party.group().staged().map(<[u8]>::to_vec) {
            self.publish(commit);
        }
    }

    fn commit(&mut self, index: usize) {
        let present = self.readers.iter().filter(|reader| !reader.is_out).count();
        let mut tried = None;
        let reader = &mut self.readers[index];
        let others: Vec<u32> =
            reader.party.group().members().iter().filter(|member| !member.me && member.index > 0).map(|member| member.index).collect();
        let intent = match self.dice.below(10) {
            0 | 1 if present < 14 && (index == 0 || self.admission == Admission::Any) => {
                let mut party = newcomer(self.born, self.admission);
                let package = party.package();
                tried = Some((party, format!("member {}", self.born)));
                self.born += 1;
                Intent::Add(vec![package])
            }
            2 if index == 0 && others.len() > 6 => Intent::Remove(vec![others[self.dice.below(others.len())]]),
            3 | 4 if reader.party.group().has_proposals() => Intent::Commit,
            _ => Intent::Rotate,
        };
        match reader.party.group_mut().stage(&intent, None, NOW) {
            Ok((staged, rows)) => {
                if self.dice.hits(5) {
                    // It dies before the rows are committed: nothing happened.
                    return self.restart(index);
                }
                reader.party.memory.commit(rows);
                reader.newcomers.extend(tried);
                if self.dice.hits(10) {
                    // It dies after that, and publishes when it is back.
                    return self.restart(index);
                }
                self.publish(staged.commit);
            }
            Err(GroupError::AlreadyStaged | GroupError::TooManyAttempts(_)) => {}
            Err(error) => panic!("{} cannot commit {intent:?}: {error}", reader.name),
        }
    }

    fn write(&mut self, index: usize) {
        let here = self.now();
        let reader = &mut self.readers[index];
        let epoch = reader.party.group().epoch();
        if here - epoch >= PAST_EPOCHS {
            return;
        }
        match reader.party.group_mut().encrypt(b"text", None) {
            Ok((blob, rows)) => {
                if self.dice.hits(5) {
                    return self.restart(index);
                }
                reader.party.memory.commit(rows);
                let by = reader.name.clone();
                let at = self.publish(blob);
                self.written.insert(at, Written { epoch, by });
            }
            Err(GroupError::CommitFirst) => {}
            Err(error) => panic!("{} cannot write: {error}", reader.name),
        }
    }

    fn round(&mut self) {
        for index in 0..self.readers.len() {
            if self.readers[index].is_out {
                continue;
            }
            if self.dice.hits(5) {
                let rows = self.readers[index].party.group_mut().discard();
                self.readers[index].party.memory.commit(rows);
            }
            self.commit(index);
            if self.dice.hits(50) {
                self.write(index);
            }
            if index > 0 && self.dice.hits(1) {
                let (proposal, rows) = self.readers[index].party.group_mut().leave().expect("a proposal");
                self.readers[index].party.memory.commit(rows);
                self.publish(proposal.expect("others are there"));
            }
        }
        for index in 0..self.readers.len() {
            let count = if self.dice.hits(20) { 0 } else { self.dice.below(30) };
            self.read(index, count);
            if self.readers[index].is_out {
                continue;
            }
            if self.dice.hits(30) && self.readers[index].cursor > 0 {
                let at = self.dice.below(self.readers[index].cursor);
                let again = self.readers[index].party.read(&self.log[at]);
                assert!(matches!(again, Received::Ignored(_) | Received::Proposed { .. }), "blob {at} counts twice: {again:?}");
            }
            if self.dice.hits(5) {
                self.restart(index);
            }
        }
    }

    fn finish(&mut self) {
        // Readers come in while others read.
        let mut index = 0;
        while index < self.readers.len() {
            self.read(index, usize::MAX);
            index += 1;
        }
        let authenticator = self.readers[0].party.authenticator();
        for reader in self.readers.iter().filter(|reader| !reader.is_out) {
            assert_eq!(reader.party.authenticator(), authenticator, "{} is elsewhere", reader.name);
        }
    }

    /// Every message that was in time is read by everybody who was there.
    fn check_messages(&self) -> usize {
        let mut epoch = self.readers[0].joined;
        let mut count = 0;
        let epochs: Vec<u64> = (0..self.log.len())
            .map(|at| {
                epoch = self.winners.get(&at).copied().unwrap_or(epoch);
                epoch
            })
            .collect();
        let gone = |name: &str, at: usize| self.removed.iter().any(|(when, who)| who == name && *when < at);
        for (at, written) in &self.written {
            let is_in_time = written.epoch + PAST_EPOCHS >= epochs[*at] && !gone(&written.by, *at);
            for reader in self.readers.iter().filter(|reader| reader.name != written.by && is_in_time) {
                let was_there = reader.joined <= written.epoch && !gone(&reader.name, *at);
                assert_eq!(
                    reader.read.contains(at),
                    was_there,
                    "{} and blob {at} of epoch {} at {}",
                    reader.name,
                    written.epoch,
                    epochs[*at]
                );
                count += usize::from(was_there);
            }
        }
        count
    }
}

/// Somebody called `member {number}`.
fn newcomer(number: usize, admission: Admission) -> Party {
    let name = format!("member {number}");
    match admission {
        Admission::Any => Party::new(&name),
        Admission::Proven => Party::proven(&name, u8::try_from(number % 251).expect("small")),
    }
}

fn converge(seed: u64, rounds: usize, admission: Admission) {
    let mut scene = Scene::new(seed, 10, admission);

    for _ in 0..rounds {
        scene.round();
    }
    scene.finish();

    // Nobody is stuck: each can commit, and all follow.
    for index in 0..scene.readers.len() {
        if scene.readers[index].is_out {
            continue;
        }
        let before = scene.now();
        let rows = scene.readers[index].party.group_mut().discard();
        scene.readers[index].party.memory.commit(rows);
        let staged = scene.readers[index].party.stage(&Intent::Rotate);
        scene.publish(staged.commit);
        scene.finish();
        assert_eq!(scene.now(), before + 1);
    }
    let delivered = scene.check_messages();
    assert!(scene.winners.len() > rounds / 2 && delivered > rounds, "seed {seed}: {} commits, {delivered} deliveries", scene.winners.len());
}

#[test]
fn ten_members_who_commit_at_once_converge_and_read_every_message() {
    for seed in 1..=4 {
        converge(seed, 50, Admission::Any);
    }
}

#[test]
fn they_do_so_where_commits_are_encrypted() {
    for seed in 5..=8 {
        converge(seed, 50, Admission::Proven);
    }
}
