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
        Self::begin(agent, disk, group, ChannelRow { created: true, ..row() })
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

#[test]
fn a_sender_that_claims_the_last_place_there_is_breaks_nobody() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    alice.core.chain = None;

    let frame = bob.frame(b"hello", Some(Head { seq: u64::MAX, hash: [7; 32] }));
    alice.read(2, Item::Frame(frame));
    let mut alice = alice.restart();
    alice.connect(2);
    let frame = bob.frame(b"again", Some(Head { seq: u64::MAX - 1, hash: [7; 32] }));
    alice.read(3, Item::Frame(frame));

    assert_eq!(alice.heard, [b"again".to_vec()]);
    assert_eq!(alice.core.row.cursor, 3);
}

#[test]
fn a_relay_that_names_places_which_no_log_has_moves_no_cursor() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let frame = bob.frame(b"hello", None);

    for seq in [u64::MAX, u64::MAX - 1, LAST_PLACE + 1] {
        alice.read(seq, Item::Frame(frame.clone()));
        alice.act(|core, step, now| core.caught_up(seq, step, now));
        alice.act(|core, step, now| core.behind(seq, step, now));
        for _ in 0..8 {
            alice.wait_for_gaps();
        }
    }
    assert_eq!((alice.core.row.cursor, alice.core.row.standing), (1, Standing::Member));
    assert_eq!(alice.told.iter().filter(|kind| *kind == "relay_misbehaving").count(), 1, "{:?}", alice.told);

    alice.read(2, Item::Frame(frame));
    assert_eq!(alice.heard, [b"hello".to_vec()]);
}

#[test]
fn the_relays_word_for_an_end_it_does_not_show_is_named_and_passes_over_nothing() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let frames = [bob.frame(b"two", None), bob.frame(b"three", None)];

    alice.connect(1_000_000);
    for _ in 0..10 {
        alice.wait_for_gaps();
        if alice.core.resubscribe {
            alice.connect(1_000_000);
        }
    }
    alice.act(|core, step, now| core.look_for_the_end(step, now));
    assert_eq!(alice.told.iter().filter(|kind| *kind == "relay_misbehaving").count(), 1, "{:?}", alice.told);
    assert_eq!(alice.core.row.cursor, 1);

    for (seq, frame) in (2..).zip(frames) {
        alice.read(seq, Item::Frame(frame));
    }
    assert_eq!(alice.heard, [b"two".to_vec(), b"three".to_vec()]);
}

#[test]
fn a_relay_that_cannot_give_the_channel_now_is_asked_again_for_as_long_as_it_takes() {
    let mut alice = Party::creator("alice");
    let mut now = Now::look();
    for _ in 0..20 {
        let mut step = Step::default();
        alice.core.not_subscribed(Refusal::Unavailable, "its disk is full", Duration::from_secs(3), &mut step, now);
        now.instant += Duration::from_secs(2);
        alice.core.look_for_gaps(&mut step, now);
        assert!(!alice.core.resubscribe, "not before the relay wants it");
        now.instant += Duration::from_secs(60);
        alice.core.look_for_gaps(&mut step, now);
        assert!(std::mem::take(&mut alice.core.resubscribe));
        alice.end(step);
        alice.core.connected(true);
    }
    assert_eq!(alice.core.hindrance(), Some("its disk is full"));
    assert!(alice.told.is_empty(), "{:?}", alice.told);
    alice.core.wish(Wish::Rotate, None).expect("it may be settled later");

    alice.connect(0);
    assert!(alice.core.hindrance().is_none() && alice.advance().is_some());
}

#[test]
fn a_relay_that_will_not_give_the_channel_is_told_of_once_and_nobody_waits_for_it() {
    let mut alice = Party::creator("alice");
    let (reply, mut answer) = oneshot::channel();
    alice.core.connected(true);
    alice.core.wish(Wish::Rotate, Some(reply)).expect("a member");

    for _ in 0..3 {
        alice.act(|core, step, now| core.not_subscribed(Refusal::Forbidden, "no such channel for you", Duration::ZERO, step, now));
    }

    let error = answer.try_recv().expect("an answer").expect_err("it cannot be done");
    assert!(error.kind() == crate::Kind::Auth && error.to_string().contains("no such channel for you"), "{error}");
    assert!(alice.core.wish(Wish::Rotate, None).is_err());
    assert_eq!(alice.told, ["subscription_refused"]);
    let (mut later, mut step) = (Now::look(), Step::default());
    later.instant += Duration::from_secs(120);
    alice.core.look_for_gaps(&mut step, later);
    assert!(alice.core.resubscribe);
}

