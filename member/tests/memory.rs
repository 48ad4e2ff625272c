//! What a member knows of the log, across restarts, new beginnings, and relays that lost something.

mod world;

use toq_channels::ChannelName;
use toq_channels::group::{Admission, Agent, Chain, Group, Head, Intent, Memory, Received};
use toq_dataplane::extension::Carriage;
use toq_member::mock::Relay;
use toq_member::{Channel, Client};
use world::{LONG, NAME, event, invite, member, pair, texts, until};

/// The owner of a channel, with whatever it likes to claim about the log: a group without a member around it.
struct Owner {
    relay: Relay,
    group: Group,
    memory: Memory,
}

impl Owner {
    fn new(relay: &Relay) -> Self {
        let (agent, _) = Agent::create(b"owner").expect("an agent");
        let (group, rows) = Group::create(&agent, &name(), Admission::Any, now()).expect("a group");
        let mut memory = Memory::default();
        memory.commit(rows);
        Self { relay: relay.clone(), group, memory }
    }

    fn change(&mut self, intent: &Intent, place: Option<Head>) -> Option<Vec<u8>> {
        let (staged, rows) = self.group.stage(intent, place, now()).expect("a commit");
        self.memory.commit(rows);
        let (received, rows) = self.group.receive(&staged.commit);
        assert!(matches!(received, Received::Committed(_)));
        self.memory.commit(rows);
        self.relay.inject(&name(), Carriage::Commit, &staged.commit);
        staged.welcome
    }

    async fn invite(&mut self, newcomer: &Client, place: Option<Head>) -> Channel {
        let package = newcomer.key_package().await.expect("a key package");
        let welcome = self.change(&Intent::Add(vec![package]), place).expect("a welcome");
        newcomer.join_channel(NAME, &welcome).await.expect("joined")
    }

    fn say(&mut self, text: &str, claim: Option<Head>) {
        let (frame, rows) = self.group.encrypt(text.as_bytes(), claim).expect("a message");
        self.memory.commit(rows);
        self.relay.inject(&name(), Carriage::Message, &frame);
    }

    /// Reads what others said.
    fn hear(&mut self) {
        for blob in self.relay.log(&name()) {
            let (_, rows) = self.group.receive(&blob);
            self.memory.commit(rows);
        }
    }

    /// What an honest reader knows at a place.
    fn head(&self, seq: u64) -> Head {
        let mut chain = Chain::new();
        for (place, blob) in (1..=seq).zip(self.relay.log(&name())) {
            chain.push(place, &blob).expect("in order");
        }
        chain.head()
    }
}

fn name() -> ChannelName {
    ChannelName::parse(NAME).expect("a name")
}

#[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

async fn has_been_told_of_the_relay(channel: &Channel) -> bool {
    channel.events(std::time::Duration::ZERO).await.iter().any(|event| event.kind == "relay_misbehaving")
}

#[tokio::test]
async fn a_claim_about_a_place_before_a_restart_is_compared_after_it() {
    for is_true in [true, false] {
        let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
        let mut owner = Owner::new(&relay);
        let bob = member(&relay, "bob", Some(dir.path())).await;
        let channel = owner.invite(&bob, Some(owner.head(0))).await;
        for n in 0..20 {
            owner.say(&format!("{n}"), None);
        }
        assert_eq!(texts(&channel, 20).await.len(), 20);
        bob.close().await;
        drop((bob, channel));

        let channel = member(&relay, "bob", Some(dir.path())).await.channel(NAME).expect("kept");
        let claim = if is_true { owner.head(12) } else { Head { seq: 12, hash: [9; 32] } };
        owner.say("after the restart", Some(claim));
        // The last message was read and nothing was asked for after it, so it comes again.
        assert_eq!(texts(&channel, 2).await[1], "after the restart");

        assert_eq!(has_been_told_of_the_relay(&channel).await, !is_true, "the claim was {is_true}");
    }
}

#[tokio::test]
async fn joining_anew_without_a_place_on_an_open_client_raises_no_alarm() {
    let relay = Relay::new();
    let mut owner = Owner::new(&relay);
    let bob = member(&relay, "bob", None).await;
    let channel = owner.invite(&bob, None).await;
    for n in 0..10 {
        owner.say(&format!("{n}"), None);
        channel.send(b"mine").await.expect("sent");
    }
    assert_eq!(texts(&channel, 10).await.len(), 10);
    assert!(channel.flush(LONG).await);
    owner.hear();
    let leaf = channel.members().iter().find(|member| member.me).expect("a member").index;
    owner.change(&Intent::Remove(vec![leaf]), None);
    event(&channel, "removed").await;

    let back = owner.invite(&bob, None).await;
    owner.say("welcome back", None);

    assert_eq!(texts(&back, 1).await, ["welcome back"]);
    back.send(b"thank you").await.expect("sent");
    assert!(back.flush(LONG).await);
    assert!(!has_been_told_of_the_relay(&back).await);
}

#[tokio::test]
async fn a_member_that_joins_anew_while_its_earlier_subscription_still_talks_reads_on_from_its_new_place() {
    let relay = Relay::new();
    let (alice, bob) = pair(&relay, None).await;
    let carol = member(&relay, "carol", None).await;
    for round in 0..5 {
        let joined = invite(&alice, &carol).await;
        for n in 0..30 {
            alice.send(format!("{round}/{n}").as_bytes()).await.expect("sent");
            bob.send(b"as well").await.expect("sent");
        }
        // Whatever is on its way now is of a place that the next beginning has not read.
        alice.remove_member(&toq_member::Who::Identity(b"carol".to_vec())).await.expect("removed");
        event(&joined, "removed").await;
        assert!(!has_been_told_of_the_relay(&joined).await, "round {round}");
    }

    let joined = invite(&alice, &carol).await;
    alice.send(b"the end").await.expect("sent");
    until("the last word was heard", || joined.authenticator().ok() == alice.authenticator().ok()).await;
    while texts(&joined, 1).await != ["the end"] {}

    assert!(!has_been_told_of_the_relay(&joined).await);
}

#[tokio::test]
async fn a_relay_that_lost_the_end_of_its_log_is_named_and_what_comes_after_is_heard() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let (alice, bob) = pair(&relay, Some(dir.path())).await;
    for n in 0..5 {
        alice.send(format!("{n}").as_bytes()).await.expect("sent");
    }
    assert_eq!(texts(&bob, 5).await.len(), 5);
    assert!(alice.flush(LONG).await);

    // The commit, and two of the messages, are left.
    relay.lose(&name(), 4);
    let (at_alice, at_bob) = (event(&alice, "relay_misbehaving").await, event(&bob, "relay_misbehaving").await);
    alice.send(b"in a place that was read before").await.expect("sent");

    assert!(at_alice.detail.contains("ends at place 3") && at_bob.detail.contains("ends at place 3"), "{at_bob:?}");
    assert_eq!(texts(&bob, 1).await, ["in a place that was read before"]);
    alice.rotate_key().await.expect("the group goes on");
    until("one epoch", || alice.authenticator().ok() == bob.authenticator().ok()).await;
}