#[test]
fn whoever_removes_a_member_does_not_remove_who_came_to_its_leaf_later() {
    let mut alice = Party::creator("alice");
    let bob = alice.add("bob", 1);
    let member = |core: &Core, leaf: usize| core.group.as_ref().expect("a member").members()[leaf].clone();
    let meant = member(&alice.core, 1);
    drop(bob);
    alice.core.wish(Wish::Remove(vec![(1, meant.signature_key.clone())]), None).expect("a member");
    let n = alice.advance().expect("a commit");
    alice.read(2, Item::Ours(n));
    let _later = alice.add("bob", 3);
    assert_eq!(member(&alice.core, 1).identity, meant.identity);

    let (reply, mut answer) = oneshot::channel();
    alice.core.wish(Wish::Remove(vec![(1, meant.signature_key)]), Some(reply)).expect("a member");

    assert!(alice.advance().is_none());
    assert!(answer.try_recv().expect("an answer").is_ok(), "who was meant is out");
    assert_eq!(alice.core.group.as_ref().expect("a member").members().len(), 2);
}

#[test]
fn a_new_group_under_a_name_that_is_older_than_the_relay_remembers_begins_at_what_there_is() {
    let mut alice = Party::creator("alice");
    alice.core.connected(true);

    alice.act(|core, step, now| core.behind(501, step, now));
    assert_eq!((alice.core.row.standing, alice.core.row.cursor), (Standing::Member, 500));
    alice.connect(500);
    let bob = alice.add("bob", 501);

    // Both count from the same beginning.
    assert!(bob.core.row.chain.is_some() && bob.core.row.chain == alice.core.row.chain);
    let mut bob = bob;
    bob.act(|core, step, now| core.behind(900, step, now));
    assert_eq!(bob.core.row.standing, Standing::Behind, "who has missed something is told so");
}

#[test]
fn what_was_said_before_leaving_is_said_before_leaving() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    bob.core.disconnected();
    let (_, step) = bob.core.say(b"farewell", None, Now::look()).expect("kept");
    bob.end(step);
    bob.core.wish(Wish::Leave, None).expect("a member");
    bob.connect(1);

    assert!(bob.advance().is_none(), "the draft goes first");
    let (after, most) = bob.core.next_drafts().expect("a draft");
    let drafts = bob.disk.outbox.range(after + 1..).take(most).map(|(n, row)| (*n, row.clone())).collect();
    bob.act(|core, step, now| core.encrypt_drafts(drafts, step, now));
    let step = bob.core.advance(Now::look());
    bob.end(step);
    let kinds: Vec<_> = bob.core.publishable(Now::look()).into_iter().map(|publication| publication.carriage).collect();

    assert_eq!(kinds, [toq_dataplane::extension::Carriage::Message, toq_dataplane::extension::Carriage::Proposal]);
}

#[test]
fn what_was_said_later_does_not_overtake_what_the_relay_wants_to_wait_for() {
    let mut alice = Party::creator("alice");
    let _bob = alice.add("bob", 1);
    let mut tags = Vec::new();
    for text in [b"one", b"two"] {
        let (_, step) = alice.core.say(text, None, Now::look()).expect("said");
        alice.end(step);
        tags.extend(alice.core.publishable(Now::look()).into_iter().map(|publication| publication.tag));
    }
    alice.act(|core, step, now| core.refused(tags[0], Refusal::OverQuota, "too fast", Duration::from_secs(5), step, now));
    alice.act(|core, step, now| core.refused(tags[1], Refusal::Unavailable, "too fast", Duration::ZERO, step, now));
    let mut later = Now::look();
    later.instant += Duration::from_secs(2);

    assert!(alice.core.publishable(later).is_empty());
    later.instant += Duration::from_secs(10);
    assert_eq!(alice.core.publishable(later).into_iter().map(|publication| publication.tag).collect::<Vec<_>>(), tags);
}

#[test]
fn a_relay_that_numbers_nothing_any_more_is_named_and_neither_read_nor_sent_to() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let frame = bob.frame(b"hello", None);
    let mut alice = alice.restart();

    alice.core.connected(false);
    for _ in 0..3 {
        alice.wait_for_gaps();
    }
    alice.read(0, Item::Frame(frame.clone()));
    let (_, step) = alice.core.say(b"kept", None, Now::look()).expect("kept");
    alice.end(step);
    assert_eq!(alice.told, ["relay_misbehaving"]);
    assert!(alice.heard.is_empty() && alice.core.publishable(Now::look()).is_empty() && alice.core.unsent() == 1);

    alice.connect(1);
    alice.read(2, Item::Frame(frame));
    assert_eq!(alice.heard, [b"hello".to_vec()]);
    assert!(alice.core.next_drafts().is_some());
}

#[test]
fn a_relay_that_never_numbered_anything_is_used_as_it_is() {
    let mut alice = Party::creator("alice");
    let _bob = alice.add("bob", 1);
    alice.core.row.was_numbered = false;

    alice.core.connected(false);
    alice.wait_for_gaps();
    let (_, step) = alice.core.say(b"hello", None, Now::look()).expect("said");
    alice.end(step);

    assert_eq!(alice.core.publishable(Now::look()).len(), 1);
    assert!(!alice.told.contains(&"relay_misbehaving".to_owned()));
}

#[test]
fn a_channel_that_is_full_takes_nothing_more_until_half_was_read_and_then_misses_nothing() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    alice.core.limits.unread = 4 * weight(b"one");
    let frames: Vec<_> = (0..6).map(|_| bob.frame(b"one", None)).collect();

    for (seq, frame) in (2..).zip(frames.iter().cloned()) {
        alice.read(seq, Item::Frame(frame));
    }
    assert_eq!((alice.heard.len(), alice.core.row.cursor), (4, 5));
    assert_eq!(alice.told.iter().filter(|kind| *kind == "inbox_full").count(), 1, "{:?}", alice.told);
    assert!(alice.core.is_unwanted() && !alice.core.is_unwanted(), "the relay is told once");
    let (_, step) = alice.core.say(b"kept", None, Now::look()).expect("kept");
    alice.end(step);
    assert!(alice.core.publishable(Now::look()).is_empty());

    alice.core.has_read(weight(b"one"));
    assert!(!alice.core.resubscribe, "one was read, and it takes two");
    alice.core.has_read(2 * weight(b"one"));
    assert!(alice.core.resubscribe);
    alice.connect(7);
    for (seq, frame) in (6..).zip(frames[4..].iter().cloned()) {
        alice.read(seq, Item::Frame(frame));
    }
    assert_eq!((alice.heard.len(), alice.core.row.cursor), (6, 7));
}

#[test]
fn what_waits_for_a_missing_entry_has_few_bytes_and_what_has_no_room_comes_when_it_is_asked_for() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    let frames: Vec<_> = ["two", "three", "four"].iter().map(|text| bob.frame(text.as_bytes(), None)).collect();
    alice.core.limits.ahead = frames[1].len();

    for (seq, frame) in [(3, &frames[1]), (4, &frames[2]), (2, &frames[0])] {
        alice.read(seq, Item::Frame(frame.clone()));
    }
    assert_eq!(alice.heard, [b"two".to_vec(), b"three".to_vec()]);

    alice.wait_for_gaps();
    assert!(alice.core.resubscribe);
    alice.connect(4);
    alice.read(4, Item::Frame(frames[2].clone()));
    assert_eq!(alice.heard.len(), 3);
}

#[test]
fn what_waits_for_the_relay_has_no_more_bytes_than_may_and_neither_has_what_is_on_its_way() {
    let mut alice = Party::creator("alice");
    let _bob = alice.add("bob", 1);
    alice.core.limits.window = 1000;
    alice.core.limits.unsent = 10_000;
    let mut said = 0;
    let error = loop {
        match alice.core.say(&[0; 500], None, Now::look()) {
            Ok((_, step)) => alice.end(step),
            Err(error) => break error,
        }
        said += 1;
    };

    assert_eq!(error.kind(), crate::Kind::Quota);
    assert!((10..20).contains(&said), "frames have their messages beside them: {said}");
    assert_eq!(alice.core.publishable(Now::look()).len(), 1);
    assert!(alice.core.next_drafts().is_none(), "there is no room on the way");
    let mut alice = alice.restart();
    alice.connect(1);
    assert_eq!(alice.core.unsent(), said);
    assert!(alice.core.next_drafts().is_none());
    assert!(alice.core.say(&[0; 500], None, Now::look()).is_err(), "what was kept counts");
}

#[test]
fn who_lets_in_somebody_under_a_pinned_name_with_another_key_is_named() {
    let mut alice = Party::creator("alice");
    let mut bob = alice.add("bob", 1);
    bob.core.pins = std::sync::Arc::new(HashMap::from([(b"carol".to_vec(), toq_protocol::key::PeerKey::from_bytes([7; 32]))]));

    let (_, commit) = alice.add_with_commit("carol", 2);
    bob.read(2, Item::Frame(commit));

    assert_eq!(bob.told, ["pin_broken", "member_added"]);
    assert!(!alice.told.contains(&"pin_broken".to_owned()));
}
